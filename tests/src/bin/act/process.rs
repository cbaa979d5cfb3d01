//! Steps that make processes, give them images, and end them.

use std::{
    ffi::{CString, OsString},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr::null,
    sync::Barrier,
};

use crate::{Args, Outcome, c, machine};

/// `struct clone_args`, as far as it is used here.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    more: [u64; 6],
}

pub(crate) fn step(name: &str, args: &mut Args) -> Option<Outcome> {
    Some(match name {
        "exit" => exit(args.number()),
        "exec" => exec(&args.rest()),
        "thread-exec" => {
            let list = args.rest();
            std::thread::spawn(move || exec(&list)).join().unwrap()
        }
        "execveat" => {
            let (dir, name) = (args.c(), args.c());
            exec_at(&open_path(&dir), &name, &args.rest(), 0)
        }
        "fd-exec" => {
            let file = open_path(&args.c());
            exec_at(&file, c"", &args.rest(), libc::AT_EMPTY_PATH)
        }
        "memfd-exec" => {
            // SAFETY: a C string and a flag.
            let fd = unsafe { libc::memfd_create(c"hidden".as_ptr(), libc::MFD_CLOEXEC) };
            // SAFETY: the descriptor is new.
            let mut memfd = unsafe { std::fs::File::from_raw_fd(fd) };
            std::io::copy(&mut std::fs::File::open(args.text()).unwrap(), &mut memfd).unwrap();
            exec_at(&memfd.into(), c"", &args.rest(), libc::AT_EMPTY_PATH)
        }
        "deleted-exec" => {
            let path = args.text();
            let file = open_path(&c(path.as_ref()));
            std::fs::remove_file(path).unwrap();
            exec_at(&file, c"", &args.rest(), libc::AT_EMPTY_PATH)
        }
        // SAFETY: this process has one thread.
        "fork" => child(|| unsafe { fork() }, &mut || exit(args.number())),
        "vfork-exec" => vfork_exec(&args.rest()),
        "fork-exec" => {
            let list = args.rest();
            // SAFETY: this process has one thread.
            child(|| unsafe { fork() }, &mut || exit(exec(&list).0))
        }
        "clone" => {
            let flags = args.number() | i64::from(libc::SIGCHLD);
            // SAFETY: no shared memory, so the child has a stack.
            child(|| unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) }, &mut || {
                exit(args.number())
            })
        }
        "clone3" => {
            let flags = args.number().cast_unsigned();
            let clone = CloneArgs { flags, exit_signal: libc::SIGCHLD as u64, ..CloneArgs::default() };
            let size = size_of::<CloneArgs>();
            // SAFETY: no shared memory, so the child has a stack; the struct has the size that is given.
            child(|| unsafe { libc::syscall(libc::SYS_clone3, &raw const clone, size) }, &mut || {
                exit(args.number())
            })
        }
        "clone-parent" => clone_parent(args.number()),
        "double-fork" => double_fork(args.number()),
        "chain" => chain(args.number(), &args.rest()),
        "killed-child" => {
            let signal = args.number() as i32;
            // SAFETY: this process has one thread.
            child(|| unsafe { fork() }, &mut || {
                // SAFETY: a number.
                unsafe { libc::raise(signal) };
                exit(0)
            })
        }
        "threads-exit" => threads_exit(args.number() as usize, args.number()),
        "spawn-storm" => {
            let (times, program) = (args.number(), args.next());
            for n in 0..times {
                let list: Vec<OsString> = vec![
                    program.clone(),
                    "exit".into(),
                    (n % 251).to_string().into(),
                    format!("n{n}").into(),
                ];
                vfork_exec(&list);
            }
            times.into()
        }
        // SAFETY: numbers only.
        "unshare" => unsafe { libc::unshare(args.number() as i32) }.into(),
        // SAFETY: no arguments.
        "setsid" => unsafe { libc::setsid() }.into(),
        "tty" => {
            let fd = file(&args.c());
            // SAFETY: the descriptor is open.
            unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) }.into()
        }
        // Waits until somebody closes the other end of standard input.
        "wait-for-input" => {
            let mut byte = [0_u8; 1];
            // SAFETY: room for one byte.
            (unsafe { libc::read(0, byte.as_mut_ptr().cast(), 1) } as i64).into()
        }
        _ => return None,
    })
}

/// # Safety
/// This process has one thread.
unsafe fn fork() -> i64 {
    // SAFETY: the caller's.
    unsafe { machine::call(machine::old::SYS_fork, [0; 5]) }
}

fn exit(code: i64) -> ! {
    // SAFETY: a number.
    unsafe { libc::_exit(code as i32) }
}

fn file(path: &CString) -> i32 {
    // SAFETY: a C string.
    unsafe { libc::open(path.as_ptr(), libc::O_RDWR | libc::O_NOCTTY) }
}

fn open_path(path: &CString) -> OwnedFd {
    // SAFETY: a C string.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    assert!(fd >= 0, "{path:?}");
    // SAFETY: the descriptor is new.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn list(args: &[OsString]) -> (Vec<CString>, Vec<*const libc::c_char>) {
    let strings: Vec<CString> = args.iter().map(|arg| c(arg)).collect();
    let pointers = strings.iter().map(|string| string.as_ptr()).chain([null()]).collect();
    (strings, pointers)
}

/// The first argument is the path, the others the argument list: so the two can differ.
fn exec(args: &[OsString]) -> Outcome {
    let (strings, pointers) = list(args);
    // SAFETY: a list of C strings that ends with a null.
    unsafe { libc::execv(strings[0].as_ptr(), pointers[1..].as_ptr()) }.into()
}

fn exec_at(dir: &OwnedFd, name: &std::ffi::CStr, args: &[OsString], flags: i32) -> Outcome {
    let (_strings, pointers) = list(args);
    unsafe extern "C" {
        static environ: *const *const libc::c_char;
    }
    // SAFETY: a C string, and lists of them that end with a null.
    unsafe {
        libc::syscall(libc::SYS_execveat, dir.as_raw_fd(), name.as_ptr(), pointers.as_ptr(), environ, flags)
    }
    .into()
}

#[allow(deprecated, reason = "vfork itself is what is tested; the child only calls execv and _exit")]
fn vfork_exec(args: &[OsString]) -> Outcome {
    let (strings, pointers) = list(args);
    // SAFETY: the child does nothing but exec or exit.
    let pid = unsafe {
        let pid = libc::vfork();
        if pid == 0 {
            libc::execv(strings[0].as_ptr(), pointers.as_ptr());
            libc::_exit(127);
        }
        pid
    };
    Outcome(i64::from(pid), format!(",\"status\":{}", wait(pid)))
}

/// Makes a child, waits for it, and says its number and status.
fn child(make: impl Fn() -> i64, work: &mut dyn FnMut() -> Outcome) -> Outcome {
    let pid = make();
    if pid == 0 {
        work();
        exit(0);
    }
    let outcome = Outcome::from(pid);
    if pid < 0 { outcome } else { Outcome(pid, format!(",\"status\":{}", wait(pid as i32))) }
}

fn wait(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the status is ours. `__WALL` also waits for children that end with another signal.
    while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {}
    status
}

/// A child makes a sibling of its own: `CLONE_PARENT`. Both are this process's children.
fn clone_parent(code: i64) -> Outcome {
    let mut pipe = [0; 2];
    // SAFETY: this process has one thread, and each child goes its own way.
    unsafe {
        libc::pipe(pipe.as_mut_ptr());
        let first = fork();
        if first == 0 {
            let flags = i64::from(libc::CLONE_PARENT | libc::SIGCHLD);
            let second = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
            if second == 0 {
                exit(code);
            }
            libc::write(pipe[1], (&raw const second).cast(), 8);
            exit(0);
        }
        let mut second = 0_i64;
        libc::read(pipe[0], (&raw mut second).cast(), 8);
        let status = wait(second as i32);
        wait(first as i32);
        Outcome(second, format!(",\"by\":{first},\"status\":{status}"))
    }
}

/// The classic daemon: the grandchild opens `/dev/null` and exits once its parent is gone and somebody adopted it.
fn double_fork(code: i64) -> Outcome {
    let mut pipe = [0; 2];
    // SAFETY: this process has one thread, and each child goes its own way.
    unsafe {
        libc::pipe(pipe.as_mut_ptr());
        let first = fork();
        if first == 0 {
            let parent = libc::getpid();
            let second = fork();
            if second == 0 {
                while libc::getppid() == parent {
                    libc::sched_yield();
                }
                let said = [i64::from(libc::getpid()), i64::from(libc::getppid())];
                libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
                libc::write(pipe[1], said.as_ptr().cast(), 16);
                exit(code);
            }
            exit(0);
        }
        wait(first as i32);
        let mut said = [0_i64; 2];
        libc::read(pipe[0], said.as_mut_ptr().cast(), 16);
        Outcome(said[0], format!(",\"by\":{first},\"adopted_by\":{}", said[1]))
    }
}

/// A child of a child of a child …, the last of which execs.
fn chain(depth: i64, args: &[OsString]) -> Outcome {
    if depth == 0 {
        return exec(args);
    }
    // SAFETY: this process has one thread.
    child(|| unsafe { fork() }, &mut || exit(chain(depth - 1, args).0))
}

/// All threads exit by themselves at the same moment, the main one too.
fn threads_exit(threads: usize, code: i64) -> Outcome {
    let barrier: &'static Barrier = Box::leak(Box::new(Barrier::new(threads + 1)));
    for _ in 0..threads {
        std::thread::spawn(move || {
            barrier.wait();
            // SAFETY: a number; nothing of this thread is used afterwards.
            unsafe { libc::syscall(libc::SYS_exit, code) };
        });
    }
    barrier.wait();
    // SAFETY: as above.
    (unsafe { libc::syscall(libc::SYS_exit, code) }).into()
}
