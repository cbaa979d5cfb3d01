//! Which tests a machine runs, and in which order.
//!
//! It writes the script that the machine is for, and what a row adds to it; it starts nothing.

use crate::test::PROMISE;

/// What tests are told of a machine: how much more patient to be (such that a test that waits in vain still
/// fails by its name, before the machine's time is over), and how much smaller to make their storms.
const PACE: &str = "VEDETTE_TEST_SLOW=3 VEDETTE_TEST_STORM=20";

/// A kernel that preempts itself leaves a call out of a program in which it has interrupted another task. Here that lasts a whole
/// turn of whoever is at work, so what tests do at the same time would now and then hide from each other.
const ONE_BY_ONE: &str =
    "threads=; grep -qs '(lazy)' /sys/kernel/debug/sched/preempt && threads=--test-threads=1";

/// The option of the kernel that says that the tests of a row are named, and those that name the tests of each step.
const ROW: &str = "vedette.row";
const STEPS: [&str; 3] = ["vedette.shared", "vedette.own", "vedette.alone"];

/// How often tests try what is forbidden: passed on to the machine.
const TRIES: &str = "VEDETTE_TEST_TRIES";

/// Tests that stay out, by a part of their names: files, rules, recordings, the command line and what becomes of alerts,
/// which no kernel changes. Every start of a sensor costs seconds in such a machine.
pub(super) const LEFT_OUT: [&str; 19] = [
    "config::",
    "cost::",
    "deploy",
    "engine::",
    "metrics::",
    "sink",
    // A storm of control groups for minutes, about the memory of the daemon.
    "cgroup::cgroup_churn",
    "fixtures::",
    "layers::",
    "reload::",
    "replay::",
    "simulate::",
    "cli::cli_events_end",
    "cli::cli_recording",
    "cli::cli_rules",
    "cli::cli_second",
    "cli::cli_sighup",
    "cli::cli_sigint",
    "cli::cli_wrong",
];

/// Tests of the second step: they start sensors of their own and never use the one that the others share. That one shows and
/// keeps all that every test does, which took more processor time than these tests themselves.
pub(super) const OWN: [&str; 12] = [
    "capability::",
    "cli::",
    "fanotify::",
    "filter::",
    "hooks::",
    "isolate::",
    "own::",
    "pod::",
    "respond",
    "runtime::",
    "shield::",
    "verdict::",
];

/// Tests of the last step, which have the machine for themselves, one after the other: among the others each of them would end
/// the sensor that these share, and what the others do would fill the ring that they fill. Those that compare what two sensors
/// see are among them: where a kernel preempts itself, it leaves calls out for whoever comes second in a program.
pub(super) const ALONE: [&str; 6] = [
    "cli::cli_starts_while",
    "control::mem_protect_is_seen",
    "dns::net_dns_rules",
    "filter::filter_o",
    "loss::",
    "process::proc_exec_ten",
];

/// The options of the kernel that tell a machine the tests of its row, by parts of their names.
pub(super) fn row(tests: &[&str]) -> String {
    let steps = STEPS.iter().zip(steps(tests));
    let steps: String = steps.map(|(option, tests)| format!(" {option}={}", tests.join(","))).collect();
    format!(" {ROW}{steps}")
}

/// The tests of each step, by parts of their names.
fn steps<'a>(tests: &[&'a str]) -> [Vec<&'a str>; 3] {
    let is_alone = |test: &&str| ALONE.iter().any(|alone| test.starts_with(alone));
    let is_own = |test: &&str| OWN.iter().any(|own| test.starts_with(own) || own.starts_with(test));
    let (mut alone, others): (Vec<&str>, Vec<&str>) = tests.iter().copied().partition(is_alone);
    let (own, shared): (Vec<&str>, Vec<&str>) = others.iter().copied().partition(is_own);
    // What is part of a larger name is left out of the other steps.
    alone.extend(ALONE.iter().filter(|alone| others.iter().any(|test| alone.starts_with(test))));
    [shared, own, alone]
}

/// The tests that each step leaves to the others.
fn left() -> [Vec<&'static str>; 3] {
    [[&OWN[..], &ALONE].concat(), ALONE.to_vec(), Vec::new()]
}

/// Whether one of the steps has the test that is called so, where a row has these.
#[cfg(test)]
pub(super) fn has(tests: &[&str], name: &str) -> bool {
    let is_in = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    steps(tests).iter().zip(left()).any(|(step, left)| is_in(step) && !is_in(&left))
}

/// What a machine runs: what `filter` lets through, else the tests of its row, else all. Each step is a process of its own.
pub(super) fn script(filter: Option<&str>) -> String {
    let without = |names: &[&str]| -> String { names.iter().map(|name| format!(" --skip {name}")).collect() };
    let run = format!("/vm/bin/deps/it --show-output --format=pretty $threads{}", without(&LEFT_OUT));
    let run = match filter {
        None => {
            // The names of all tests have colons.
            let whole = ["::".to_owned(), OWN.join(" "), ALONE.join(" ")];
            let steps = STEPS.iter().zip(left()).zip(whole);
            let steps = steps.map(|((option, left), whole)| {
                format!(
                    "tests='{whole}'\n\
                     grep -q {ROW} /proc/cmdline &&\n\
                     tests=$(grep -o '{option}=[^ ]*' /proc/cmdline | cut -d= -f2 | tr , ' ')\n\
                     [ -z \"$tests\" ] || {run}{} $tests || code=$?\n",
                    without(&left)
                )
            });
            format!("code=0\n{}exit $code", steps.collect::<String>())
        }
        // Parts of tests' names: letters, digits, underscores and colons.
        Some(filter) => {
            let filter = filter.chars().filter(|c| c.is_alphanumeric() || "_: ".contains(*c));
            format!("exec {run} {}", filter.collect::<String>())
        }
    };
    // A number, as the tests take it.
    let tries = std::env::var(TRIES).ok().and_then(|tries| tries.parse::<u32>().ok());
    let tries = tries.map(|tries| format!(" {TRIES}={tries}")).unwrap_or_default();
    format!(
        "export VEDETTE_BIN=/vm/vedette {PROMISE}=kernel {PACE}{tries}\n\
         export VEDETTE_KERNEL_MODE=$(grep -o 'vedette.mode=[a-z]*' /proc/cmdline | cut -d= -f2)\n\
         echo \"vm: doctor $(/vm/vedette doctor --json)\"\n\
         {ONE_BY_ONE}\ncd /tmp\n{run}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::row;

    #[test]
    fn tests_of_a_row_come_in_their_steps() {
        assert_eq!(
            row(&["cgroup::", "isolate", "loss::loss_of_opens", "filter::", "verdict::net"]),
            " vedette.row vedette.shared=cgroup:: vedette.own=isolate,filter::,verdict::net \
             vedette.alone=loss::loss_of_opens,filter::filter_o"
        );
        assert_eq!(row(&["exec::"]), " vedette.row vedette.shared=exec:: vedette.own= vedette.alone=");
    }
}
