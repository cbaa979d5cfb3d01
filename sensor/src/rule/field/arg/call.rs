//! The arguments of calls whose arguments are numbers: ONE declaration of each, with its place and what the number stands
//! for, from which rules read it and tests set it.

use super::{Argument, capabilities, res};
use crate::{
    event::{Call, Detail, Event, EventType, flags},
    rule::value::Out,
};

/// What the number stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// A signed number of 32 bits: a process, a descriptor.
    Int,
    /// A user or a group; all bits set leaves one as it is.
    Id,
    /// A number of 64 bits: a length, an address.
    Wide,
    /// One of several, by name; a number where it has none.
    Choice(&'static [flags::Flag]),
    /// Named bits.
    Flags(&'static [flags::Flag]),
    /// A set of capabilities.
    Caps,
    /// No number: the string that came with the call.
    Text,
}

/// One argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    /// Its place in [`Call::args`].
    pub(crate) place: usize,
    pub(crate) form: Form,
}

const fn call(event: &Event) -> Option<&Call> {
    match &event.detail {
        Detail::Call(call) => Some(call),
        _ => None,
    }
}

fn show(event: &Event, out: &mut Out<'_>, place: usize, form: Form) -> bool {
    let Some(call) = call(event) else { return false };
    let Some(value) = call.args.get(place).copied() else { return false };
    match form {
        Form::Int => out.number(value as i32),
        Form::Id => out.number(value as u32),
        Form::Wide => out.wide(value.cast_unsigned()),
        Form::Choice(table) => {
            let word = u64::from(value as u32);
            if flags::names(table, word).next().is_some() {
                out.flags(table, word, "|")
            } else {
                out.number(value as i32)
            }
        }
        Form::Flags(table) => out.flags(table, value.cast_unsigned(), "|"),
        Form::Caps => capabilities(Some(value.cast_unsigned()), out),
        Form::Text => out.known(call.text.as_bytes()),
    }
}

/// The new descriptor, a negative errno where there is none.
fn fd(event: &Event, out: &mut Out<'_>) -> bool {
    out.number(event.result)
}

/// Event types, the first argument (what came of the call) and the others: name, place, form.
macro_rules! calls {
    ($($($event:ident)|+ = $first:literal $read:ident, [$($name:literal $place:literal $form:expr),* $(,)?];)*) => {
        /// The arguments of an event type of this family.
        pub(super) const fn table(event_type: EventType) -> &'static [Argument] {
            match event_type {
                $($(EventType::$event)|+ => {
                    static TABLE: &[Argument] = &[
                        Argument { name: $first, read: $read },
                        $(Argument { name: $name, read: |event, out| show(event, out, $place, $form) }),*
                    ];
                    TABLE
                })*
                _ => &[],
            }
        }

        /// The same as they lie in the event.
        pub(crate) const fn parts(event_type: EventType) -> &'static [Part] {
            match event_type {
                $($(EventType::$event)|+ => &[$(Part { name: $name, place: $place, form: $form }),*],)*
                _ => &[],
            }
        }
    };
}

use Form::{Caps, Choice, Flags, Id, Int, Text, Wide};

calls! {
    Setuid | Setfsuid = "res" res, ["uid" 0 Id];
    Setgid | Setfsgid = "res" res, ["gid" 0 Id];
    Setreuid = "res" res, ["ruid" 0 Id, "euid" 1 Id];
    Setregid = "res" res, ["rgid" 0 Id, "egid" 1 Id];
    Setresuid = "res" res, ["ruid" 0 Id, "euid" 1 Id, "suid" 2 Id];
    Setresgid = "res" res, ["rgid" 0 Id, "egid" 1 Id, "sgid" 2 Id];
    Capset = "res" res, ["cap_inheritable" 4 Caps, "cap_permitted" 3 Caps, "cap_effective" 2 Caps];
    Setns = "res" res, ["fd" 0 Int, "nstype" 1 Flags(flags::CLONE)];
    Unshare = "res" res, ["flags" 0 Flags(flags::CLONE)];
    Ptrace = "res" res, ["addr" 2 Wide, "data" 3 Wide, "request" 0 Choice(flags::PTRACE), "pid" 1 Int];
    // What was read or written is not copied.
    ProcessVmReadv | ProcessVmWritev = "res" res, ["pid" 0 Int, "data" 0 Text];
    PidfdGetfd = "fd" fd, ["pid_fd" 0 Int, "target_fd" 1 Int, "flags" 2 Wide];
    Kill = "res" res, ["pid" 0 Int, "sig" 1 Choice(flags::SIGNAL)];
    Tkill = "res" res, ["tid" 0 Int, "sig" 1 Choice(flags::SIGNAL)];
    Tgkill = "res" res, ["pid" 0 Int, "tid" 1 Int, "sig" 2 Choice(flags::SIGNAL)];
    // The process is the kernel's word for what the descriptor is of, by its number on the host.
    PidfdSendSignal = "res" res, ["pid_fd" 0 Int, "sig" 1 Choice(flags::SIGNAL), "flags" 3 Wide, "pid" 4 Int];
    Prctl = "res" res, ["option" 0 Choice(flags::PRCTL), "arg2_str" 1 Text, "arg2_int" 1 Wide];
    InitModule = "res" res, ["img" 0 Wide, "length" 1 Wide, "uargs" 2 Text];
    FinitModule = "res" res, ["fd" 0 Int, "uargs" 1 Text, "flags" 2 Flags(flags::MODULE_INIT)];
    DeleteModule = "res" res, ["name" 0 Text, "flags" 1 Flags(flags::FD_FLAGS)];
    Bpf = "fd" fd, ["cmd" 0 Choice(flags::BPF)];
    PerfEventOpen = "fd" fd, ["pid" 1 Int, "cpu" 2 Int, "group_fd" 3 Int, "flags" 4 Wide];
    Keyctl = "res" res, ["operation" 0 Choice(flags::KEYCTL), "arg2" 1 Wide, "arg3" 2 Wide];
    Userfaultfd = "res" res, ["flags" 0 Flags(flags::FD_FLAGS)];
    MemfdCreate = "fd" fd, ["name" 0 Text, "flags" 1 Flags(flags::MEMFD)];
    IoUringSetup = "res" res, [
        "entries" 0 Wide, "sq_entries" 2 Wide, "cq_entries" 3 Wide, "flags" 4 Flags(flags::URING),
        "features" 5 Flags(flags::URING_FEATURES),
    ];
    Mprotect = "res" res, ["addr" 0 Wide, "length" 1 Wide, "prot" 2 Flags(flags::PROT)];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_with_such_a_detail_has_arguments() {
        use sensor_common::Kind;
        let numbers_only = Kind::CredChange.number()..=Kind::MemProtect.number();
        for event_type in EventType::ALL {
            let numbers = event_type.kind().is_some_and(|kind| numbers_only.contains(&kind.number()));
            assert_eq!(!parts(*event_type).is_empty(), numbers, "{event_type}");
        }
    }
}
