//! The harness of the tests that need a kernel: it starts the sensor, lets a helper program do one thing after the other,
//! and gives back what the helper says it did and what the sensor says it saw. It knows no expectations.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness that cannot go on fails its test"
)]

pub mod act;
pub mod alerts;
pub mod cgroup;
pub mod container;
pub mod cri;
pub mod daemon;
pub mod dns;
pub mod engine;
mod event;
mod machine;
pub mod prometheus;
pub mod receiver;
pub mod record;
pub mod recorded;
pub mod require;
mod sensor;
pub mod server;
mod slow;
pub mod webhook;

use std::path::PathBuf;

pub use self::{
    act::{Act, Done},
    event::Event,
    machine::called,
    sensor::{Exclusive, FEW, Sensor, exclusive, shared},
    slow::{deadline, scaled},
};

/// The daemon under test: `VEDETTE_BIN`, else the release build of this workspace.
#[must_use]
pub fn vedette() -> PathBuf {
    std::env::var_os("VEDETTE_BIN").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/vedette")),
        PathBuf::from,
    )
}

/// The name of the test that runs, as libtest prints it.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        let name = name.strip_suffix("::here").unwrap_or(name);
        name.split_once("::").map_or(name, |(_, name)| name)
    }};
}

/// Ends the test as skipped where programs cannot make 32-bit calls without being 32-bit programs.
#[macro_export]
macro_rules! needs_32_bit_calls {
    () => {
        if cfg!(not(target_arch = "x86_64")) {
            $crate::require::skip(
                $crate::test_name!(),
                "only x86_64 lets a 64-bit program make 32-bit calls",
            );
            return;
        }
    };
}

/// Ends the test as skipped where this machine cannot load the sensor's programs.
#[macro_export]
macro_rules! needs_kernel {
    () => {
        if !$crate::require::kernel($crate::test_name!()) {
            return;
        }
    };
}
