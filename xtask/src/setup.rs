//! Makes a fresh machine able to build: the linker for BPF and the source of Rust's `core`.
//!
//! Every step looks first and does nothing where the thing is there, so every command starts with it. It
//! prints one line for each thing it does; it must not know what is built afterwards.

pub(crate) mod broker;
pub(crate) mod debian;
mod linker;
pub(crate) mod packages;
mod rust_src;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::child;
use crate::place::Place;

/// What the kernel build needs besides cargo.
pub(crate) struct Tools {
    /// The linker, by absolute path: it is never looked for in `PATH`, where another version may be.
    pub(crate) bpf_linker: PathBuf,
    /// The folder of the compiler that builds here.
    pub(crate) sysroot: PathBuf,
}

/// The compiler in use.
struct Compiler {
    /// Such as `1.95.0`.
    release: String,
    /// The major version of the LLVM inside.
    llvm: u32,
    sysroot: PathBuf,
}

/// Brings the machine up to what the builds need.
pub(crate) fn command(place: &Place) -> Result<Tools> {
    let compiler = Compiler::find(place)?;
    rust_src::ensure(place, &compiler)?;
    let bpf_linker = linker::ensure(place, &compiler)?;
    Ok(Tools { bpf_linker, sysroot: compiler.sysroot })
}

impl Compiler {
    fn find(place: &Place) -> Result<Compiler> {
        let rustc = |flags: &[&str]| {
            let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            child::output(child::command(program, &place.top).args(flags), "asking rustc about itself")
        };
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let version = rustc(&["--version", "--verbose"])?;
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let release = field("release:").context("rustc does not say its release")?.to_owned();
        let llvm = field("LLVM version:").and_then(|llvm| llvm.split('.').next()?.parse().ok());
        Ok(Compiler { release, llvm: llvm.context("rustc does not say its LLVM version")?, sysroot })
    }
}
