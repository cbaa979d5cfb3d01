//! The rows of the matrix: which kernels there are, and which way each of them is started.
//!
//! It turns what the user typed into rows and rows into kernel options; it starts nothing.

use anyhow::{Result, bail};

use crate::arch::Arch;

/// A kernel of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Series {
    /// As the user types it: the beginning of a version, or `newest`.
    pub(super) name: &'static str,
    /// The suites of Debian that have it.
    pub(super) suites: &'static [&'static str],
    /// Whether BPF is among the security modules without being asked for.
    bpf_lsm: bool,
}

/// All of them, the oldest first. The newest is whatever is newest in the suites that can be read.
pub(super) const SERIES: [Series; 4] = [
    Series { name: "5.10", suites: &["bullseye"], bpf_lsm: false },
    Series { name: "6.1", suites: &["bookworm"], bpf_lsm: true },
    Series { name: "6.12", suites: &["trixie"], bpf_lsm: true },
    Series { name: NEWEST, suites: &["trixie-backports", "sid"], bpf_lsm: true },
];

/// The series that stands for all where there is time for one only.
const USUAL: &str = "6.12";

/// The name of the series without a number.
pub(super) const NEWEST: &str = "newest";

/// The tests that are enough where there is no time for more: what every family of calls looks like on that kernel, and the
/// filters.
pub(super) const SMOKE: [&str; 4] = ["every_call", "exec::", "filter_on", "net_connect"];

/// Another way to start the same kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// The unified hierarchy of control groups, and the security modules that the kernel has by itself.
    Plain,
    /// The hierarchies of cgroup v1, and no unified one.
    CgroupV1,
    /// BPF among the security modules.
    Lsm,
    /// BPF not among them.
    NoLsm,
    /// System calls seen behind the tracepoint instead of at the ends of their functions.
    Tracepoint,
    /// The same release on another processor.
    Arm64,
}

const VARIANTS: [(&str, Variant); 5] = [
    ("arm64", Variant::Arm64),
    ("cgroup1", Variant::CgroupV1),
    ("lsm", Variant::Lsm),
    ("nolsm", Variant::NoLsm),
    ("tracepoint", Variant::Tracepoint),
];

/// One row of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) series: Series,
    pub(super) variant: Variant,
}

impl Entry {
    /// As the user types it: `5.10`, `5.10/lsm`.
    pub(super) fn name(&self) -> String {
        let variant = VARIANTS.iter().find(|(_, variant)| *variant == self.variant);
        variant
            .map_or_else(|| self.series.name.to_owned(), |(name, _)| format!("{}/{name}", self.series.name))
    }

    /// What the kernel is told besides what every machine is told.
    pub(super) fn options(&self) -> &'static str {
        match self.variant {
            Variant::Plain | Variant::Tracepoint | Variant::Arm64 => "vedette.cgroup=v2",
            Variant::CgroupV1 => "vedette.cgroup=v1",
            Variant::Lsm => "vedette.cgroup=v2 lsm=lockdown,yama,apparmor,bpf",
            Variant::NoLsm => "vedette.cgroup=v2 lsm=lockdown,yama,apparmor",
        }
    }

    /// The tests that can tell this row from the kernel's own row, by parts of their names; `None`: all of them. A variant
    /// changes a part of the kernel, and everything else was tested on the same kernel without it.
    pub(super) fn tests(&self) -> Option<&'static [&'static str]> {
        match self.variant {
            Variant::Plain => None,
            Variant::CgroupV1 => Some(&[
                "cgroup::",
                "container::",
                "identity::",
                "isolate",
                "loss::loss_of_opens",
                "pod::",
                "respond",
                "runtime::",
                "verdict::",
            ]),
            Variant::Lsm | Variant::NoLsm => Some(&[
                "capability::",
                "fanotify::",
                "hooks::",
                "own::",
                "respond::",
                "shield::",
                "verdict::",
            ]),
            // Every family of calls: what they look like must be the same.
            Variant::Tracepoint => Some(&[
                "every_call",
                "by_a_32_bit_caller",
                "exec::",
                "filter::",
                "hooks::",
                "net::",
                "uring::",
                "verdict::net::",
            ]),
            Variant::Arm64 => Some(&["arm::", "every_call", "exec::", "filter::filter_on", "net_connect"]),
        }
    }

    /// The processor.
    pub(super) fn arch(&self) -> Arch {
        if self.variant == Variant::Arm64 { Arch::Arm64 } else { Arch::X86_64 }
    }

    /// How hooks are attached there. Left to itself the sensor takes the full mode wherever it is to be had: 5.10 does not
    /// say where every call ends.
    pub(super) fn mode(&self) -> &'static str {
        if self.variant == Variant::Tracepoint { "tracepoint" } else { "auto" }
    }

    /// How hooks have to be attached there that have a choice: in the full mode on all of these, unless they are told otherwise.
    pub(super) fn expected_mode(&self) -> &'static str {
        if self.variant == Variant::Tracepoint { "tracepoint" } else { "full" }
    }

    /// Whether the machine says that it is what the row promises: a misspelt option would test nothing new.
    pub(super) fn check(&self, lsm: &str, cgroup: &str, mode: Option<&str>) -> Result<(), String> {
        let bpf = lsm.split(',').any(|module| module.trim() == "bpf");
        let unified = cgroup.contains("cgroup2");
        let (want_bpf, want_unified) = match self.variant {
            Variant::Plain | Variant::Tracepoint | Variant::Arm64 => (self.series.bpf_lsm, true),
            Variant::CgroupV1 => (self.series.bpf_lsm, false),
            Variant::Lsm => (true, true),
            Variant::NoLsm => (false, true),
        };
        if bpf != want_bpf {
            return Err(format!("the security modules are `{lsm}`, which is not what this row is about"));
        }
        if unified != want_unified || cgroup.trim().is_empty() {
            return Err(format!("the control groups are `{cgroup}`, which is not what this row is about"));
        }
        let expected = self.expected_mode();
        if mode != Some(expected) {
            return Err(format!("hooks take the mode {mode:?} here instead of {expected}"));
        }
        Ok(())
    }
}

/// What `all` means: every kernel as it comes, at both ends also with BPF LSM turned round, in between also with
/// cgroup v1, and one of them also in the other mode and on the other processor.
pub(super) fn all() -> Vec<Entry> {
    let mut entries = Vec::new();
    for series in SERIES {
        entries.push(Entry { series, variant: Variant::Plain });
        let other = if series.bpf_lsm { Variant::NoLsm } else { Variant::Lsm };
        if matches!(series.name, "5.10" | NEWEST) {
            entries.push(Entry { series, variant: other });
        } else {
            entries.push(Entry { series, variant: Variant::CgroupV1 });
        }
        if series.name == USUAL {
            entries.push(Entry { series, variant: Variant::Tracepoint });
            entries.push(Entry { series, variant: Variant::Arm64 });
        }
    }
    entries
}

/// The rows of a list such as `5.10,6.12/cgroup1`, or `all`.
pub(super) fn parse(list: &str) -> Result<Vec<Entry>> {
    if list == "all" {
        return Ok(all());
    }
    list.split(',').map(|name| one(name.trim())).collect()
}

fn one(name: &str) -> Result<Entry> {
    let (kernel, variant) = name.split_once('/').unwrap_or((name, ""));
    let series = SERIES.into_iter().find(|series| series.name == kernel);
    let variant = match variant {
        "" => Some(Variant::Plain),
        _ => VARIANTS.iter().find(|(known, _)| *known == variant).map(|(_, variant)| *variant),
    };
    match (series, variant) {
        (Some(series), Some(variant)) => Ok(Entry { series, variant }),
        _ => bail!(
            "no kernel `{name}`: there are {} (each also with {}), `all` and `list`",
            SERIES.map(|series| series.name).join(", "),
            VARIANTS.map(|(name, _)| format!("/{name}")).join(", "),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{Variant, all, parse};
    use crate::test::vm::suite;

    #[test]
    fn a_list_names_rows_and_rows_their_list() {
        let rows = parse("5.10, 6.12/cgroup1,newest/nolsm,6.12/arm64").unwrap();
        let names: Vec<String> = rows.iter().map(super::Entry::name).collect();
        assert_eq!(names, ["5.10", "6.12/cgroup1", "newest/nolsm", "6.12/arm64"]);
        assert_eq!(rows.get(1).unwrap().variant, Variant::CgroupV1);
        assert!(parse("5.1").unwrap_err().to_string().contains("no kernel `5.1`"));
        assert!(parse("5.10/x").is_err());
        let every: Vec<String> = all().iter().map(super::Entry::name).collect();
        assert_eq!(parse(&every.join(",")).unwrap(), all());
    }

    /// What no test's name has in it would be left out in silence.
    #[test]
    fn every_part_of_a_rows_tests_is_in_the_name_of_some_test() {
        let top = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/it"));
        let (mut names, mut folders) = (String::new(), vec![top.to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let module = path.strip_prefix(top).unwrap().with_extension("");
                let module = module.to_string_lossy().replace('/', "::");
                let text = std::fs::read_to_string(&path).unwrap();
                let tests = text
                    .split("#[test]")
                    .skip(1)
                    .filter_map(|after| after.split_once("fn ")?.1.split('(').next());
                names.extend(tests.map(|test| format!("{module}::{test}\n")));
            }
        }
        let rows = all();
        let mut parts = rows.iter().filter_map(super::Entry::tests).flatten().chain(&super::SMOKE).peekable();
        assert!(parts.peek().is_some());
        for part in parts.chain(&suite::LEFT_OUT).chain(&suite::OWN).chain(&suite::ALONE) {
            assert!(names.contains(part), "{part}");
        }
        for (entry, tests) in rows.iter().filter_map(|entry| Some((entry, entry.tests()?))) {
            for name in names.lines().filter(|name| tests.iter().any(|part| name.contains(part))) {
                assert!(suite::has(tests, name), "{}: {name} is in none of the steps", entry.name());
            }
        }
    }

    #[test]
    fn a_machine_that_is_not_what_its_row_says_is_found_out() {
        let row = |name: &str| parse(name).unwrap().remove(0);
        let v2 = " /sys/fs/cgroup cgroup2 ";
        let v1 = " /sys/fs/cgroup/pids cgroup ";
        let (full, tracepoint) = (Some("full"), Some("tracepoint"));
        assert!(row("5.10").check("capability,yama", v2, full).is_ok());
        assert!(row("5.10/lsm").check("capability,yama", v2, full).is_err());
        assert!(row("6.12").check("capability,yama,bpf", v2, full).is_ok());
        assert!(row("6.12/cgroup1").check("yama,bpf", v1, full).is_ok());
        assert!(row("6.12/cgroup1").check("yama,bpf", v2, full).is_err());
        assert!(row("6.12/cgroup1").check("yama,bpf", "", full).is_err());
        for (name, right, wrong) in
            [("6.12", full, tracepoint), ("6.12/tracepoint", tracepoint, full), ("newest", full, tracepoint)]
        {
            assert!(row(name).check("yama,bpf", v2, right).is_ok(), "{name}");
            assert!(row(name).check("yama,bpf", v2, wrong).is_err(), "{name}");
            assert!(row(name).check("yama,bpf", v2, None).is_err(), "{name}");
        }
    }
}
