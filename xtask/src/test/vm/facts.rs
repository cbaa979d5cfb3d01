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

    /// Hooks that see, all hooks, and the largest program by what the verifier looked at.
    fn hooks(&self) -> (usize, usize, Option<(u64, &str)>) {
        let hooks = self.list("/report/hooks");
        let see = hooks.iter().filter(|hook| hook.get("chosen").is_some_and(|chosen| !chosen.is_null()));
        let size = |hook: &'_ Value| hook.get("instructions")?.as_u64();
        let sizes = hooks.iter().filter_map(|hook| Some((size(hook)?, hook.get("hook")?.as_str()?)));
        (see.count(), hooks.len(), sizes.max())
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
        "{:<16} {:<28} {:>9}  {:<7} {:<28} fields missing\n",
        "", "kernel", "userspace", "hooks", "largest program"
    );
    for (name, facts) in rows {
        let (see, all, largest) = facts.hooks();
        // Kernels before 5.16 do not say what the verifier looked at.
        let largest = largest.map_or("not said".to_owned(), |(count, hook)| format!("{count} ({hook})"));
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{name:<16} {:<28} {:>7} s  {:<7} {largest:<28} {}",
            facts.kernel,
            facts.uptime,
            format!("{see}/{all}"),
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
            r#"vm: doctor {"report":{"hooks":[{"hook":"a","chosen":"x","instructions":7},
               {"hook":"b","chosen":null,"instructions":null}],"missing_fields":["f"]}}"#,
        ];
        assert!(lines.iter().all(|line| facts.line(&line.replace('\n', ""))));
        assert!(!facts.line("test a ... ok"));
        assert!(!facts.line("vm: something else"));
        assert_eq!(facts.lsm, "lockdown,bpf");
        let text = render(&[("6.1".to_owned(), facts)]);
        for part in ["6.1.0-50-cloud-amd64", "1.93 s", "1/2", "7 (a)", " f\n"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
