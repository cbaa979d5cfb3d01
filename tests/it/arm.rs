//! Programs of 32-bit `arm` on an `arm64` kernel: numbers of their own, in the table of records by the time they are told.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use sensor_tests::{needs_kernel, require, shared, test_name};

/// `open("/proc", O_DIRECTORY)`, `socket(AF_INET, SOCK_STREAM, 0)`, `chown("/none", 0xffff, 7)` with ids of 16 bits, `exit(5)`.
const CODE: [u32; 23] = [
    0xe28f_0054, // add r0, pc, #84 (the first text)
    0xe3a0_1901, // mov r1, #0x4000
    0xe3a0_2000, // mov r2, #0
    0xe3a0_7005, // mov r7, #5
    0xef00_0000, // svc #0
    0xe3a0_0002, // mov r0, #2
    0xe3a0_1001, // mov r1, #1
    0xe3a0_2000, // mov r2, #0
    0xe3a0_7f46, // mov r7, #280
    0xe287_7001, // add r7, r7, #1
    0xef00_0000, // svc #0
    0xe28f_0030, // add r0, pc, #48 (the second text)
    0xe3a0_1cff, // mov r1, #0xff00
    0xe381_10ff, // orr r1, r1, #0xff
    0xe3a0_2007, // mov r2, #7
    0xe3a0_70b6, // mov r7, #182
    0xef00_0000, // svc #0
    0xe3a0_0005, // mov r0, #5
    0xe3a0_7001, // mov r7, #1
    0xef00_0000, // svc #0
    0xe1a0_0000, // nop
    0xe1a0_0000, // nop
    0xe1a0_0000, // nop
];
const TEXTS: &[u8; 16] = b"/proc\0\0\0/none\0\0\0";
/// Where the file is put in memory.
const BASE: u32 = 0x10000;
/// Bytes of the headers.
const HEAD: u32 = 52 + 32;

/// The program as an ELF file with one segment.
fn program() -> Vec<u8> {
    let size = HEAD + 4 * CODE.len() as u32 + TEXTS.len() as u32;
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable for `arm`, version 1; the entry, the program header behind this one, no sections; EABI 5.
    file.extend([2, 0, 40, 0, 1, 0, 0, 0]);
    for word in [BASE + HEAD, 52, 0, 0x0500_0200] {
        file.extend(word.to_le_bytes());
    }
    for half in [52_u16, 32, 1, 40, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // To be loaded whole, to be read and executed.
    for word in [1, 0, BASE, BASE, size, size, 5, 0x10000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(CODE.iter().flat_map(|word| word.to_le_bytes()));
    file.extend(TEXTS);
    file
}

#[test]
fn arm_program_every_call() {
    needs_kernel!();
    if cfg!(not(target_arch = "aarch64")) {
        require::skip(test_name!(), "only arm64 runs programs of 32-bit arm");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("arm");
    fs::write(&path, program()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let sensor = shared();
    let mut child = match Command::new(&path).spawn() {
        Ok(child) => child,
        // Not every processor has them, and not every kernel is built for them.
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
            require::skip(test_name!(), "this machine runs no programs of 32-bit arm");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let pid = child.id();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let mut events = sensor.until_exit(pid);
    let exec = events.iter().rposition(|event| event.is_exec()).expect("it was started");
    events.drain(..=exec);
    let said: Vec<_> =
        events.iter().map(|event| (event.kind(), event.path(), event["compat"] == true)).collect();
    assert_eq!(
        said[..3],
        [("open", "/proc", true), ("socket", "", true), ("chown", "/none", true)],
        "{events:?}"
    );
    assert_eq!(events[0]["/detail/flags"], 0o200_000, "O_DIRECTORY as x86_64 has it");
    assert!(events[0].result() >= 0 && events[1].result() >= 0);
    assert_eq!(events[2].result(), -2);
    assert_eq!(
        (events[2]["/detail/uid"].as_u64(), events[2]["/detail/gid"].as_u64()),
        (Some(u32::MAX.into()), Some(7))
    );
}
