//! What differs between the processor architectures that the sensor runs on: the only file that asks which one this is.

use sensor_common::syscalls::Machine;

/// The one that this daemon was built for, which is the kernel's.
pub const HERE: Machine = if cfg!(target_arch = "aarch64") { Machine::Arm64 } else { Machine::X86_64 };

/// The bit of `task_ti_compat` that marks a 32-bit caller.
pub(super) const fn compat_bit(machine: Machine) -> u32 {
    match machine {
        // `TS_COMPAT` of the status: the call under way.
        Machine::X86_64 => 1 << 1,
        // `TIF_32BIT` of the flags: the whole task.
        Machine::Arm64 => 1 << 22,
    }
}

/// What the names of the kernel's functions for calls begin with.
pub(super) struct Prefixes {
    /// Those of the native table.
    pub(super) native: &'static str,
    /// Those of the 32-bit table: where the arguments differ, else as they come.
    pub(super) compat: [&'static str; 2],
    /// A function that exists wherever 32-bit calls do.
    pub(super) has_compat: &'static str,
}

/// Those of a machine.
pub(super) const fn prefixes(machine: Machine) -> Prefixes {
    match machine {
        Machine::X86_64 => Prefixes {
            native: "__x64_sys_",
            compat: ["__ia32_compat_sys_", "__ia32_sys_"],
            has_compat: "__ia32_sys_close",
        },
        Machine::Arm64 => Prefixes {
            native: "__arm64_sys_",
            compat: ["__arm64_compat_sys_", "__arm64_sys_"],
            has_compat: "__arm64_compat_sys_open",
        },
    }
}
