//! The processor architectures that Vedette is built for, and what building for another one than this takes.
//!
//! The kernel object is the same for all of them; the daemon is cross-compiled with Debian's compiler as linker and
//! Rust's library built from its source, because rustup need not have the library of another machine.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use clap::builder::PossibleValue;

use crate::child;
use crate::place::Place;
use crate::setup::packages::Package;

/// An architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arch {
    /// Debian's `amd64`.
    X86_64,
    /// Debian's `arm64`.
    Arm64,
}

impl Arch {
    /// The one that this runs on. An unknown one counts as the first: builds for it fail by themselves.
    pub(crate) const HERE: Arch = if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::X86_64 };

    /// Rust's name of the target.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-unknown-linux-gnu",
            Arch::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Debian's name.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::Arm64 => "arm64",
        }
    }

    /// Go's name, which images carry.
    pub(crate) fn oci(self) -> &'static str {
        self.debian()
    }

    /// RPM's name.
    pub(crate) fn rpm(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Arm64 => "aarch64",
        }
    }

    /// What the names of the cross-compiler's programs begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64-linux-gnu-",
            Arch::Arm64 => "aarch64-linux-gnu-",
        }
    }

    /// The emulator of such machines.
    pub(crate) fn qemu(self) -> Package {
        const WHY: &str = "machines with other kernels";
        match self {
            Arch::X86_64 => Package { name: "qemu-system-x86", program: "qemu-system-x86_64", why: WHY },
            Arch::Arm64 => Package { name: "qemu-system-arm", program: "qemu-system-aarch64", why: WHY },
        }
    }

    /// What cross-compiling needs of the distribution: a compiler that links, and the C library to link with.
    pub(crate) fn packages(self) -> [Package; 2] {
        const WHY: &str = "links programs for another machine";
        let [compiler, library] = match self {
            Arch::X86_64 => ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
            Arch::Arm64 => ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
        };
        let program = match self {
            Arch::X86_64 => "x86_64-linux-gnu-gcc",
            Arch::Arm64 => "aarch64-linux-gnu-gcc",
        };
        [Package { name: compiler, program, why: WHY }, Package { name: library, program, why: WHY }]
    }

    /// A cargo command that builds for it. Where that is another machine, its output is in a folder of its own, for the reason
    /// that [`Place::kernel_target`] gives, and linked statically: nothing of that machine is here to link with, and the
    /// daemon runs wherever it is copied to.
    pub(crate) fn cargo(self, place: &Place, verb: &str) -> Command {
        let mut cargo = child::cargo(&place.top);
        cargo.arg(verb).arg("--target-dir").arg(place.target_of(self));
        if self == Arch::HERE {
            return cargo;
        }
        let variable =
            |name: &str| format!("CARGO_TARGET_{}_{name}", self.triple().to_uppercase().replace('-', "_"));
        cargo
            .args(["--target", self.triple(), "-Zbuild-std"])
            .env("RUSTC_BOOTSTRAP", "1")
            // The kernel object stays where it is.
            .env("VEDETTE_BPF_OBJECT", place.kernel_object())
            .env(variable("LINKER"), format!("{}gcc", self.prefix()))
            .env(variable("RUSTFLAGS"), "-Ctarget-feature=+crt-static")
            .env(format!("CC_{}", self.triple().replace('-', "_")), format!("{}gcc", self.prefix()));
        cargo
    }

    /// A cargo command that builds what is shipped: linked statically, also for this machine, and the same wherever the
    /// checkout and cargo's folders are. It has an output folder of its own, because other flags are other programs to cargo.
    pub(crate) fn shipping_cargo(self, place: &Place, sysroot: &Path) -> Command {
        let mut cargo = self.cargo(place, "build");
        if self == Arch::HERE {
            cargo.args(["--target", self.triple()]).env("VEDETTE_BPF_OBJECT", place.kernel_object());
        }
        let mut flags = OsString::from("-Ctarget-feature=+crt-static");
        flags.push(place.remapped(sysroot));
        // Cargo takes one source of flags alone, and this one goes before all others.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
        cargo
    }
}

impl clap::ValueEnum for Arch {
    fn value_variants<'a>() -> &'a [Arch] {
        &[Arch::X86_64, Arch::Arm64]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (machine, _) = self.triple().split_once('-')?;
        Some(PossibleValue::new(self.triple()).aliases([machine, self.debian()]))
    }
}
