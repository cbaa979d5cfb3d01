//! An event as the sensor printed it: JSON, with short ways to what tests ask for most.

use std::{ops::Index, sync::Arc};

use serde_json::Value;

/// One line of `vedette events --json`.
#[derive(Clone, Debug)]
pub struct Event(Arc<Value>);

impl Event {
    /// From a line.
    ///
    /// # Errors
    /// Where the line is no JSON.
    pub fn parse(line: &str) -> serde_json::Result<Self> {
        Ok(Self(Arc::new(serde_json::from_str(line)?)))
    }

    /// `execve`, `openat`, …
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0["type"].as_str().unwrap_or_default()
    }

    /// Process id of who did it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0["task"]["pid"].as_u64().unwrap_or_default() as u32
    }

    /// When it happened, in nanoseconds since the machine started.
    #[must_use]
    pub fn boot_time(&self) -> u64 {
        self.0["boot_time"].as_u64().unwrap_or_default()
    }

    /// The system call's result.
    #[must_use]
    pub fn result(&self) -> i64 {
        self.0["result"].as_i64().unwrap_or_default()
    }

    /// The new process of a fork.
    #[must_use]
    pub fn child(&self) -> Option<u32> {
        self.0["detail"]["child"]["pid"].as_u64().map(|pid| pid as u32)
    }

    /// The opened file's path, or a failed exec's file name.
    #[must_use]
    pub fn path(&self) -> &str {
        let detail = &self.0["detail"];
        detail["path"].as_str().or_else(|| detail["filename"].as_str()).unwrap_or_default()
    }

    /// The arguments of the process.
    #[must_use]
    pub fn args(&self) -> Vec<&str> {
        strings(&self.0["process"]["args"])
    }

    /// Whether it is of the open family.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0["detail"]["family"] == "open"
    }

    /// Whether it changes names or files.
    #[must_use]
    pub fn is_change(&self) -> bool {
        self.0["detail"]["family"] == "change"
    }

    /// Whether it is a call whose arguments are numbers.
    #[must_use]
    pub fn is_call(&self) -> bool {
        self.0["detail"]["family"] == "call"
    }

    /// Whether a descriptor was made the same as another.
    #[must_use]
    pub fn is_dup(&self) -> bool {
        self.0["detail"]["family"] == "dup"
    }

    /// Its arguments, where they are numbers.
    #[must_use]
    pub fn numbers(&self) -> Vec<i64> {
        self.0["detail"]["args"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
    }

    /// Whether it is an exec, failed or not.
    #[must_use]
    pub fn is_exec(&self) -> bool {
        self.0["detail"]["family"] == "exec"
    }

    /// Whether it is about a socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.0["detail"]["family"] == "socket"
    }

    /// Whether it is a fork of any form.
    #[must_use]
    pub fn is_fork(&self) -> bool {
        self.0["detail"]["family"] == "fork"
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
        if path.starts_with('/') { self.0.pointer(path).unwrap_or(NULL) } else { &self.0[path] }
    }
}
