//! By what metrics are told apart, and how many values each label can have: never one that who is watched can choose.

/// A label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Which values it has.
    pub values: &'static str,
    /// Why there are never many of them.
    pub bound: &'static str,
}

const fn label(name: &'static str, values: &'static str, bound: &'static str) -> Label {
    Label { name, values, bound }
}

pub(super) const ABI: Label = label("abi", "version of the record format", "1");
pub(super) const ACTED: Label = label("how", "`refused`, `refused-by-fanotify`, `killed`", "3");
pub(super) const COMPLETE: Label = label("complete", "`true`, `false`", "2");
pub(super) const DECISION: Label = label("decision", "`act`, `refuse`, `rehearse`, `done-in-kernel`", "4");
pub(super) const DELIVERY: Label = label(
    "reason",
    "`name`, `connection`, `tls`, `timeout`, `unauthorized`, `throttled`, `server`, `protocol`, `refused`, `local`",
    "10",
);
pub(super) const HOOK: Label = label("hook", "hooks, as in [kernel.md](kernel.md)", "about 50, fixed");
pub(super) const IRREGULAR: Label = label(
    "reason",
    "`duplicate_exit`, `unknown_process`, `healed_process`, `lost_args`, `unknown_cgroup`, `malformed_dns`",
    "6",
);
pub(super) const KIND: Label =
    label("kind", "kinds of records, as in [events.md](events.md)", "about 35, fixed");
pub(super) const LET_GO: Label = label("reason", "`timed_out`, `overflowed`", "2");
pub(super) const LOST: Label = label("reason", "`ring_full`, `failed`", "2");
pub(super) const MALFORMED: Label = label("reason", "why a record cannot be decoded", "about 10, fixed");
pub(super) const MAP: Label = label("map", "maps of the kernel half, by the names that `bpftool` shows", "8");
pub(super) const MECHANISM: Label = label(
    "mechanism",
    "`kernel`, `fanotify`, `pidfd`, `cgroup-kill`, `cgroup-signals`, `containerd`, `docker`, `cgroup-freeze`, `freezer`, `bpf`",
    "10",
);
pub(super) const MISSING: Label = label("what", "what is not known of a container", "about 10, fixed");
pub(super) const MODE: Label = label("mode", "`full`, `tracepoint`, `cgroup`", "3");
pub(super) const PROGRAM: Label = label(
    "program",
    "kernel programs; of those at the ends of the kernel's functions the function",
    "about 150, fixed; none unless `metrics.program_stats`",
);
pub(super) const REFUSED: Label = label(
    "reason",
    "`disabled`, `protected`, `unidentified`, `fuse-open`, `no-container`, `untrusted-rule`, `gone`, `not-possible`, `overloaded`",
    "9",
);
pub(super) const RESULT: Label = label("result", "`ok`, `failed`", "2");
pub(super) const RULE: Label = label("rule", "names of the rules that are loaded", "rules loaded");
pub(super) const SINK: Label = label("sink", "names of sinks", "keys under `sinks`");
pub(super) const SOURCE: Label = label("source", "who is asked about containers", "about 6, fixed");
pub(super) const TO: Label = label("to", "kind of the sink's destination", "one for each sink");
pub(super) const VERSION: Label = label("version", "version of Vedette", "1");
