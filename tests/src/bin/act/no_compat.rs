//! In place of the 32-bit door of `x86_64`: programs of this machine have none. Tests of it ask before, so no step gets here.

use crate::{Args, Outcome};

pub(crate) struct Low;

const NONE: &str = "programs of this machine cannot make 32-bit calls";

impl Low {
    pub(crate) fn new() -> Self {
        panic!("{NONE}");
    }

    pub(crate) fn put(&mut self, _: &[u8]) -> u32 {
        panic!("{NONE}");
    }

    pub(crate) fn put_words(&mut self, _: &[u32]) -> u32 {
        panic!("{NONE}");
    }
}

pub(crate) fn call(_: u32, _: [u32; 4]) -> Outcome {
    panic!("{NONE}");
}

pub(crate) const fn step(_: &str, _: &mut Args) -> Option<Outcome> {
    None
}
