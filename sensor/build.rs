//! Hands the kernel object to the compiler: copies what `cargo xtask build` left to `OUT_DIR/vedette.o`.
//!
//! It does not build the object: that takes a linker and compiler flags of its own, which belong to xtask,
//! and a nested cargo here would wait for the lock of the one that runs it.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    for name in ["VEDETTE_BPF_OBJECT", "CARGO_TARGET_DIR"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let object = object()?;
    // Naming a file that is missing makes cargo run this again at every build, until the object is there.
    println!("cargo::rerun-if-changed={}", object.display());
    if !object.is_file() {
        let what = "the kernel object is not built yet: run `cargo xtask build`";
        println!("cargo::error={what} (there is no {})", object.display());
        return Ok(());
    }
    let copy = PathBuf::from(env::var("OUT_DIR")?).join("vedette.o");
    fs::copy(&object, &copy)
        .map_err(|error| format!("cannot copy {} to {}: {error}", object.display(), copy.display()))?;
    Ok(())
}

/// Where the object is: the place that the environment names, else xtask's (`xtask/src/place.rs`).
fn object() -> Result<PathBuf, Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let top = manifest.parent().unwrap_or(Path::new("."));
    // A build script runs in the folder of its package, cargo in that of the repository: relative names mean
    // the latter.
    if let Some(object) = env::var_os("VEDETTE_BPF_OBJECT") {
        return Ok(top.join(object));
    }
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Ok(top.join(target).join("bpf/vedette.o"))
}
