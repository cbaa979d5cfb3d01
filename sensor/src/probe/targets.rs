//! Numbers of system calls → the kernel's functions that serve them on this kernel, 32-bit ones included.

use sensor_common::syscalls;

use super::{
    btf::Btf,
    machine::{HERE, Prefixes, prefixes},
};

/// A function that programs can be attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) function: String,
    /// The id of its prototype.
    pub(super) prototype: u32,
}

/// The functions of some calls.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Targets {
    pub(super) functions: Vec<Target>,
    /// What this kernel does not have at all.
    pub(super) absent: Vec<String>,
}

impl Targets {
    /// Those of these calls; the error says which one of them has none that a program can be attached to.
    pub(super) fn of(numbers: &[u32], btf: &Btf) -> Result<Self, String> {
        let mut targets = Self::default();
        let prefixes = prefixes(HERE);
        let has_compat = btf.syscall(prefixes.has_compat).is_some();
        if !has_compat {
            targets.absent.push("32-bit calls".to_owned());
        }
        for number in numbers {
            let row = syscalls::TABLE.iter().find(|row| row.number == *number).ok_or("no name")?;
            let name = row.name.to_lowercase();
            let native = format!("{}{}", prefixes.native, if name == "umount2" { "umount" } else { &name });
            let is_native = syscalls::is_native(HERE, *number);
            if is_native && *number > syscalls::LAST_OF_5_10 && btf.syscall(&native).is_none() {
                targets.absent.push(name);
                continue;
            }
            if is_native {
                targets.add(&[native], btf)?;
            }
            if has_compat {
                targets.add_compat(*number, &name, &prefixes, btf)?;
            }
        }
        Ok(targets)
    }

    /// A 32-bit call has a function of its own only where its arguments differ.
    fn add_compat(&mut self, number: u32, name: &str, prefixes: &Prefixes, btf: &Btf) -> Result<(), String> {
        let compat = syscalls::FIRST_COMPAT..syscalls::FIRST_SOCKETCALL;
        for index in syscalls::indexes(HERE, number).filter(|index| *index >= compat.start) {
            let number = index - compat.start;
            let short_name = format!("{name}16");
            let name = match number {
                _ if !compat.contains(&index) => "socketcall",
                _ if syscalls::has_short_ids(number) => &short_name,
                // What the kernel's own tables call otherwise than the call.
                22 => "oldumount",
                52 => "umount",
                221 => "fcntl64",
                417 => "recvmmsg_time64",
                _ if name == "recvmmsg" => "recvmmsg_time32",
                _ => name,
            };
            self.add(&prefixes.compat.map(|prefix| format!("{prefix}{name}")), btf)?;
        }
        Ok(())
    }

    /// The first of these that there is.
    fn add(&mut self, names: &[String], btf: &Btf) -> Result<(), String> {
        let found = names.iter().find_map(|name| Some((name, btf.syscall(name)?)));
        let (function, prototype) =
            found.ok_or_else(|| format!("this kernel has no function {}", names.join(" or ")))?;
        if !self.functions.iter().any(|known| known.function == *function) {
            self.functions.push(Target { function: function.clone(), prototype });
        }
        Ok(())
    }
}
