//! Puts the source of Rust's library where `-Zbuild-std` looks for it.
//!
//! rustup has it, and where rustup cannot reach its server, Debian's package of the same release does. The
//! source must be that of the compiler: another release fails deep inside `core` with errors that name
//! nothing of this, so a version that cannot be proved equal is not used.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Compiler, debian};
use crate::child;
use crate::place::Place;

/// How long rustup may take for 4 MB. Without a network it would repeat its attempts for minutes.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);

/// Where the library belongs, from the compiler's folder; rustup puts it there too.
const LIBRARY: &str = "lib/rustlib/src/rust/library";

/// The file beside the library that says which release we put there. rustup does not know of our copy and
/// leaves it in place when it updates a channel, so the copy has to be checked against the compiler.
const STAMP: &str = "lib/rustlib/src/rust/library.release";

/// Returns at once where the source is there; else gets it.
pub(super) fn ensure(place: &Place, compiler: &Compiler) -> Result<()> {
    let library = compiler.sysroot.join(LIBRARY);
    let stamp = compiler.sysroot.join(STAMP);
    let stale = fs::read_to_string(&stamp).is_ok_and(|release| release.trim() != compiler.release);
    if library.join("core/src/lib.rs").is_file() && !stale {
        return Ok(());
    }
    if stale {
        println!("setup: removing the Rust library source of another release");
        fs::remove_dir_all(&library).with_context(|| format!("cannot remove {}", library.display()))?;
        fs::remove_file(&stamp).with_context(|| format!("cannot remove {}", stamp.display()))?;
    }
    println!("setup: adding the Rust {} library source (rust-src)", compiler.release);
    let Err(rustup) = from_rustup(place, &library) else { return Ok(()) };
    println!("setup: rustup could not add it; looking for Debian's package of the same release");
    let Err(debian) = from_debian(place, compiler, &library, &stamp) else { return Ok(()) };
    bail!(
        "no Rust {} library source\n  rustup: {rustup}\n  Debian's rust-src: {debian:#}\n\
         Install it by hand: `rustup component add rust-src`, or unpack the folder `library` of \
         rust-src-{}.tar.xz (from Rust's distribution server) as {}",
        compiler.release,
        compiler.release,
        library.display(),
    )
}

/// The reason is a text, because it is only one half of the error that follows when all ways fail.
fn from_rustup(place: &Place, library: &Path) -> Result<(), String> {
    let mut rustup = child::command("rustup", &place.top);
    // Retries are for lost connections; where there is no connection they only make the wait longer.
    rustup.args(["component", "add", "rust-src"]).env("RUSTUP_MAX_RETRIES", "1");
    // A backtrace would stand behind the cause, which is looked for at the end.
    rustup.env("RUST_BACKTRACE", "0");
    child::within(&mut rustup, RUSTUP_LIMIT).map_err(|text| {
        // The last line of rustup's account is the cause, the others say what it was doing.
        text.lines().last().unwrap_or("failed without a message").trim().to_owned()
    })?;
    if library.join("core/src/lib.rs").is_file() {
        return Ok(());
    }
    Err("the component was added to another toolchain than the one in use".to_owned())
}

fn from_debian(place: &Place, compiler: &Compiler, library: &Path, stamp: &Path) -> Result<()> {
    let package = match kept_package(place, &compiler.release) {
        Some(package) => package,
        None => debian::download(place, "rust-src", &upstream(&compiler.release))?,
    };
    println!("setup: unpacking {}", package.display());
    if let Err(error) = unpack(&package, compiler, library) {
        // A package that does not unpack would stand in the way for ever.
        let _ = fs::remove_file(&package);
        return Err(error);
    }
    fs::write(stamp, &compiler.release).with_context(|| format!("cannot write {}", stamp.display()))
}

/// What a Debian version of this Rust release starts with: Debian takes some files out of the upstream
/// source, and the version says so behind a plus sign.
fn upstream(release: &str) -> String {
    format!("{release}+")
}

/// A package of this release that an earlier set-up left in the cache.
fn kept_package(place: &Place, release: &str) -> Option<PathBuf> {
    let prefix = format!("rust-src_{}", upstream(release));
    let kept = fs::read_dir(debian::folder(place)).ok()?;
    kept.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&prefix) && name.ends_with(".deb")
    })
}

/// Unpacks the library beside its place and then renames it, so that a library that is there is whole.
fn unpack(package: &Path, compiler: &Compiler, library: &Path) -> Result<()> {
    let part = library.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
    // The folder inside the package carries the release: this is where a wrong package would fail.
    let inside = format!("./usr/src/rustc-{}/library", compiler.release);
    let depth = Path::new(&inside).components().count();
    debian::unpack(package, &inside, depth, &part)?;
    if !part.join("core/src/lib.rs").is_file() {
        bail!("{} has no {inside}/core", package.display());
    }
    fs::rename(&part, library).with_context(|| format!("cannot rename {}", part.display()))
}
