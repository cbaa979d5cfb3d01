//! Puts the kernel object where the loader includes it from.

use std::{env, fs, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let from = |name: &str| env::var_os(name).map(PathBuf::from);
    let manifest = from("CARGO_MANIFEST_DIR").unwrap_or_default();
    let target = from("CARGO_TARGET_DIR").unwrap_or_else(|| manifest.join("../target"));
    let object = from("VEDETTE_BPF_OBJECT").unwrap_or_else(|| target.join("bpf/vedette.o"));
    println!("cargo:rerun-if-env-changed=VEDETTE_BPF_OBJECT");
    println!("cargo:rerun-if-changed={}", object.display());
    let to = from("OUT_DIR").unwrap_or_default().join("vedette.o");
    match fs::copy(&object, to) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "the kernel object is not built yet, run `cargo xtask build` ({}: {error})",
                object.display()
            );
            ExitCode::FAILURE
        }
    }
}
