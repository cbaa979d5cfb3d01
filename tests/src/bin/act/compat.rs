//! Steps that go through the 32-bit door of the kernel, `int $0x80`, which any 64-bit program can use. Whatever they point
//! to has to lie below 4 GiB.

use std::{arch::asm, ptr::null_mut};

use crate::{Args, Outcome};

/// Memory below 4 GiB.
pub(crate) struct Low {
    start: *mut u8,
    used: usize,
}

const SIZE: usize = 1 << 16;

impl Low {
    pub(crate) fn new() -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        // SAFETY: a new mapping.
        let start = unsafe { libc::mmap(null_mut(), SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Self { start: start.cast(), used: 0 }
    }

    /// Copies bytes there and says where they are.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> u32 {
        assert!(self.used + bytes.len() <= SIZE);
        // SAFETY: there is room for them.
        let to = unsafe { self.start.add(self.used) };
        // SAFETY: as above.
        unsafe { to.copy_from(bytes.as_ptr(), bytes.len()) };
        self.used += bytes.len().next_multiple_of(8);
        to as u32
    }

    pub(crate) fn put_words(&mut self, words: &[u32]) -> u32 {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.put(&bytes)
    }
}

/// A 32-bit system call.
pub(crate) fn call(number: u32, args: [u32; 4]) -> Outcome {
    let result: u32;
    // SAFETY: the kernel keeps the registers that are not named. LLVM keeps rbx for itself, so it is put back.
    unsafe {
        asm!(
            "xchg {first}, rbx",
            "int $$0x80",
            "xchg {first}, rbx",
            first = inout(reg) u64::from(args[0]) => _,
            inout("eax") number => result,
            in("ecx") args[1],
            in("edx") args[2],
            in("esi") args[3],
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            options(nostack),
        );
    }
    Outcome(i64::from(result.cast_signed()), String::new())
}

pub(crate) fn step(name: &str, args: &mut Args) -> Option<Outcome> {
    let mut low = Low::new();
    Some(match name {
        "open32" => {
            let (path, flags, mode) = (args.c(), args.number() as u32, args.number() as u32);
            call(5, [low.put(path.as_bytes_with_nul()), flags, mode, 0])
        }
        "creat32" => {
            let (path, mode) = (args.c(), args.number() as u32);
            call(8, [low.put(path.as_bytes_with_nul()), mode, 0, 0])
        }
        "openat32" => {
            let (dir, path) = (args.number() as u32, args.c());
            let (flags, mode) = (args.number() as u32, args.number() as u32);
            call(295, [dir, low.put(path.as_bytes_with_nul()), flags, mode])
        }
        "exec32" => {
            let path = low.put(args.c().as_bytes_with_nul());
            let mut list: Vec<u32> =
                args.rest().iter().map(|arg| low.put(crate::c(arg).as_bytes_with_nul())).collect();
            list.push(0);
            let list = low.put_words(&list);
            call(11, [path, list, 0, 0])
        }
        "fork32" => {
            let code = args.number();
            let Outcome(pid, _) = call(2, [0; 4]);
            if pid == 0 {
                // SAFETY: a number.
                unsafe { libc::_exit(code as i32) };
            }
            let mut status = 0;
            // SAFETY: the status is ours.
            unsafe { libc::waitpid(pid as i32, &raw mut status, 0) };
            Outcome(pid, format!(",\"status\":{status}"))
        }
        // `socketcall(SYS_CONNECT)` to an address of IPv4.
        "connect32" => {
            let (fd, to) = (args.number() as u32, args.text());
            let to: std::net::SocketAddrV4 = to.parse().expect("an address");
            let mut address = vec![libc::AF_INET as u8, 0];
            address.extend(to.port().to_be_bytes());
            address.extend(to.ip().octets());
            address.extend([0; 8]);
            let at = low.put(&address);
            let list = low.put_words(&[fd, at, 16]);
            call(102, [3, list, 0, 0])
        }
        _ => return None,
    })
}
