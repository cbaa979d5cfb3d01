//! Why the kernel half is not at work, in words that its reader can act on. It knows no hooks.

use std::io;

use thiserror::Error;

use super::{btf, hooks::Mode};

/// Why the sensor cannot watch this machine.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// Not enough privileges.
    #[error(
        "loading kernel programs needs root (or CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE): run it with sudo"
    )]
    Privileges,
    /// Root, but without what takes root.
    #[error(
        "loading kernel programs takes {0}, which this process does not have (docs/privileges.md says what else it uses)"
    )]
    Capabilities(String),
    /// No type information.
    #[error(
        "this kernel has no BTF ({0}): it needs CONFIG_DEBUG_INFO_BTF=y, as the kernels of Debian 11+, Ubuntu 20.10+ and RHEL 8+ have"
    )]
    Btf(#[from] btf::BtfError),
    /// A field without which no record makes sense.
    #[error("this kernel's BTF lacks {0}: kernels from 5.10 to 7.2 have it, please report yours")]
    Field(&'static str),
    /// The object was built for another daemon.
    #[error(
        "the kernel object speaks version {found} of the record format and this daemon version {expected}: build both with `cargo xtask build`"
    )]
    Abi {
        /// The object's.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// The object is damaged.
    #[error("the kernel object cannot be read: {0}")]
    Object(String),
    /// The kernel refused a map or the whole object.
    #[error("the kernel refuses to load programs: {0}")]
    Load(String),
    /// A hook without which the sensor would be blind.
    #[error("hook {hook} cannot be attached: {why}")]
    Hook {
        /// The hook's stem.
        hook: &'static str,
        /// The kernel's words.
        why: String,
    },
    /// The mode that was asked for.
    #[error("hook {hook} cannot be attached in {mode} mode, and kernel.mode allows no other: {why}")]
    Mode {
        /// The mode.
        mode: Mode,
        /// The hook's stem.
        hook: &'static str,
        /// The kernel's words.
        why: String,
    },
    /// A response that this kernel cannot give.
    #[error("{0}; write `response: {{block: {{or: kill}}}}` to say what to do instead")]
    Refuse(String),
    /// The ring cannot be waited on.
    #[error("cannot read the event ring: {0}")]
    Ring(#[from] io::Error),
}

/// The kernel's words, each once. The verifier's log can have megabytes, of which the end says what is wrong.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = error.source();
    }
    // What aya says where the verifier said nothing.
    let text = text.trim_end_matches(". Verifier output: ");
    let tail = text.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
    text.get(tail..).unwrap_or(text).trim_end().to_owned()
}
