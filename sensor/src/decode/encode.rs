//! The way back: [`RawEvent`] → bytes. For processes that were there before the sensor, which join the stream as records
//! like any other, and for tests.

use sensor_common::{
    CgroupDir, Dns, FdDup, FileChange, FileOpen, Header, Kind, Mount, Net, ProcArgs, ProcExec, SysCall,
    TEXT_ALIGN, Text,
};
use zerocopy::{Immutable, IntoBytes};

use super::{RawBody, RawEvent, RawText};

impl RawEvent<'_> {
    /// The record as the kernel would write it. Kind, length and the lengths of texts are set from what there is; texts
    /// beyond 64 KiB are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match &self.body {
            RawBody::Exec(body, texts) => {
                let all = [texts.exe, texts.filename, texts.interpreter, texts.cwd, texts.args, texts.env];
                let [exe, filename, interpreter, cwd, args, env] = all.map(descriptor);
                let body = ProcExec { exe, filename, interpreter, cwd, args, env, ..*body };
                self.assemble(Kind::ProcExec, &body, &all)
            }
            RawBody::Fork(body) => self.assemble(Kind::ProcFork, body, &[]),
            RawBody::Exit(body) => self.assemble(Kind::ProcExit, body, &[]),
            RawBody::Args(body, bytes) => {
                self.assemble(Kind::ProcArgs, &ProcArgs { bytes: descriptor(*bytes), ..*body }, &[*bytes])
            }
            RawBody::CgroupMkdir(body, path) => {
                self.assemble(Kind::CgroupMkdir, &CgroupDir { path: descriptor(*path), ..*body }, &[*path])
            }
            RawBody::CgroupRmdir(body, path) => {
                self.assemble(Kind::CgroupRmdir, &CgroupDir { path: descriptor(*path), ..*body }, &[*path])
            }
            RawBody::Open(body, texts) => {
                let all = [texts.path, texts.name, texts.dir];
                let [path, name, dir] = all.map(descriptor);
                self.assemble(Kind::FileOpen, &FileOpen { path, name, dir, ..*body }, &all)
            }
            RawBody::Change(kind, body, texts) => {
                let all = [texts.name, texts.dir, texts.new_name, texts.new_dir, texts.fs_type];
                let [name, dir, new_name, new_dir, fs_type] = all.map(descriptor);
                let change = FileChange { name, dir, new_name, new_dir, ..*body };
                if *kind == Kind::MountAttach {
                    return self.assemble(*kind, &Mount { change, fs_type, reserved: 0 }, &all);
                }
                let [paths @ .., _] = &all;
                self.assemble(*kind, &change, paths)
            }
            RawBody::Dup(body, texts, path) => {
                let all = [texts.local, texts.remote, *path];
                let [local_path, remote_path, path] = all.map(descriptor);
                let socket = Net { local_path, remote_path, ..body.socket };
                self.assemble(Kind::FdDup, &FdDup { socket, path, ..*body }, &all)
            }
            RawBody::Net(kind, body, texts) => {
                let all = [texts.local, texts.remote];
                let [local_path, remote_path] = all.map(descriptor);
                self.assemble(*kind, &Net { local_path, remote_path, ..*body }, &all)
            }
            RawBody::Dns(body, message) => {
                self.assemble(Kind::NetDns, &Dns { message: descriptor(*message), ..*body }, &[*message])
            }
            RawBody::Call(kind, body, texts) => {
                let all = [texts.text, texts.path];
                let [text, path] = all.map(descriptor);
                self.assemble(*kind, &SysCall { text, path, ..*body }, &all)
            }
        }
    }

    fn assemble(&self, kind: Kind, body: &(impl IntoBytes + Immutable), texts: &[RawText<'_>]) -> Vec<u8> {
        let texts_len: usize =
            texts.iter().map(|text| usize::from(descriptor(*text).len).next_multiple_of(TEXT_ALIGN)).sum();
        let len = size_of::<Header>() + body.as_bytes().len() + texts_len;
        let header = Header { kind: kind.number(), len: len as u32, ..self.header };
        let mut bytes = Vec::with_capacity(len);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(body.as_bytes());
        for text in texts {
            bytes.extend(text.bytes.iter().take(usize::from(u16::MAX)));
            bytes.resize(bytes.len().next_multiple_of(TEXT_ALIGN), 0);
        }
        bytes
    }
}

fn descriptor(text: RawText<'_>) -> Text {
    Text { len: u16::try_from(text.bytes.len()).unwrap_or(u16::MAX), flags: text.flags }
}
