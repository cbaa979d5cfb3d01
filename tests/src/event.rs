//! An event as the sensor printed it: JSON, with short ways to what tests ask for most.

use std::{
    borrow::Cow,
    ops::Index,
    sync::{Arc, OnceLock},
};

use serde::Deserialize;
use serde_json::Value;

/// One line of `vedette events --json`.
#[derive(Clone, Debug)]
pub struct Event(Arc<Line>);

/// Of most events only their beginning is ever asked for: a tree of values of each would be ten times as long, and is what
/// a slow machine would be busy with.
#[derive(Debug)]
struct Line {
    text: String,
    kind: String,
    family: String,
    pid: u32,
    child: Option<u32>,
    boot_time: u64,
    whole: OnceLock<Value>,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default, borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    boot_time: u64,
    task: Option<Task>,
    #[serde(borrow)]
    detail: Option<Detail<'a>>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    pid: u32,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(default, borrow)]
    family: Cow<'a, str>,
    child: Option<Task>,
}

impl Event {
    /// From a line.
    ///
    /// # Errors
    /// Where the line is no JSON, or none of an event.
    pub fn parse(line: &str) -> serde_json::Result<Self> {
        let head: Head<'_> = serde_json::from_str(line)?;
        let (family, child) =
            head.detail.map(|detail| (detail.family.into_owned(), detail.child)).unwrap_or_default();
        Ok(Self(Arc::new(Line {
            kind: head.kind.into_owned(),
            family,
            pid: head.task.map(|task| task.pid).unwrap_or_default(),
            child: child.map(|task| task.pid),
            boot_time: head.boot_time,
            whole: OnceLock::new(),
            text: line.to_owned(),
        })))
    }

    /// The line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    fn whole(&self) -> &Value {
        let parse = || serde_json::from_str(&self.0.text);
        // What is left out of the head is not looked at in every detail: an escape may be wrong.
        self.0
            .whole
            .get_or_init(|| parse().unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.0.text)))
    }

    /// `execve`, `openat`, …
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    /// Which arguments it has: `exec`, `open`, …, and `loss` of the sensor's own.
    #[must_use]
    pub fn family(&self) -> &str {
        &self.0.family
    }

    /// Process id of who did it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// When it happened, in nanoseconds since the machine started.
    #[must_use]
    pub fn boot_time(&self) -> u64 {
        self.0.boot_time
    }

    /// The system call's result.
    #[must_use]
    pub fn result(&self) -> i64 {
        self["result"].as_i64().unwrap_or_default()
    }

    /// The new process of a fork.
    #[must_use]
    pub fn child(&self) -> Option<u32> {
        self.0.child
    }

    /// The opened file's path, or a failed exec's file name.
    #[must_use]
    pub fn path(&self) -> &str {
        let detail = &self["detail"];
        detail["path"].as_str().or_else(|| detail["filename"].as_str()).unwrap_or_default()
    }

    /// The arguments of the process.
    #[must_use]
    pub fn args(&self) -> Vec<&str> {
        strings(&self["/process/args"])
    }

    /// Whether it is of the open family.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.family() == "open"
    }

    /// Whether it changes names or files.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.family() == "change"
    }

    /// Whether it is a call whose arguments are numbers.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.family() == "call"
    }

    /// Whether a descriptor was made the same as another.
    #[must_use]
    pub fn is_dup(&self) -> bool {
        self.family() == "dup"
    }

    /// Its arguments, where they are numbers.
    #[must_use]
    pub fn numbers(&self) -> Vec<i64> {
        self["/detail/args"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
    }

    /// Whether it is an exec, failed or not.
    #[must_use]
    pub fn is_exec(&self) -> bool {
        self.family() == "exec"
    }

    /// Whether it is about a socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.family() == "socket"
    }

    /// Whether it is a fork of any form.
    #[must_use]
    pub fn is_fork(&self) -> bool {
        self.family() == "fork"
    }

    /// Whether it is the end of a process.
    #[must_use]
    pub fn is_exit(&self) -> bool {
        self.kind() == "procexit"
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

impl Index<&str> for Event {
    type Output = Value;

    /// A field by its JSON pointer (`/process/exe`) or, without slashes, by its name. A missing one is `null`.
    fn index(&self, path: &str) -> &Value {
        const NULL: &Value = &Value::Null;
        if path.starts_with('/') { self.whole().pointer(path).unwrap_or(NULL) } else { &self.whole()[path] }
    }
}
