//! The kernel half of Vedette: turns what tasks do into the records of `sensor-common`. It decides nothing but whether
//! anybody wants a record.
//!
//! One file per family of hooks, none names another. `kernel` is the only place that reads kernel structs, `record` the
//! only one that writes to the ring.
#![no_std]
#![no_main]
// For instructions that the compiler has no other name for, see `record::add` and `kernel::constant`.
#![feature(asm_experimental_arch)]

mod cgroup;
mod change;
mod control;
mod datagram;
mod dns;
mod dup;
mod exec;
mod file;
mod filter;
mod isolate;
mod kernel;
mod mount;
mod net;
mod privilege;
mod process;
mod record;
mod shield;
mod syscall;
mod uring;

/// The number that the loader compares with its own before it trusts a record.
#[unsafe(no_mangle)]
static ABI: u32 = sensor_common::ABI_VERSION;

/// `bpf_probe_read_kernel` and its like are for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
