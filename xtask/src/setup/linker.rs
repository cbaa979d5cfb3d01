//! Installs the one version of `bpf-linker` that fits the pinned compiler, into the cache folder.
//!
//! It must not touch what the user installed: the tool has a folder of its own with the version in its name.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::Compiler;
use crate::child;
use crate::place::Place;

/// The last version whose default build loads the LLVM that comes with rustc; 0.11 and later want an LLVM of
/// the system.
const VERSION: &str = "0.10.3";

/// The LLVM that this version can load. Object files of a newer LLVM make an older linker fail with messages
/// about unknown attributes, so a compiler with another LLVM is refused before that.
const LLVM: u32 = 22;

/// Where the linker is, after installing it where it is missing.
pub(super) fn ensure(place: &Place, compiler: &Compiler) -> Result<PathBuf> {
    ensure!(
        compiler.llvm == LLVM,
        "bpf-linker {VERSION} needs a rustc with LLVM {LLVM}, rustc {} has LLVM {}: use the toolchain of \
         rust-toolchain.toml",
        compiler.release,
        compiler.llvm,
    );
    let root = place.cache.join("tools").join(format!("bpf-linker-{VERSION}"));
    let program = root.join("bin/bpf-linker");
    if program.is_file() {
        return Ok(program);
    }
    println!("setup: installing bpf-linker {VERSION} into {} (a minute or two)", root.display());
    let mut cargo = child::cargo(&place.top);
    cargo
        .args(["install", "--quiet", "--locked", "--root"])
        .arg(&root)
        .arg(format!("bpf-linker@{VERSION}"))
        // Flags meant for this repository are not meant for the tool.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // Cargo warns that the folder is not in PATH, which nobody needs it to be.
        .env("PATH", path_with(&root));
    child::run(&mut cargo, "installing bpf-linker")?;
    Ok(program)
}

/// `PATH` with the tool's own folder at the end.
fn path_with(root: &std::path::Path) -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":");
    path.push(root.join("bin"));
    path
}
