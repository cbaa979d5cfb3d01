//! Bytes that came from the kernel or from another process: usually UTF-8, never promised to be.

use std::{borrow::Cow, fmt};

use bstr::ByteSlice;
use serde::{Serialize, Serializer};

/// A path, a name, an argument. Compared as bytes; shown with every byte that is not UTF-8 as `\xNN`.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text {
    bytes: Box<[u8]>,
    truncated: bool,
    untrusted: bool,
}

impl Text {
    /// Text that is known to be whole.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self { bytes: bytes.into(), truncated: false, untrusted: false }
    }

    /// The same text, marked as cut or not.
    #[must_use]
    pub fn with_truncated(mut self, truncated: bool) -> Self {
        self.truncated = truncated;
        self
    }

    /// The same text, marked as copied from memory that its owner may have changed meanwhile, or not.
    #[must_use]
    pub fn with_untrusted(mut self, untrusted: bool) -> Self {
        self.untrusted = untrusted;
        self
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether something is missing.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Whether another thread of the same process could have forged it.
    #[must_use]
    pub const fn is_untrusted(&self) -> bool {
        self.untrusted
    }

    /// For people and JSON.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        printable(&self.bytes)
    }
}

/// Bytes as UTF-8, each byte that is not as `\xNN`.
pub fn printable(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(out)
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.bytes.as_bstr(), if self.truncated { "…" } else { "" })
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str_lossy())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_str_lossy())
    }
}

/// A thread's name: at most 15 bytes, NUL-padded, so that it can be copied.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Comm([u8; 16]);

impl Comm {
    /// From the kernel's `task_struct::comm`.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The name without its padding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// For people and JSON.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'_, str> {
        printable(self.as_bytes())
    }
}

impl From<&[u8]> for Comm {
    /// Keeps the first 15 bytes, as the kernel does.
    fn from(name: &[u8]) -> Self {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().take(15).zip(name) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_bytes().as_bstr())
    }
}

impl Serialize for Comm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_str_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_utf8_are_shown_not_lost() {
        assert_eq!(Text::new(*b"a\xff\xfeb").to_string(), "a\\xff\\xfeb");
        assert_eq!(Text::from("/tmp/ü").to_string(), "/tmp/ü");
        assert_eq!(serde_json::to_string(&Text::new(*b"\x80")).unwrap(), "\"\\\\x80\"");
    }

    #[test]
    fn comm_is_cut_where_the_kernel_cuts_it() {
        assert_eq!(Comm::from(&b"a-name-of-more-than-15"[..]).as_bytes(), b"a-name-of-more-");
        assert_eq!(Comm::new([b'x'; 16]).as_bytes().len(), 16);
    }
}
