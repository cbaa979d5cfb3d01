//! Values of the wire contract as aya reads and writes them in maps. It knows no map.

/// Makes a wrapper of each of these types that aya takes for plain data.
macro_rules! pod {
    ($($name:ident($of:ty);)*) => {$(
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        struct $name($of);

        // SAFETY: integers only, no padding (`IntoBytes` proves it).
        #[allow(unsafe_code, reason = "aya's marker for plain data has no safe constructor")]
        unsafe impl aya::Pod for $name {}
    )*};
}

pub(super) use pod;
