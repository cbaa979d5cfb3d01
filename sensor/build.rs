//! Hands the kernel objects to the compiler: packs what `cargo xtask build` left into `OUT_DIR/vedette.o.z` and its like.
//!
//! It does not build them: that takes a linker and compiler flags of its own, which belong to xtask,
//! and a nested cargo here would wait for the lock of the one that runs it.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, write::ZlibEncoder};

/// One for each way to read the kernel's structs (`sensor-ebpf/src/kernel/reads.rs`), and what it becomes.
const OBJECTS: [(&str, &str); 3] = [
    ("vedette.o", "vedette.o.z"),
    ("vedette-casts.o", "vedette-casts.o.z"),
    ("vedette-probes.o", "vedette-probes.o.z"),
];

fn main() -> Result<(), Box<dyn Error>> {
    for name in ["VEDETTE_BPF_OBJECT", "CARGO_TARGET_DIR"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let built = object()?;
    let to = PathBuf::from(env::var("OUT_DIR")?);
    for (name, packed) in OBJECTS {
        let (object, packed) = (built.with_file_name(name), to.join(packed));
        // Naming a file that is missing makes cargo run this again at every build, until the object is there.
        println!("cargo::rerun-if-changed={}", object.display());
        if !object.is_file() {
            let what = "the kernel object is not built yet: run `cargo xtask build`";
            println!("cargo::error={what} (there is no {})", object.display());
            return Ok(());
        }
        pack(&object, &packed).map_err(|error| {
            format!("cannot pack {} into {}: {error}", object.display(), packed.display())
        })?;
    }
    Ok(())
}

/// A seventh of it is left: each program has its own copy of what they share.
fn pack(object: &Path, packed: &Path) -> io::Result<()> {
    let mut to = ZlibEncoder::new(fs::File::create(packed)?, Compression::best());
    to.write_all(&fs::read(object)?)?;
    to.finish()?.sync_all()
}

/// Where the first is: the place that the environment names, else xtask's (`xtask/src/place.rs`).
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
