//! System call numbers of `x86_64`, by which records name calls, and the tables of other machines and of 32-bit programs.
//!
//! A running kernel speaks one native table and perhaps a 32-bit one. The tables that programs are found by have a slot for
//! each number that a program can say there; [`indexes`] and [`numbers`] are the way there and back.

/// Slots of the dispatch tables: native numbers, then 32-bit ones, then the calls inside `socketcall`.
pub const INDEXES: u32 = FIRST_SOCKETCALL + 32;
/// First slot of the 32-bit numbers.
pub const FIRST_COMPAT: u32 = 512;
/// First slot of the calls inside `socketcall`.
pub const FIRST_SOCKETCALL: u32 = 1024;
/// Words of the table from slots to numbers: a power of two, because the verifier believes in masks.
pub const NUMBERS: usize = 2048;
/// In that table: a call that no program exists for.
pub const NO_CALL: u16 = u16::MAX;
/// 32-bit `socketcall` (`x86`; nobody has that number on `arm64`).
pub const SOCKETCALL: u32 = 102;
/// The last call of Linux 5.10, `process_madvise`. Later ones may be missing.
pub const LAST_OF_5_10: u32 = 440;
/// Words of a set of numbers as callers have them in their register, whatever their width: one bit each.
pub const RAW_WORDS: u32 = FIRST_COMPAT / 64;
/// Marks the numbers of x32 callers.
pub const X32: u32 = 1 << 30;
/// Calls that 32-bit callers alone have are known by their 32-bit number behind this one.
const COMPAT_ONLY: u32 = 4096;

/// A processor architecture, as far as calls are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// With `i386` as its 32-bit table.
    X86_64,
    /// With the generic table, and the one of 32-bit `arm` (EABI).
    Arm64,
}

/// A call that a program exists for; all that has no number is not in that table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its number in the table of `x86_64`.
    pub number: u32,
    /// Its name in capital letters.
    pub name: &'static str,
    i386: Option<u32>,
    socketcall: Option<u32>,
    arm64: Option<u32>,
    arm: Option<u32>,
}

macro_rules! syscalls {
    ($($name:ident $number:literal i386 $i386:tt socketcall $socketcall:tt arm64 $arm64:tt arm $arm:tt;)*) => {
        $(#[doc = concat!("Number of `", stringify!($name), "`.")] pub const $name: u32 = $number;)*

        /// Every call that a program exists for.
        pub const TABLE: &[Row] = &[$(Row {
            number: $number,
            name: stringify!($name),
            i386: option!($i386),
            socketcall: option!($socketcall),
            arm64: option!($arm64),
            arm: option!($arm),
        },)*];
    };
}

macro_rules! option {
    (none) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
}

syscalls! {
    OPEN 2 i386 5 socketcall none arm64 none arm 5;
    MPROTECT 10 i386 125 socketcall none arm64 226 arm 125;
    DUP 32 i386 41 socketcall none arm64 23 arm 41;
    DUP2 33 i386 63 socketcall none arm64 none arm 63;
    SOCKET 41 i386 359 socketcall 1 arm64 198 arm 281;
    CONNECT 42 i386 362 socketcall 3 arm64 203 arm 283;
    ACCEPT 43 i386 none socketcall 5 arm64 202 arm 285;
    SENDTO 44 i386 369 socketcall 11 arm64 206 arm 290;
    RECVFROM 45 i386 371 socketcall 12 arm64 207 arm 292;
    SENDMSG 46 i386 370 socketcall 16 arm64 211 arm 296;
    RECVMSG 47 i386 372 socketcall 17 arm64 212 arm 297;
    BIND 49 i386 361 socketcall 2 arm64 200 arm 282;
    LISTEN 50 i386 363 socketcall 4 arm64 201 arm 284;
    CLONE 56 i386 120 socketcall none arm64 220 arm 120;
    FORK 57 i386 2 socketcall none arm64 none arm 2;
    VFORK 58 i386 190 socketcall none arm64 none arm 190;
    EXECVE 59 i386 11 socketcall none arm64 221 arm 11;
    KILL 62 i386 37 socketcall none arm64 129 arm 37;
    FCNTL 72 i386 55 socketcall none arm64 25 arm 55;
    RENAME 82 i386 38 socketcall none arm64 none arm 38;
    MKDIR 83 i386 39 socketcall none arm64 none arm 39;
    RMDIR 84 i386 40 socketcall none arm64 none arm 40;
    CREAT 85 i386 8 socketcall none arm64 none arm 8;
    LINK 86 i386 9 socketcall none arm64 none arm 9;
    UNLINK 87 i386 10 socketcall none arm64 none arm 10;
    SYMLINK 88 i386 83 socketcall none arm64 none arm 83;
    CHMOD 90 i386 15 socketcall none arm64 none arm 15;
    FCHMOD 91 i386 94 socketcall none arm64 52 arm 94;
    CHOWN 92 i386 212 socketcall none arm64 none arm 212;
    FCHOWN 93 i386 207 socketcall none arm64 55 arm 207;
    LCHOWN 94 i386 198 socketcall none arm64 none arm 198;
    PTRACE 101 i386 26 socketcall none arm64 117 arm 26;
    SETUID 105 i386 213 socketcall none arm64 146 arm 213;
    SETGID 106 i386 214 socketcall none arm64 144 arm 214;
    SETREUID 113 i386 203 socketcall none arm64 145 arm 203;
    SETREGID 114 i386 204 socketcall none arm64 143 arm 204;
    SETRESUID 117 i386 208 socketcall none arm64 147 arm 208;
    SETRESGID 119 i386 210 socketcall none arm64 149 arm 210;
    SETFSUID 122 i386 215 socketcall none arm64 151 arm 215;
    SETFSGID 123 i386 216 socketcall none arm64 152 arm 216;
    CAPSET 126 i386 185 socketcall none arm64 91 arm 185;
    MKNOD 133 i386 14 socketcall none arm64 none arm 14;
    PIVOT_ROOT 155 i386 217 socketcall none arm64 41 arm 218;
    PRCTL 157 i386 172 socketcall none arm64 167 arm 172;
    CHROOT 161 i386 61 socketcall none arm64 51 arm 61;
    MOUNT 165 i386 21 socketcall none arm64 40 arm 21;
    UMOUNT2 166 i386 52 socketcall none arm64 39 arm 52;
    INIT_MODULE 175 i386 128 socketcall none arm64 105 arm 128;
    DELETE_MODULE 176 i386 129 socketcall none arm64 106 arm 129;
    TKILL 200 i386 238 socketcall none arm64 130 arm 238;
    TGKILL 234 i386 270 socketcall none arm64 131 arm 268;
    KEYCTL 250 i386 288 socketcall none arm64 219 arm 311;
    OPENAT 257 i386 295 socketcall none arm64 56 arm 322;
    MKDIRAT 258 i386 296 socketcall none arm64 34 arm 323;
    MKNODAT 259 i386 297 socketcall none arm64 33 arm 324;
    FCHOWNAT 260 i386 298 socketcall none arm64 54 arm 325;
    UNLINKAT 263 i386 301 socketcall none arm64 35 arm 328;
    RENAMEAT 264 i386 302 socketcall none arm64 38 arm 329;
    LINKAT 265 i386 303 socketcall none arm64 37 arm 330;
    SYMLINKAT 266 i386 304 socketcall none arm64 36 arm 331;
    FCHMODAT 268 i386 306 socketcall none arm64 53 arm 333;
    UNSHARE 272 i386 310 socketcall none arm64 97 arm 337;
    ACCEPT4 288 i386 364 socketcall 18 arm64 242 arm 366;
    DUP3 292 i386 330 socketcall none arm64 24 arm 358;
    PERF_EVENT_OPEN 298 i386 336 socketcall none arm64 241 arm 364;
    RECVMMSG 299 i386 337 socketcall 19 arm64 243 arm 365;
    OPEN_BY_HANDLE_AT 304 i386 342 socketcall none arm64 265 arm 371;
    SENDMMSG 307 i386 345 socketcall 20 arm64 269 arm 374;
    SETNS 308 i386 346 socketcall none arm64 268 arm 375;
    PROCESS_VM_READV 310 i386 347 socketcall none arm64 270 arm 376;
    PROCESS_VM_WRITEV 311 i386 348 socketcall none arm64 271 arm 377;
    FINIT_MODULE 313 i386 350 socketcall none arm64 273 arm 379;
    RENAMEAT2 316 i386 353 socketcall none arm64 276 arm 382;
    MEMFD_CREATE 319 i386 356 socketcall none arm64 279 arm 385;
    BPF 321 i386 357 socketcall none arm64 280 arm 386;
    EXECVEAT 322 i386 358 socketcall none arm64 281 arm 387;
    USERFAULTFD 323 i386 374 socketcall none arm64 282 arm 388;
    PIDFD_SEND_SIGNAL 424 i386 424 socketcall none arm64 424 arm 424;
    IO_URING_SETUP 425 i386 425 socketcall none arm64 425 arm 425;
    MOVE_MOUNT 429 i386 429 socketcall none arm64 429 arm 429;
    CLONE3 435 i386 435 socketcall none arm64 435 arm 435;
    OPENAT2 437 i386 437 socketcall none arm64 437 arm 437;
    PIDFD_GETFD 438 i386 438 socketcall none arm64 438 arm 438;
    FCHMODAT2 452 i386 452 socketcall none arm64 452 arm 452;
    UMOUNT 4118 i386 22 socketcall none arm64 none arm none;
}

/// (number, 32-bit number) of calls that 32-bit callers have twice: these are the old ones, with ids of 16 bits. Their numbers
/// are older than what tells `i386` and `arm` apart.
pub const SHORT_IDS: &[(u32, u32)] = &[
    (CHOWN, 182),
    (LCHOWN, 16),
    (FCHOWN, 95),
    (SETUID, 23),
    (SETGID, 46),
    (SETREUID, 70),
    (SETREGID, 71),
    (SETRESUID, 164),
    (SETRESGID, 170),
    (SETFSUID, 138),
    (SETFSGID, 139),
];

/// (number, 32-bit number) of other calls that 32-bit callers have twice (`fcntl64`, `recvmmsg_time64`): the second one, on both
/// machines.
pub const SECOND: &[(u32, u32)] = &[(FCNTL, 221), (RECVMMSG, 417)];

/// Whether a 32-bit call is one of [`SHORT_IDS`].
#[must_use]
pub const fn has_short_ids(number: u32) -> bool {
    matches!(number, 16 | 23 | 46 | 70 | 71 | 95 | 138 | 139 | 164 | 170 | 182)
}

/// Whether the machine's native table has a call.
#[must_use]
pub fn is_native(machine: Machine, number: u32) -> bool {
    indexes(machine, number).any(|slot| slot < FIRST_COMPAT)
}

/// The slots of a call in the dispatch tables: native, 32-bit ones, and inside `socketcall`.
pub fn indexes(machine: Machine, number: u32) -> impl Iterator<Item = u32> {
    let row = TABLE.iter().find(|row| row.number == number);
    let (native, compat, inside) = match machine {
        Machine::X86_64 => (
            (number < COMPAT_ONLY).then_some(number),
            row.and_then(|row| row.i386),
            row.and_then(|row| row.socketcall),
        ),
        Machine::Arm64 => (row.and_then(|row| row.arm64), row.and_then(|row| row.arm), None),
    };
    let twice = SHORT_IDS.iter().chain(SECOND).filter(move |(native, _)| *native == number);
    let compat =
        compat.into_iter().chain(twice.map(|(_, compat)| *compat)).map(|number| FIRST_COMPAT + number);
    native.into_iter().chain(compat).chain(inside.map(|call| FIRST_SOCKETCALL + call))
}

/// The number of the call behind each slot, or [`NO_CALL`]. What is native to `x86_64` is known whether a program exists for it
/// or not.
#[must_use]
pub fn numbers(machine: Machine) -> [u16; NUMBERS] {
    let mut numbers = [NO_CALL; NUMBERS];
    if machine == Machine::X86_64 {
        for (slot, number) in (0..FIRST_COMPAT as u16).zip(&mut numbers) {
            *number = slot;
        }
    }
    for row in TABLE {
        for slot in indexes(machine, row.number) {
            if let Some(number) = numbers.get_mut(slot as usize) {
                *number = row.number as u16;
            }
        }
    }
    numbers
}

/// The number that a caller has in its register whose call is dispatched by this slot.
#[must_use]
pub const fn raw(index: u32) -> u32 {
    if index >= FIRST_SOCKETCALL { SOCKETCALL } else { index % FIRST_COMPAT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_belongs_to_one_call() {
        for machine in [Machine::X86_64, Machine::Arm64] {
            let numbers = numbers(machine);
            for row in TABLE {
                for slot in indexes(machine, row.number) {
                    assert!(slot < INDEXES);
                    assert_eq!(u32::from(numbers[slot as usize]), row.number, "{} on {machine:?}", row.name);
                }
            }
        }
        assert_eq!(numbers(Machine::X86_64)[39], 39);
        assert_eq!(numbers(Machine::Arm64)[39], UMOUNT2 as u16);
        assert_eq!(numbers(Machine::Arm64)[0], NO_CALL);
    }

    /// The dispatcher jumps for its number without a look at who calls.
    #[test]
    fn no_32_bit_call_that_is_watched_has_the_number_of_openat() {
        let taken = FIRST_COMPAT + OPENAT;
        assert!(TABLE.iter().all(|row| indexes(Machine::X86_64, row.number).all(|index| index != taken)));
    }

    #[test]
    fn short_ids_are_known_by_their_numbers() {
        assert!(SHORT_IDS.iter().all(|(_, compat)| has_short_ids(*compat)));
        assert_eq!((0..512).filter(|number| has_short_ids(*number)).count(), SHORT_IDS.len());
        for row in TABLE.iter().filter(|row| row.number >= FIRST_COMPAT) {
            assert_eq!(Some(row.number - COMPAT_ONLY), row.i386);
        }
    }

    #[test]
    fn the_generic_table_has_its_own_numbers() {
        let are = |number, expected: &[u32]| indexes(Machine::Arm64, number).eq(expected.iter().copied());
        assert!(are(OPENAT, &[56, FIRST_COMPAT + 322]));
        assert!(are(OPEN, &[FIRST_COMPAT + 5]));
        assert!(are(SOCKET, &[198, FIRST_COMPAT + 281]));
        assert!(!is_native(Machine::Arm64, OPEN) && is_native(Machine::X86_64, OPEN));
        assert!(!is_native(Machine::X86_64, UMOUNT));
    }
}
