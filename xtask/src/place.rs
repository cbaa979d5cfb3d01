//! Turns the environment into the places everything else uses: sources, build output, cache.
//!
//! `sensor/build.rs` looks for the kernel object by the same rule as [`Place::kernel_object`]; the two have
//! no code in common because a build script cannot import this crate.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::arch::Arch;

/// The folders that a command works in, all of them absolute.
pub(crate) struct Place {
    /// The top of the repository: every child process starts there.
    pub(crate) top: PathBuf,
    /// Where cargo leaves what it builds: `CARGO_TARGET_DIR`, else `target/` at the top.
    pub(crate) target: PathBuf,
    /// What may be deleted at any time and is then fetched again: tools, packages, lists.
    pub(crate) cache: PathBuf,
}

impl Place {
    /// Reads the environment once.
    pub(crate) fn find() -> Result<Place> {
        // Cargo says at run time where this crate is; what was compiled in is wrong once a checkout moves.
        let crate_folder =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let top =
            Path::new(&crate_folder).parent().context("the xtask crate has no parent folder")?.to_path_buf();
        // A relative CARGO_TARGET_DIR is relative to the folder cargo starts in, which is always the top.
        let target = top.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
        let cache = match env::var_os("XDG_CACHE_HOME").map(PathBuf::from) {
            Some(dir) if dir.is_absolute() => dir,
            _ => env::home_dir().context("no home folder for the cache: set XDG_CACHE_HOME")?.join(".cache"),
        };
        Ok(Place { top, target, cache: cache.join("vedette") })
    }

    /// The daemon as `cargo build` leaves it for that machine and profile.
    pub(crate) fn daemon(&self, arch: Arch, profile: Profile) -> PathBuf {
        let target = self.target_of(arch);
        let target = if arch == Arch::HERE { target } else { target.join(arch.triple()) };
        target.join(profile.folder()).join("vedette")
    }

    /// The output folder of what runs on that machine.
    pub(crate) fn target_of(&self, arch: Arch) -> PathBuf {
        if arch == Arch::HERE { self.target.clone() } else { self.target.join("cross") }
    }

    /// The output folder of the kernel build. It is separate because that build sets `RUSTC_BOOTSTRAP`,
    /// which build scripts of common crates watch: in one folder, each build would undo the other's work.
    pub(crate) fn kernel_target(&self) -> PathBuf {
        self.target.join("bpf")
    }

    /// Compiler flags, in cargo's encoding (each behind 0x1f), that take the folders of this machine out of what is built.
    /// `sysroot`: the compiler's.
    pub(crate) fn remapped(&self, sysroot: &Path) -> OsString {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
        let mut flags = OsString::new();
        let library = sysroot.join("lib/rustlib/src/rust");
        let folders = [(Some(self.top.clone()), "vedette"), (home, "cargo"), (Some(library), "rust")];
        for (folder, name) in folders {
            let Some(folder) = folder else { continue };
            flags.push("\u{1f}--remap-path-prefix=");
            flags.push(folder);
            flags.push("=");
            flags.push(name);
        }
        flags
    }

    /// Where what is shipped is left.
    pub(crate) fn packages(&self) -> PathBuf {
        self.target.join("package")
    }

    /// The kernel object that `sensor/build.rs` takes into the daemon.
    pub(crate) fn kernel_object(&self) -> PathBuf {
        self.kernel_target().join("vedette.o")
    }

    /// The same with a feature, which it looks for beside that.
    pub(crate) fn kernel_object_with(&self, feature: &str) -> PathBuf {
        self.kernel_target().join(format!("vedette-{feature}.o"))
    }
}

/// How the daemon is built; the kernel object is always optimised, because the verifier needs it so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Slow code, quick build.
    Debug,
    /// What is shipped, measured and tested.
    Release,
}

impl Profile {
    /// The name of cargo's output folder, which differs from the name of the profile for `dev`.
    fn folder(self) -> &'static str {
        match self {
            Profile::Debug => "debug",
            Profile::Release => "release",
        }
    }
}
