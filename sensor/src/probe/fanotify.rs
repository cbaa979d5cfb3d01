//! Permission events of fanotify: before a file is opened, to be run or at all, the kernel asks, and the caller waits for the
//! answer. What the answer is, is not known here.
//!
//! Whoever waits must not wait for ever: see [`Answering`]. If this process ends, in whatever way, the kernel answers yes to
//! everything.

mod answering;

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::fanotify::{
        EventFFlags, Fanotify, FanotifyEvent, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response,
    },
};

pub use self::answering::{Answering, Judge, LetGo};

/// The kernel's questions.
#[derive(Debug)]
pub struct Gate(Fanotify);

/// What the kernel asks of a filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Before a file is opened to be run.
    pub execs: bool,
    /// Before a file is opened at all, to be run as well.
    pub opens: bool,
    /// With those, also before a directory is.
    pub directories: bool,
}

impl Questions {
    /// Whether there are none.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.execs && !self.opens
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            execs: self.execs || other.execs,
            opens: self.opens || other.opens,
            directories: self.directories || other.directories,
        }
    }

    /// Those that are not among the others. Of directories it is asked as long as it is asked of files.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        let opens = self.opens && !other.opens;
        Self { execs: self.execs && !other.execs, opens, directories: opens && self.directories }
    }

    fn mask(self) -> MaskFlags {
        let bits = [
            (self.execs, MaskFlags::FAN_OPEN_EXEC_PERM),
            (self.opens, MaskFlags::FAN_OPEN_PERM),
            (self.opens && self.directories, MaskFlags::FAN_ONDIR),
        ];
        bits.into_iter().filter(|(asked, _)| *asked).map(|(_, bit)| bit).collect()
    }
}

/// One question. The caller waits until it is answered.
#[derive(Debug)]
pub struct Asked(FanotifyEvent);

impl Asked {
    /// The file that is about to be opened. Reading it asks nobody.
    #[must_use]
    pub fn file(&self) -> Option<BorrowedFd<'_>> {
        self.0.fd()
    }

    /// Whether it is opened to be run. Where it is also asked of opens, that is asked next.
    #[must_use]
    pub fn is_exec(&self) -> bool {
        self.0.mask().contains(MaskFlags::FAN_OPEN_EXEC_PERM)
    }

    /// Who waits: a thread's id.
    #[must_use]
    pub fn tid(&self) -> u32 {
        self.0.pid().cast_unsigned()
    }
}

impl Gate {
    /// A gate at which nothing is asked yet.
    ///
    /// # Errors
    /// Where the kernel has none, or the privileges at hand do not allow it.
    pub fn open() -> io::Result<Self> {
        let flags = InitFlags::FAN_CLASS_CONTENT
            | InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_REPORT_TID;
        // With each question comes the file, opened for us. Where somebody holds a lease on it that would wait for him, and
        // everybody who asks behind it: such a file is refused by the kernel, unseen.
        let file = EventFFlags::O_RDONLY
            | EventFFlags::O_CLOEXEC
            | EventFFlags::O_LARGEFILE
            | EventFFlags::O_NONBLOCK;
        Ok(Self(Fanotify::init(flags, file)?))
    }

    /// Asks these questions from now on, too: of all of the filesystem that `at` lies in (`whole`), or through this mount of it
    /// alone.
    ///
    /// # Errors
    /// Where that filesystem cannot be watched.
    pub fn ask(&self, questions: Questions, at: BorrowedFd<'_>, whole: bool) -> io::Result<()> {
        let what = if whole { MarkFlags::FAN_MARK_FILESYSTEM } else { MarkFlags::FAN_MARK_MOUNT };
        self.mark(MarkFlags::FAN_MARK_ADD | what, questions, at)
    }

    /// Asks these questions no more where `at` lies.
    ///
    /// # Errors
    /// Where nothing is asked there, neither of the filesystem nor through the mount.
    pub fn ask_no_more(&self, questions: Questions, at: BorrowedFd<'_>) -> io::Result<()> {
        let kinds = [MarkFlags::FAN_MARK_FILESYSTEM, MarkFlags::FAN_MARK_MOUNT];
        let [whole, mount] = kinds.map(|kind| self.mark(MarkFlags::FAN_MARK_REMOVE | kind, questions, at));
        whole.or(mount)
    }

    fn mark(&self, flags: MarkFlags, questions: Questions, at: BorrowedFd<'_>) -> io::Result<()> {
        // The kernel takes no descriptor that only names a file, but a path to one.
        let path = format!("/proc/self/fd/{}", at.as_raw_fd());
        Ok(self.0.mark(flags, questions.mask(), at, Some(path.as_str()))?)
    }

    /// Asks nothing any more. What was asked already still waits.
    ///
    /// # Errors
    /// Where the kernel refuses; of the kinds of marks each is tried.
    pub fn ask_nothing(&self) -> io::Result<()> {
        let kinds = [MarkFlags::FAN_MARK_FILESYSTEM, MarkFlags::FAN_MARK_MOUNT];
        let flush = |kind| {
            let flags = MarkFlags::FAN_MARK_FLUSH | kind;
            self.0.mark(flags, MaskFlags::empty(), self.0.as_fd(), None::<&str>)
        };
        let done = kinds.map(flush);
        Ok(done.into_iter().collect::<Result<(), Errno>>()?)
    }

    /// The questions that are there; none is no error.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn asked(&self) -> io::Result<Vec<Asked>> {
        match self.0.read_events() {
            Ok(events) => Ok(events.into_iter().map(Asked).collect()),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sleeps until there is a question, `bell` rings, or the time is over.
    fn wait(&self, bell: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags};
        let fd = self.0.as_fd();
        let mut fds = [PollFd::new(&fd, PollFlags::IN), PollFd::new(&bell, PollFlags::IN)];
        super::ring::wait(&mut fds, timeout).map(drop)
    }

    fn answer(&self, asked: &Asked, allow: bool) -> io::Result<()> {
        let Some(file) = asked.file() else { return Ok(()) };
        let response = if allow { Response::FAN_ALLOW } else { Response::FAN_DENY };
        Ok(self.0.write_response(FanotifyResponse::new(file, response))?)
    }
}

/// Whether this kernel asks, and us.
///
/// # Errors
/// Why not.
pub fn can_ask() -> Result<(), String> {
    let opened = Gate::open().map(drop);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => {
            "this kernel has no permission events (CONFIG_FANOTIFY_ACCESS_PERMISSIONS)".to_owned()
        }
        Some(libc::EPERM) => "fanotify needs CAP_SYS_ADMIN".to_owned(),
        _ => format!("fanotify: {error}"),
    })
}
