//! Whether the kernel compiled a program. Up to Linux 5.11 its compiler gives up on one whose jumps have not found their length
//! within twenty rounds, and leaves it to the interpreter without a word. An interpreted program and compiled ones share no table,
//! so the first of its kind would keep out all others.

use std::{fs, sync::OnceLock};

use aya::programs::{ProgramError, ProgramInfo};

use super::chain;

const WHETHER: &str = "/proc/sys/net/core/bpf_jit_enable";

/// Refuses one that is interpreted where others are compiled.
pub(super) fn check(program: Result<ProgramInfo, ProgramError>) -> Result<(), String> {
    let program = program.map_err(|error| chain(&error))?;
    if program.size_jitted() == 0 && compiles() {
        return Err(
            "the kernel's compiler gave up on it, and interpreted it shares no table with others".to_owned()
        );
    }
    Ok(())
}

/// Whether this kernel compiles programs; where it does not say, none is refused.
fn compiles() -> bool {
    static COMPILES: OnceLock<bool> = OnceLock::new();
    *COMPILES.get_or_init(|| fs::read_to_string(WHETHER).is_ok_and(|enabled| enabled.trim() != "0"))
}
