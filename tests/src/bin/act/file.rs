//! Steps that open files, and those that change what a name means.

use std::mem::zeroed;

use crate::{
    Args, Outcome,
    machine::{call, old, open_flags},
};

/// `struct open_how`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// `struct file_handle` with room for any handle.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    data: [u8; 128],
}

pub(crate) fn step(name: &str, args: &mut Args) -> Option<Outcome> {
    Some(match name {
        "open" => {
            let (path, flags, mode) = (args.c(), open_flags(args.number()), args.number());
            // SAFETY: the path is a C string.
            opened(unsafe { call(old::SYS_open, [path.as_ptr() as i64, flags, mode, 0, 0]) })
        }
        "openat" => {
            let (dir, path) = (args.number(), args.c());
            let (flags, mode) = (open_flags(args.number()), args.number());
            // SAFETY: the path is a C string.
            opened(unsafe { libc::syscall(libc::SYS_openat, dir, path.as_ptr(), flags, mode) })
        }
        "openat2" => {
            let (dir, path) = (args.number(), args.c());
            let flags = open_flags(args.number()).cast_unsigned();
            let mut number = || args.number().cast_unsigned();
            let how = OpenHow { flags, mode: number(), resolve: number() };
            // SAFETY: a C string, and a struct of the size that is given.
            opened(unsafe {
                libc::syscall(libc::SYS_openat2, dir, path.as_ptr(), &raw const how, size_of::<OpenHow>())
            })
        }
        "creat" => {
            let (path, mode) = (args.c(), args.number());
            // SAFETY: the path is a C string.
            opened(unsafe { call(old::SYS_creat, [path.as_ptr() as i64, mode, 0, 0, 0]) })
        }
        "open-by-handle" => by_handle(args),
        "chdir" => {
            let path = args.c();
            // SAFETY: the path is a C string.
            unsafe { libc::chdir(path.as_ptr()) }.into()
        }
        "chroot" => {
            let path = args.c();
            // SAFETY: the path is a C string.
            unsafe { libc::chroot(path.as_ptr()) }.into()
        }
        // A mount namespace of its own, from which nothing gets out.
        "own-mounts" => {
            // SAFETY: flags only; the strings are constants.
            unsafe {
                assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0, "unshare needs root");
                let (none, root) = (std::ptr::null(), c"/".as_ptr());
                libc::mount(none, root, none, libc::MS_REC | libc::MS_PRIVATE, std::ptr::null()).into()
            }
        }
        "bind-mount" => {
            let (from, to) = (args.c(), args.c());
            // SAFETY: C strings.
            unsafe {
                libc::mount(from.as_ptr(), to.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null())
            }
            .into()
        }
        "write-pid" => {
            let path = args.text();
            std::fs::write(path, std::process::id().to_string()).map_or(-1, |()| 0).into()
        }
        // Opens a file over and over, from several threads.
        "storm" => {
            let (path, threads, times) = (args.c(), args.number(), args.number());
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        for _ in 0..times {
                            // SAFETY: a C string; the descriptor is ours.
                            unsafe { libc::close(libc::open(path.as_ptr(), libc::O_RDONLY)) };
                        }
                    });
                }
            });
            (threads * times).into()
        }
        _ => return None,
    })
}

pub(crate) fn opened(fd: i64) -> Outcome {
    let outcome = Outcome::from(fd);
    if fd < 0 {
        return outcome;
    }
    // SAFETY: all zero is a valid `stat`, and the descriptor is open.
    let stat = unsafe {
        let mut stat: libc::stat64 = zeroed();
        libc::fstat64(fd as i32, &raw mut stat);
        stat
    };
    let dev = u64::from(libc::major(stat.st_dev)) << 20 | u64::from(libc::minor(stat.st_dev));
    let more = format!(
        ",\"ino\":{},\"dev\":{dev},\"mode\":{},\"nlink\":{},\"uid\":{},\"gid\":{}",
        stat.st_ino, stat.st_mode, stat.st_nlink, stat.st_uid, stat.st_gid
    );
    Outcome(outcome.0, more)
}

fn by_handle(args: &mut Args) -> Outcome {
    let (path, flags) = (args.c(), open_flags(args.number()));
    let mut handle = Handle { bytes: 128, kind: 0, data: [0; 128] };
    let mut mount = 0_i32;
    // SAFETY: C strings, and a struct with as much room as it says.
    unsafe {
        let root = libc::open(c"/".as_ptr(), libc::O_RDONLY);
        let made = libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        );
        if made != 0 {
            return Outcome::from(made);
        }
        let file = libc::open(path.as_ptr(), libc::O_RDONLY);
        // The descriptor says which filesystem the handle belongs to.
        let fd = libc::syscall(libc::SYS_open_by_handle_at, file, &raw const handle, flags);
        libc::close(root);
        opened(fd)
    }
}
