//! The running kernel's types, for both readers of them. A start asks for them in several places, and the kernel hands out the
//! file a page at a time: so what is read once is there for as long as anybody holds it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use aya::Endianness;

use super::{ProbeError, btf::Btf};

/// What nobody holds any more: megabytes that a sensor at work has no use for.
static LAST: Mutex<Weak<Types>> = Mutex::new(Weak::new());

/// The types.
#[derive(Debug)]
pub struct Types {
    /// For what is said about this kernel.
    pub(super) own: Btf,
    /// For what is loaded: what programs attach to.
    pub(super) aya: aya::Btf,
}

impl Types {
    /// The running kernel's.
    ///
    /// # Errors
    /// Where the kernel has none, or such that they cannot be read.
    pub fn of_kernel() -> Result<Arc<Self>, ProbeError> {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(types) = last.upgrade() {
            return Ok(types);
        }
        let own = Btf::of_kernel()?;
        // It takes most of a start to read it all.
        let aya = aya::Btf::parse(&own.attachable()?, Endianness::default())
            .map_err(|error| ProbeError::Load(error.to_string()))?;
        let types = Arc::new(Self { own, aya });
        *last = Arc::downgrade(&types);
        Ok(types)
    }
}
