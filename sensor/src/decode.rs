//! Bytes from the ring or from a recording → [`RawEvent`]. This is the trust boundary: no panic, no I/O, no clock, and
//! whatever is wrong with a record is an error for this record alone. It knows the wire and nothing of processes.

pub mod dns;
mod encode;

use sensor_common::{
    CgroupDir, Dns, FdDup, FileChange, FileOpen, Header, Kind, Mount, Net, ProcArgs, ProcExec, ProcExit,
    ProcFork, SysCall, TEXT_ALIGN, Text, text,
};
use thiserror::Error;
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Why a record was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Shorter than a header.
    #[error("record of {0} bytes is shorter than its header")]
    Short(usize),
    /// A kind of another version.
    #[error("record of unknown kind {0}")]
    UnknownKind(u16),
    /// The header and the ring do not agree, or header, body and texts do not add up.
    #[error("record of kind {kind} has {found} bytes where its parts say {expected}")]
    Size {
        /// Number of the kind.
        kind: u16,
        /// Bytes that came.
        found: usize,
        /// Bytes that should have come.
        expected: usize,
    },
}

impl DecodeError {
    /// Label of the metric that counts it.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Short(_) => "short",
            Self::UnknownKind(_) => "unknown_kind",
            Self::Size { .. } => "wrong_size",
        }
    }
}

/// A piece of text as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawText<'a> {
    /// The bytes; UTF-8 or not.
    pub bytes: &'a [u8],
    /// Bits of [`sensor_common::text`].
    pub flags: u16,
}

impl RawText<'_> {
    /// Whether it was cut.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.flags & text::TRUNCATED != 0
    }

    /// Whether it could not be read.
    #[must_use]
    pub const fn is_fault(&self) -> bool {
        self.flags & text::FAULT != 0
    }

    /// The same as an owned text.
    #[must_use]
    pub fn to_text(&self) -> crate::event::Text {
        crate::event::Text::new(self.bytes)
            .with_truncated(self.is_truncated())
            .with_untrusted(self.flags & text::UNTRUSTED != 0)
    }
}

/// A record, taken apart. Texts still lie in the buffer that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent<'a> {
    /// What every record has.
    pub header: Header,
    /// What its kind has.
    pub body: RawBody<'a>,
}

/// Body and texts, by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawBody<'a> {
    /// [`Kind::ProcExec`].
    Exec(ProcExec, ExecTexts<'a>),
    /// [`Kind::ProcFork`].
    Fork(ProcFork),
    /// [`Kind::ProcExit`].
    Exit(ProcExit),
    /// [`Kind::ProcArgs`].
    Args(ProcArgs, RawText<'a>),
    /// [`Kind::CgroupMkdir`].
    CgroupMkdir(CgroupDir, RawText<'a>),
    /// [`Kind::CgroupRmdir`].
    CgroupRmdir(CgroupDir, RawText<'a>),
    /// [`Kind::FileOpen`].
    Open(FileOpen, OpenTexts<'a>),
    /// [`Kind::FileRemove`] to [`Kind::MountRoot`], which share a body; that of [`Kind::MountAttach`] has more texts.
    Change(Kind, FileChange, ChangeTexts<'a>),
    /// [`Kind::FdDup`].
    Dup(FdDup, NetTexts<'a>, RawText<'a>),
    /// [`Kind::NetConnect`] and the other socket kinds, which share a body.
    Net(Kind, Net, NetTexts<'a>),
    /// [`Kind::NetDns`], with the datagram and the rest of its size class.
    Dns(Dns, RawText<'a>),
    /// [`Kind::CredChange`] and all kinds behind it, which share a body.
    Call(Kind, SysCall, CallTexts<'a>),
}

/// Texts of [`ProcExec`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented on `ProcExec`")]
pub struct ExecTexts<'a> {
    pub exe: RawText<'a>,
    pub filename: RawText<'a>,
    pub interpreter: RawText<'a>,
    pub cwd: RawText<'a>,
    pub args: RawText<'a>,
    pub env: RawText<'a>,
}

/// Texts of [`FileOpen`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented on `FileOpen`")]
pub struct OpenTexts<'a> {
    pub path: RawText<'a>,
    pub name: RawText<'a>,
    pub dir: RawText<'a>,
}

/// Texts of [`FileChange`] and [`Mount`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented on `FileChange`")]
pub struct ChangeTexts<'a> {
    pub name: RawText<'a>,
    pub dir: RawText<'a>,
    pub new_name: RawText<'a>,
    pub new_dir: RawText<'a>,
    pub fs_type: RawText<'a>,
}

/// Texts of [`Net`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented on `Net`")]
pub struct NetTexts<'a> {
    pub local: RawText<'a>,
    pub remote: RawText<'a>,
}

/// Texts of [`SysCall`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented on `SysCall`")]
pub struct CallTexts<'a> {
    pub text: RawText<'a>,
    pub path: RawText<'a>,
}

/// Takes one record apart.
///
/// # Errors
/// See [`DecodeError`]: the record is to be counted and dropped.
pub fn decode(bytes: &[u8]) -> Result<RawEvent<'_>, DecodeError> {
    let (header, rest) = Header::read_from_prefix(bytes).map_err(|_| DecodeError::Short(bytes.len()))?;
    let kind = Kind::from_number(header.kind).ok_or(DecodeError::UnknownKind(header.kind))?;
    let mut parts = Parts { kind: header.kind, found: bytes.len(), used: size_of::<Header>(), rest };
    if header.len as usize != bytes.len() {
        return Err(parts.size(header.len as usize));
    }
    let body = match kind {
        Kind::ProcExec => {
            let body: ProcExec = parts.body()?;
            let texts = ExecTexts {
                exe: parts.text(body.exe)?,
                filename: parts.text(body.filename)?,
                interpreter: parts.text(body.interpreter)?,
                cwd: parts.text(body.cwd)?,
                args: parts.text(body.args)?,
                env: parts.text(body.env)?,
            };
            RawBody::Exec(body, texts)
        }
        Kind::ProcFork => RawBody::Fork(parts.body()?),
        Kind::ProcExit => RawBody::Exit(parts.body()?),
        Kind::ProcArgs => {
            let body: ProcArgs = parts.body()?;
            RawBody::Args(body, parts.text(body.bytes)?)
        }
        Kind::CgroupMkdir => {
            let body: CgroupDir = parts.body()?;
            RawBody::CgroupMkdir(body, parts.text(body.path)?)
        }
        Kind::CgroupRmdir => {
            let body: CgroupDir = parts.body()?;
            RawBody::CgroupRmdir(body, parts.text(body.path)?)
        }
        Kind::FileOpen => {
            let body: FileOpen = parts.body()?;
            let texts = OpenTexts {
                path: parts.text(body.path)?,
                name: parts.text(body.name)?,
                dir: parts.text(body.dir)?,
            };
            RawBody::Open(body, texts)
        }
        Kind::FileRemove
        | Kind::FileRename
        | Kind::FileLink
        | Kind::FileMake
        | Kind::FileMode
        | Kind::FileOwner
        | Kind::MountDetach
        | Kind::MountRoot => {
            let body: FileChange = parts.body()?;
            RawBody::Change(kind, body, parts.change(&body)?)
        }
        Kind::MountAttach => {
            let Mount { change, fs_type, .. } = parts.body()?;
            let texts = parts.change(&change)?;
            RawBody::Change(kind, change, ChangeTexts { fs_type: parts.text(fs_type)?, ..texts })
        }
        Kind::FdDup => {
            let body: FdDup = parts.body()?;
            let texts = parts.net(&body.socket)?;
            RawBody::Dup(body, texts, parts.text(body.path)?)
        }
        Kind::NetConnect
        | Kind::NetAccept
        | Kind::NetBind
        | Kind::NetListen
        | Kind::NetSend
        | Kind::NetSocket
        | Kind::NetReceive => {
            let body: Net = parts.body()?;
            RawBody::Net(kind, body, parts.net(&body)?)
        }
        Kind::CredChange
        | Kind::CredCaps
        | Kind::NsChange
        | Kind::ProcTrace
        | Kind::ProcSignal
        | Kind::ProcControl
        | Kind::KernelMod
        | Kind::KernelBpf
        | Kind::KernelPerf
        | Kind::KernelKeys
        | Kind::KernelUring
        | Kind::MemCreate
        | Kind::MemFault
        | Kind::MemProtect => {
            let body: SysCall = parts.body()?;
            let texts = CallTexts { text: parts.text(body.text)?, path: parts.text(body.path)? };
            RawBody::Call(kind, body, texts)
        }
        Kind::NetDns => {
            let body: Dns = parts.body()?;
            RawBody::Dns(body, parts.text(body.message)?)
        }
    };
    if !parts.rest.is_empty() {
        return Err(parts.size(parts.used));
    }
    Ok(RawEvent { header, body })
}

/// What is left of a record.
struct Parts<'a> {
    kind: u16,
    found: usize,
    used: usize,
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn body<B: FromBytes + KnownLayout + Immutable>(&mut self) -> Result<B, DecodeError> {
        let expected = self.used + size_of::<B>();
        let (body, rest) = B::read_from_prefix(self.rest).map_err(|_| self.size(expected))?;
        self.used = expected;
        self.rest = rest;
        Ok(body)
    }

    fn text(&mut self, text: Text) -> Result<RawText<'a>, DecodeError> {
        let len = usize::from(text.len);
        let padded = len.next_multiple_of(TEXT_ALIGN);
        let (bytes, rest) =
            self.rest.split_at_checked(padded).ok_or_else(|| self.size(self.used + padded))?;
        self.used += padded;
        self.rest = rest;
        Ok(RawText { bytes: bytes.get(..len).unwrap_or_default(), flags: text.flags })
    }

    fn change(&mut self, body: &FileChange) -> Result<ChangeTexts<'a>, DecodeError> {
        Ok(ChangeTexts {
            name: self.text(body.name)?,
            dir: self.text(body.dir)?,
            new_name: self.text(body.new_name)?,
            new_dir: self.text(body.new_dir)?,
            fs_type: RawText::default(),
        })
    }

    fn net(&mut self, body: &Net) -> Result<NetTexts<'a>, DecodeError> {
        Ok(NetTexts { local: self.text(body.local_path)?, remote: self.text(body.remote_path)? })
    }

    const fn size(&self, expected: usize) -> DecodeError {
        DecodeError::Size { kind: self.kind, found: self.found, expected }
    }
}

#[cfg(test)]
mod tests;
