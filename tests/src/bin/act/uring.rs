//! Steps through `io_uring`: `uring HOW OPERATION ARGUMENT…` makes a ring, submits one operation to it and waits for its end.
//! `HOW` is a list of words with commas: `plain`; `worker` (a thread of the kernel does it), `polled` (a thread of the kernel
//! finds it), `silent` (no completion if it goes well), `slot` (what it opens goes to slot 2 of the ring's table), `any-slot`.

use std::{
    mem::{size_of, zeroed},
    ptr::{null, null_mut},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    Args, Outcome,
    file::opened,
    machine::open_flags,
    net::{Address, port},
};

const ENTRIES: u32 = 4;
const SQES_OFFSET: i64 = 0x1000_0000;
const SETUP_SQPOLL: u32 = 1 << 1;
const ENTER_GETEVENTS: u32 = 1;
const ENTER_SQ_WAKEUP: u32 = 1 << 1;
const REGISTER_FILES: u32 = 2;
/// The next one is done after it, however it ends.
const SQE_HARD_LINK: u8 = 1 << 3;
const SQE_ASYNC: u8 = 1 << 4;
const SQE_SKIP_SUCCESS: u8 = 1 << 6;
const OP_NOP: u8 = 0;
/// The operation itself, and the one that is done after it.
const ASKED: u64 = 1;
const LAST: u64 = 2;

#[repr(C)]
#[derive(Default)]
struct Offsets {
    head: u32,
    tail: u32,
    mask: u32,
    entries: u32,
    flags_or_overflow: u32,
    dropped_or_list: u32,
    array_or_flags: u32,
    reserved: u32,
    address: u64,
}

#[repr(C)]
#[derive(Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    thread_cpu: u32,
    thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    sq: Offsets,
    cq: Offsets,
}

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Default)]
struct Request {
    opcode: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    second: u64,
    first: u64,
    len: u32,
    op_flags: u32,
    user_data: u64,
    buffer: u16,
    personality: u16,
    slot: u32,
    third: [u64; 2],
}

#[repr(C)]
struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

struct Ring {
    fd: i32,
    polled: bool,
    rings: *mut u8,
    requests: *mut Request,
    params: Params,
}

pub(crate) fn step(name: &str, args: &mut Args) -> Option<Outcome> {
    (name == "uring").then(|| {
        let how = args.text();
        let has = |word: &str| how.split(',').any(|part| part == word);
        let ring = Ring::new(has("polled"));
        let mut request = Request { user_data: ASKED, ..Request::default() };
        if has("worker") {
            request.flags |= SQE_ASYNC;
        }
        if has("silent") {
            request.flags |= SQE_SKIP_SUCCESS;
        }
        if has("slot") {
            request.slot = 3;
        }
        if has("any-slot") {
            request.slot = u32::MAX;
        }
        let operation = args.text();
        ask(&mut request, &operation, args);
        let result = ring.run(request);
        if operation.starts_with("open") && result > 0 {
            opened(result)
        } else {
            Outcome(result, String::new())
        }
    })
}

/// What the operation asks. Texts and addresses stay where they are: a kernel thread may read them at any time.
fn ask(request: &mut Request, operation: &str, args: &mut Args) {
    fn text(args: &mut Args) -> u64 {
        args.c().into_raw() as u64
    }
    fn address(address: Address, request: &mut Request) {
        request.second = address.1.into();
        request.first = Box::leak(Box::new(address)).at() as u64;
    }
    if operation == "symlinkat" {
        request.first = text(args);
    }
    request.fd = args.number() as i32;
    request.opcode = match operation {
        "openat" => {
            request.first = text(args);
            (request.op_flags, request.len) = (open_flags(args.number()) as u32, args.number() as u32);
            18
        }
        "openat2" => {
            request.first = text(args);
            let how = [open_flags(args.number()), args.number(), args.number()];
            request.len = size_of_val(&how) as u32;
            request.second = Box::leak(Box::new(how)).as_ptr() as u64;
            28
        }
        "unlinkat" => {
            (request.first, request.op_flags) = (text(args), args.number() as u32);
            36
        }
        "mkdirat" => {
            (request.first, request.len) = (text(args), args.number() as u32);
            37
        }
        "symlinkat" => {
            request.second = text(args);
            38
        }
        "renameat" | "linkat" => {
            (request.first, request.len, request.second) = (text(args), args.number() as u32, text(args));
            request.op_flags = args.number() as u32;
            if operation == "linkat" { 39 } else { 35 }
        }
        "connect" => {
            address(Address::parse(&args.text()), request);
            16
        }
        // To the port that another descriptor is bound to.
        "connect-to-port-of" => {
            let port = port(args.number() as i32);
            address(Address::parse(&format!("{}:{port}", args.text())), request);
            16
        }
        "bind" => {
            address(Address::parse(&args.text()), request);
            56
        }
        "socket" => {
            (request.second, request.len) = (args.number() as u64, args.number() as u32);
            45
        }
        "listen" => {
            request.len = args.number() as u32;
            57
        }
        "accept" => {
            request.op_flags = args.number() as u32;
            13
        }
        "sendmsg" => {
            let address = Box::leak(Box::new(Address::parse(&args.text())));
            let part = libc::iovec { iov_base: c"x".as_ptr().cast_mut().cast(), iov_len: 1 };
            // SAFETY: all zero is a valid message.
            let mut message: libc::msghdr = unsafe { zeroed() };
            message.msg_namelen = address.1;
            message.msg_name = address.at().cast();
            message.msg_iov = Box::leak(Box::new(part));
            message.msg_iovlen = 1;
            (request.first, request.len) = (&raw const *Box::leak(Box::new(message)) as u64, 1);
            9
        }
        other => panic!("no such operation: {other}"),
    };
}

impl Ring {
    fn new(polled: bool) -> Self {
        let mut params = Params { flags: if polled { SETUP_SQPOLL } else { 0 }, ..Params::default() };
        // SAFETY: the kernel fills the struct; the mappings are as large as it says.
        unsafe {
            let fd = libc::syscall(libc::SYS_io_uring_setup, ENTRIES, &raw mut params) as i32;
            assert!(fd >= 0, "io_uring_setup: {}", std::io::Error::last_os_error());
            let map = |len: usize, offset: i64| {
                let (access, flags) =
                    (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE);
                let at = libc::mmap(null_mut(), len, access, flags, fd, offset);
                assert_ne!(at, libc::MAP_FAILED, "mmap of a ring");
                at
            };
            // Both rings lie in one mapping since 5.4; four entries fit a page.
            let rings = map(4096, 0).cast();
            let requests = map(ENTRIES as usize * size_of::<Request>(), SQES_OFFSET).cast();
            let files = [-1_i32; 8];
            let made =
                libc::syscall(libc::SYS_io_uring_register, fd, REGISTER_FILES, files.as_ptr(), files.len());
            assert_eq!(made, 0, "a table of files: {}", std::io::Error::last_os_error());
            Self { fd, polled, rings, requests, params }
        }
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel gave the offset, inside the mapping.
        unsafe { &*self.rings.add(offset as usize).cast() }
    }

    fn submit(&self, request: Request) {
        let tail = self.word(self.params.sq.tail);
        let at = tail.load(Ordering::Relaxed);
        let slot = at & (ENTRIES - 1);
        // SAFETY: the mapping has as many requests.
        unsafe { self.requests.add(slot as usize).write(request) };
        self.word(self.params.sq.array_or_flags + 4 * slot).store(slot, Ordering::Relaxed);
        tail.store(at + 1, Ordering::Release);
    }

    /// Does it, and gives its result: that of a request without a completion is 0.
    fn run(&self, request: Request) -> i64 {
        self.submit(Request { flags: request.flags | SQE_HARD_LINK, ..request });
        self.submit(Request { opcode: OP_NOP, user_data: LAST, ..Request::default() });
        let mut result = 0;
        let (head, tail) = (self.word(self.params.cq.head), self.word(self.params.cq.tail));
        let mut new = 2;
        loop {
            let flags = ENTER_GETEVENTS | if self.polled { ENTER_SQ_WAKEUP } else { 0 };
            // SAFETY: numbers only.
            let done =
                unsafe { libc::syscall(libc::SYS_io_uring_enter, self.fd, new, 1, flags, null::<u8>(), 0) };
            assert!(done >= 0, "io_uring_enter: {}", std::io::Error::last_os_error());
            new = 0;
            while head.load(Ordering::Relaxed) != tail.load(Ordering::Acquire) {
                let at = head.load(Ordering::Relaxed);
                let offset = self.params.cq.dropped_or_list as usize
                    + (at & (self.params.cq_entries - 1)) as usize * size_of::<Completion>();
                // SAFETY: the kernel wrote this completion.
                let completion = unsafe { self.rings.add(offset).cast::<Completion>().read() };
                head.store(at + 1, Ordering::Release);
                if completion.user_data == LAST {
                    return result;
                }
                result = completion.result.into();
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the ring's own descriptor.
        unsafe { libc::close(self.fd) };
    }
}
