//! Kernel fields.
pub struct Offsets;
