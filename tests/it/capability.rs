//! The sensor with fewer capabilities than root has: with those that it asks for it sees all that it sees as root, and without one
//! of them it says which, and what is missing for it.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
};

use sensor::capability::{NEEDS, Need};
use sensor_tests::{needs_kernel, vedette};
use serde_json::Value;

/// The numbers of `capabilities(7)`.
fn number(need: &Need) -> u64 {
    match need.name {
        "CAP_DAC_READ_SEARCH" => 2,
        "CAP_KILL" => 5,
        "CAP_NET_ADMIN" => 12,
        "CAP_SYS_PTRACE" => 19,
        "CAP_SYS_ADMIN" => 21,
        "CAP_SYS_RESOURCE" => 24,
        "CAP_PERFMON" => 38,
        "CAP_BPF" => 39,
        other => panic!("no number for {other}"),
    }
}

/// A `vedette` that has these capabilities and no others.
fn with(kept: &[&Need], args: &[&str]) -> Command {
    let kept: u64 = kept.iter().map(|need| 1 << number(need)).sum();
    let mut command = Command::new(vedette());
    command.args(args).stdin(Stdio::null());
    // SAFETY: `prctl` is a plain system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(move || {
            // A program that root starts gets what the bounding set has. Numbers that this kernel does not know are refused.
            for number in 0..64 {
                if kept & 1 << number == 0 {
                    libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0);
                }
            }
            Ok(())
        });
    }
    command
}

fn doctor(kept: &[&Need]) -> Value {
    let output = with(kept, &["doctor", "--json", "--no-builtin-rules"]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The hooks and the programs that were chosen for them.
fn hooks(doctor: &Value) -> Vec<(String, Value)> {
    let hooks = doctor["report"]["hooks"].as_array().unwrap_or_else(|| panic!("{doctor}"));
    hooks.iter().map(|hook| (hook["hook"].as_str().unwrap().to_owned(), hook["chosen"].clone())).collect()
}

#[test]
fn capability_list_is_enough_for_everything() {
    needs_kernel!();
    let root = Command::new(vedette()).args(["doctor", "--json", "--no-builtin-rules"]).output().unwrap();
    let root: Value = serde_json::from_slice(&root.stdout).unwrap();
    let all: Vec<&Need> = NEEDS.iter().collect();
    assert_eq!(hooks(&doctor(&all)), hooks(&root));
    // Before 5.11 it is needed for the tables. On a kernel that this is not, its absence changes nothing.
    let held = |capability: &Value| capability["held"] == true;
    let standings = root["capabilities"].as_array().unwrap();
    assert_eq!(standings.len(), NEEDS.len());
    println!(
        "this machine has {} of {}",
        standings.iter().filter(|standing| held(standing)).count(),
        NEEDS.len()
    );
}

#[test]
fn capability_that_is_missing_is_named_with_what_is_blind_for_it() {
    needs_kernel!();
    let net_admin = NEEDS.iter().find(|need| need.name == "CAP_NET_ADMIN").unwrap();
    // The old one stands for it while it is held.
    let kept = NEEDS.iter().filter(|need| *need != net_admin && need.name != "CAP_SYS_ADMIN");
    let without = doctor(&kept.collect::<Vec<_>>());
    let blind: Vec<String> =
        hooks(&without).into_iter().filter(|(_, chosen)| chosen.is_null()).map(|(hook, _)| hook).collect();
    println!("without CAP_NET_ADMIN: {blind:?}");
    // A machine without a unified hierarchy does not see them anyway.
    assert!(["net_dns_query", "net_dns_answer"].iter().all(|hook| blind.iter().any(|blind| blind == hook)));
    let standing = without["capabilities"].as_array().unwrap();
    let standing = standing.iter().find(|standing| standing["capability"] == "CAP_NET_ADMIN").unwrap();
    assert_eq!(
        (standing["held"].as_bool(), standing["without"].as_str()),
        (Some(false), Some(net_admin.without))
    );
}

#[test]
fn capability_without_which_nothing_is_seen_ends_the_start() {
    needs_kernel!();
    for missing in ["CAP_BPF", "CAP_PERFMON"] {
        // The old one stands for both.
        let kept = NEEDS.iter().filter(|need| need.name != missing && need.name != "CAP_SYS_ADMIN");
        let output: Output = with(&kept.collect::<Vec<_>>(), &["events"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{said}");
        let line = said.lines().last().unwrap();
        assert!(line.contains(&format!("takes {missing}, which this process does not have")), "{said}");
    }
}

#[test]
fn capability_for_the_start_is_given_up_and_a_missing_one_is_a_warning() {
    needs_kernel!();
    let dir = tempfile::tempdir().unwrap();
    let flags = sensor_tests::alerts::flags(dir.path(), "");
    let mut args = vec!["run", "--json", "--set", "dns.resolve=false"];
    args.extend(flags.iter().map(String::as_str));
    let kill = NEEDS.iter().find(|need| need.name == "CAP_KILL").unwrap();
    let kept: Vec<&Need> = NEEDS.iter().filter(|need| *need != kill).collect();
    let mut sensor = with(&kept, &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(sensor.stderr.take().unwrap()).lines().map_while(Result::ok) {
        said += &(line + "\n");
        if said.contains("watching") {
            break;
        }
    }
    assert!(said.contains("watching"), "{said}");
    assert!(said.contains(kill.without), "{said}");
    let start: u64 = NEEDS.iter().filter(|need| need.start_only).map(|need| 1 << number(need)).sum();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", sensor.id())).unwrap().flatten();
    let mut seen = Vec::new();
    for task in tasks {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap();
        for set in ["CapPrm:", "CapEff:"] {
            let line = status.lines().find_map(|line| line.strip_prefix(set)).unwrap();
            seen.push(u64::from_str_radix(line.trim(), 16).unwrap());
        }
    }
    sensor.kill().unwrap();
    sensor.wait().unwrap();
    println!("{seen:x?}");
    assert!(seen.len() > 4 && seen.iter().all(|held| held & start == 0), "{seen:x?}");
    let all: u64 = NEEDS.iter().map(|need| 1 << number(need)).sum();
    assert!(seen.iter().all(|held| held & !all == 0), "{seen:x?}");
}
