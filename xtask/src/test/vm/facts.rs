//! What a machine says of itself besides the tests: lines that begin with `vm: `.
//!
//! They become one line for each row: the table of the matrix is also the record of which hooks there were.

use std::fmt::Write as _;

use serde_json::Value;

/// The beginning of every such line.
const PREFIX: &str = "vm: ";

/// One machine.
#[derive(Default)]
pub(super) struct Facts {
    /// Its kernel, as `uname -r` has it.
    kernel: String,
    /// Seconds from the start of the kernel to its first process, as the kernel counts them.
    uptime: String,
    /// The security modules, separated by commas.
    pub(super) lsm: String,
    /// Where control groups are mounted, and of which version.
    pub(super) cgroup: String,
    /// What `vedette doctor --json` said.
    doctor: Value,
}

impl Facts {
    /// Takes a line, if it is one of these.
    pub(super) fn line(&mut self, line: &str) -> bool {
        let Some((what, text)) = line.strip_prefix(PREFIX).and_then(|line| line.split_once(' ')) else {
            return false;
        };
        let text = text.trim();
        match what {
            "kernel" => text.clone_into(&mut self.kernel),
            "uptime" => text.clone_into(&mut self.uptime),
            "lsm" => text.clone_into(&mut self.lsm),
            "cgroup" => text.clone_into(&mut self.cgroup),
            "doctor" => self.doctor = serde_json::from_str(text).unwrap_or_default(),
            _ => return false,
        }
        true
    }

    /// Hooks that see, and how: `13 full, 5 tracepoint of 18`.
    fn hooks(&self) -> String {
        let hooks = self.list("/report/hooks");
        let count = |mode: &str| {
            hooks.iter().filter(|hook| hook.get("mode").is_some_and(|found| found == mode)).count()
        };
        format!("{} full, {} tracepoint of {}", count("full"), count("tracepoint"), hooks.len())
    }

    /// How a hook is attached.
    pub(super) fn mode(&self, hook: &str) -> Option<&str> {
        let found = self
            .list("/report/hooks")
            .iter()
            .find(|found| found.get("hook").is_some_and(|stem| stem == hook));
        found?.get("mode")?.as_str()
    }

    /// The programs at work, each with the instructions that the verifier walked through; kernels before 5.16 do not
    /// say that.
    pub(super) fn programs(&self) -> Vec<(&str, u64)> {
        let size = |hook: &'_ Value| hook.get("instructions")?.as_u64();
        let hooks = self.list("/report/hooks").iter();
        hooks.filter_map(|hook| Some((hook.get("chosen")?.as_str()?, size(hook)?))).collect()
    }

    fn list(&self, pointer: &str) -> &[Value] {
        self.doctor.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn missing_fields(&self) -> String {
        let names: Vec<&str> = self.list("/report/missing_fields").iter().filter_map(Value::as_str).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// One line for each machine.
pub(super) fn render(rows: &[(String, Facts)]) -> String {
    let mut text = format!(
        "{:<16} {:<28} {:>9}  {:<31} {:<28} fields missing\n",
        "", "kernel", "userspace", "hooks", "largest program"
    );
    for (name, facts) in rows {
        let largest = facts.programs().into_iter().max_by_key(|(_, count)| *count);
        let largest = largest.map_or("not said".to_owned(), |(name, count)| format!("{count} ({name})"));
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<16} {:<28} {:>7} s  {:<31} {largest:<28} {}",
            facts.kernel,
            facts.uptime,
            facts.hooks(),
            facts.missing_fields(),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Facts, render};

    #[test]
    fn lines_of_the_machine_become_one_line() {
        let mut facts = Facts::default();
        let lines = [
            "vm: uptime 1.93",
            "vm: kernel 6.1.0-50-cloud-amd64",
            "vm: lsm lockdown,bpf",
            r#"vm: doctor {"report":{"hooks":[{"hook":"a","chosen":"x","mode":"full","instructions":7},
               {"hook":"b","chosen":null,"mode":null,"instructions":null}],"missing_fields":["f"]}}"#,
        ];
        assert!(lines.iter().all(|line| facts.line(&line.replace('\n', ""))));
        assert!(!facts.line("test a ... ok"));
        assert!(!facts.line("vm: something else"));
        assert_eq!(facts.lsm, "lockdown,bpf");
        assert_eq!((facts.mode("a"), facts.mode("b"), facts.mode("c")), (Some("full"), None, None));
        let text = render(&[("6.1".to_owned(), facts)]);
        for part in ["6.1.0-50-cloud-amd64", "1.93 s", "1 full, 0 tracepoint of 2", "7 (x)", " f\n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
