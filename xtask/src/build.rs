//! `cargo xtask build`: the kernel objects, then the daemon with them inside.
//!
//! The kernel object is built with nightly features of a stable toolchain (`-Zbuild-std`), which is allowed
//! for this one build only; nothing here knows what the programs in it do.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::arch::Arch;
use crate::child;
use crate::place::{Place, Profile};
use crate::setup::{self, Tools, packages};

/// The target that kernel programs are built for: BPF in the byte order of every supported machine.
const KERNEL_TARGET: &str = "bpfel-unknown-none";

/// Options of LLVM. Everything is inlined that does not say otherwise: programs have two entries with one body, and LLVM would make
/// functions out of what they share, whose stacks add up to more than the 512 bytes that there are. And no block is copied into
/// those before it, to spare a jump where one of them knows the outcome: the verifier walks through every copy.
const LLVM_ARGS: [&str; 2] = ["-inline-threshold=100000", "-jump-threading-threshold=0"];

/// The kernel half is built with each of these: the ways in which it reads the kernel's structs.
pub(crate) const FEATURES: [&str; 3] = ["", "casts", "probes"];

/// What the user typed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build the daemon without optimisation (`target/debug/vedette`)
    #[arg(long)]
    debug: bool,
    /// Build for this machine (`target/cross/TARGET/release/vedette`): the daemon is linked statically there
    #[arg(long, value_enum, default_value_t = Arch::HERE, value_name = "TARGET")]
    target: Arch,
}

/// Sets up and builds.
pub(crate) fn command(place: &Place, args: &Args) -> Result<()> {
    let profile = if args.debug { Profile::Debug } else { Profile::Release };
    let tools = setup::command(place)?;
    kernel_object(place, &tools)?;
    let daemon = daemon(place, args.target, profile)?;
    println!("built {}", daemon.strip_prefix(&place.top).unwrap_or(&daemon).display());
    Ok(())
}

/// Sets up and builds the release daemon, for the commands that go on to use it.
pub(crate) fn release(place: &Place) -> Result<PathBuf> {
    release_for(place, Arch::HERE)
}

/// The same for another machine.
pub(crate) fn release_for(place: &Place, arch: Arch) -> Result<PathBuf> {
    let tools = setup::command(place)?;
    kernel_object(place, &tools)?;
    daemon(place, arch, Profile::Release)
}

/// Builds the kernel objects and puts them where `sensor/build.rs` looks for them.
pub(crate) fn kernel_object(place: &Place, tools: &Tools) -> Result<()> {
    for feature in FEATURES {
        let wanted =
            if feature.is_empty() { place.kernel_object() } else { place.kernel_object_with(feature) };
        build_kernel_object(place, tools, feature, &wanted)?;
    }
    Ok(())
}

fn build_kernel_object(place: &Place, tools: &Tools, feature: &str, wanted: &Path) -> Result<()> {
    let mut cargo = kernel_cargo(place, tools, "build", feature);
    child::run(cargo.args(["--bin", "vedette-ebpf"]), "building the kernel object")?;
    let built = place.kernel_target().join(KERNEL_TARGET).join("release/vedette-ebpf");
    let bytes = without_dwarf(place, tools, &built)?;
    // The daemon is rebuilt when the object's time stamp changes, so the same bytes are left alone.
    if fs::read(wanted).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    // A build of the daemon that runs at the same time must see the old object or the new one, never half.
    let part = wanted.with_extension("o.part");
    fs::write(&part, &bytes).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, wanted).with_context(|| format!("cannot write {}", wanted.display()))
}

/// The object's bytes without what only a debugger reads, four fifths of it: types and source lines are in its BTF.
fn without_dwarf(place: &Place, tools: &Tools, object: &Path) -> Result<Vec<u8>> {
    let objcopy = tools.sysroot.join("lib/rustlib").join(Arch::HERE.triple()).join("bin/rust-objcopy");
    let copy = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    // A compiler of a distribution may come without it; the object is then larger, and the same in all else.
    let stripped = objcopy.is_file()
        && child::succeeds(
            child::command(&objcopy, &place.top).arg("--strip-debug").args([object, copy.path()]),
        );
    let from = if stripped { copy.path() } else { object };
    fs::read(from).with_context(|| format!("cannot read {}", from.display()))
}

/// A cargo command over the kernel crate, with everything that building for BPF takes.
pub(crate) fn kernel_cargo(place: &Place, tools: &Tools, verb: &str, feature: &str) -> Command {
    let mut cargo = child::cargo(&place.top);
    cargo
        .arg(verb)
        .args(["--release", "--package", "sensor-ebpf", "--target", KERNEL_TARGET, "--features", feature])
        .arg("-Zbuild-std=core")
        .arg("--target-dir")
        .arg(place.kernel_target())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", kernel_flags(place, tools))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &tools.bpf_linker)
        // The linker loads the LLVM of rustc itself and finds it through this path. A cargo that came from
        // rustup sets the path anyway; one from a distribution does not.
        .env("LD_LIBRARY_PATH", tools.sysroot.join("lib"));
    cargo
}

/// The compiler flags of the kernel build, in cargo's encoding: separated by 0x1f, so that a path may
/// contain blanks.
fn kernel_flags(place: &Place, tools: &Tools) -> OsString {
    // BTF is made out of the debug information: it carries the types of the maps and the source lines that
    // the verifier quotes.
    let mut flags = OsString::from("-Cdebuginfo=2\u{1f}-Clink-arg=--btf\u{1f}");
    for arg in LLVM_ARGS {
        // For the compiler, and for the linker, which compiles it all once more.
        flags.push(format!("-Cllvm-args={arg}\u{1f}-Clink-arg=--llvm-args={arg}\u{1f}"));
    }
    // aya asks for a machine, for a layout of `pt_regs` that nothing here uses: the object is the same for all machines.
    flags.push("--cfg=bpf_target_arch=\"x86_64\"");
    // File names end up in BTF. Without the folders of this machine the object is the same everywhere.
    flags.push(place.remapped(&tools.sysroot));
    flags
}

/// Sets up and builds the daemon as it is shipped.
pub(crate) fn shipped(place: &Place, arch: Arch) -> Result<PathBuf> {
    let tools = setup::command(place)?;
    kernel_object(place, &tools)?;
    if arch != Arch::HERE {
        packages::ensure_cross(place, arch)?;
    }
    let mut cargo = arch.shipping_cargo(place, &tools.sysroot);
    cargo.args(["--package", "sensor", "--bin", "vedette", "--profile", "dist", "--locked"]);
    child::run(&mut cargo, "building the daemon")?;
    Ok(place.target_of(arch).join(arch.triple()).join("dist/vedette"))
}

fn daemon(place: &Place, arch: Arch, profile: Profile) -> Result<PathBuf> {
    if arch != Arch::HERE {
        packages::ensure_cross(place, arch)?;
    }
    let mut cargo = arch.cargo(place, "build");
    cargo.args(["--package", "sensor", "--bin", "vedette"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    child::run(&mut cargo, "building the daemon")?;
    Ok(place.daemon(arch, profile))
}
