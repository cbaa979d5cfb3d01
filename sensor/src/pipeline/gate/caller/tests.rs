//! The call that a thread is in, from the kernel's words for it.

use super::*;

fn me() -> Caller {
    Caller(std::process::id())
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_call_is_known_by_its_number_in_either_table() {
    let open = |number, flags, mode| Some(Call::Open { number, flags, mode });
    for (text, expected) in [
        ("257 0xffffff9c 0x7ffe 0x80002 0x1b6 0x0 0x0 0x7ffe 0x7f00", open(syscalls::OPENAT, 0x80002, 0x1b6)),
        ("2 0x7ffe 0x1 0x1a4 0x0 0x0 0x0 0x7ffe 0x7f00", open(syscalls::OPEN, 1, 0x1a4)),
        ("5 0x7ffe 0x1 0x1a4 0x0 0x0 0x0 0x7ffe 0x7f00", open(syscalls::OPEN, 1, 0x1a4)),
        ("85 0x7ffe 0x1a4 0x0 0x0 0x0 0x0 0x7ffe 0x7f00", open(syscalls::CREAT, CREAT_FLAGS, 0x1a4)),
        ("304 0x3 0x7ffe 0x0 0x0 0x0 0x0 0x7ffe 0x7f00", open(syscalls::OPEN_BY_HANDLE_AT, 0, 0)),
        ("59 0x7ffe 0x7ffe 0x7ffe 0x0 0x0 0x0 0x7ffe 0x7f00", Some(Call::Exec)),
        ("11 0x7ffe 0x7ffe 0x7ffe 0x0 0x0 0x0 0x7ffe 0x7f00", Some(Call::Exec)),
        ("426 0x3 0x1 0x0 0x0 0x0 0x0 0x7ffe 0x7f00", Some(Call::Other)),
        ("1073741826 0x7ffe 0x1 0x1a4 0x0 0x0 0x0 0x7ffe 0x7f00", Some(Call::Other)),
        ("-1 0x7ffe 0x7f00", Some(Call::Other)),
        ("257 0xffffff9c", None),
        ("", None),
    ] {
        assert_eq!(me().named(text), expected, "{text}");
    }
}

#[test]
fn what_openat2_asks_is_in_the_callers_memory() {
    let how: [u64; 3] = [0o2, 0o644, 0];
    let at = how.as_ptr() as usize;
    let text = format!("437 0xffffff9c 0x0 0x{at:x} 0x18 0x0 0x0 0x0 0x0");
    let expected = Call::Open { number: syscalls::OPENAT2, flags: 0o2, mode: 0o644 };
    assert_eq!(me().named(&text), Some(expected));
    assert_eq!(me().named("437 0xffffff9c 0x0 0x0 0x18 0x0 0x0 0x0 0x0"), None, "nothing lies there");
}

#[test]
fn what_is_not_known_of_a_call_may_be_anything() {
    let open = |flags| Call::Open { number: syscalls::OPENAT, flags, mode: 0 };
    assert_eq!(open(0o100).access(), [READ]);
    assert_eq!(open(0o1).access(), [WRITE]);
    assert_eq!(open(0o2).access(), [READ | WRITE]);
    assert_eq!(open(0o3).access(), [0]);
    assert_eq!(Call::Other.access().len(), 4);
}
