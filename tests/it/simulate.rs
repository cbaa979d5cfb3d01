//! `vedette rules simulate`: what rules would have done with what was recorded. No kernel is needed.

use std::{fs, path::Path, process::Output};

use sensor::{
    decode::{ExecTexts, RawBody, RawEvent, RawText},
    recording::{Note, Preamble, Writer},
};
use sensor_common::{ABI_VERSION, Header, Kind, ProcExec};
use sensor_tests::daemon::run;
use serde_json::{Value, json};

const RULES: &str = "
- rule: Any exec
  desc: d
  condition: evt.type = execve
  suppress: {by: proc.exepath, for: 1m}
  response: kill
  output: started %proc.exepath
  priority: WARNING
- rule: Many execs
  desc: d
  condition: evt.type = execve
  count: {at_least: 3, within: 10s, by: proc.exepath}
  response: {block: {or: kill}}
  output: again %proc.exepath
  priority: NOTICE
- rule: Paused
  desc: d
  condition: evt.type = execve and proc.exepath = /bin/b
  response: pause
  output: '%proc.exepath'
  priority: NOTICE
";

fn exec(pid: u32, seconds: u64, path: &str) -> Vec<u8> {
    let text = |bytes| RawText { bytes, flags: 0 };
    let texts = ExecTexts { exe: text(path.as_bytes()), args: text(b"x\0"), ..ExecTexts::default() };
    let header = Header {
        tgid: pid,
        tid: pid,
        ppid: 1,
        start: 5_000_000_000,
        ts: (100 + seconds) * 1_000_000_000,
        ..Header::default()
    };
    RawEvent { header, body: RawBody::Exec(ProcExec { args_len: 2, ..ProcExec::default() }, texts) }.encode()
}

/// A minute and a half: five times one program, of three processes, and once another.
fn recording() -> Vec<u8> {
    let preamble = Preamble { abi: ABI_VERSION, epoch: 1_700_000_000_000_000_000, ..Preamble::default() };
    let mut writer = Writer::new(Vec::new(), &preamble).unwrap();
    for (pid, seconds) in [(1, 0), (2, 4), (3, 8), (3, 70), (3, 90)] {
        writer.record(&exec(pid, seconds, "/bin/a")).unwrap();
    }
    writer.record(&exec(4, 90, "/bin/b")).unwrap();
    writer
        .note(&Note { ts: 190_000_000_000, lost: vec![(Kind::FileOpen.number(), 5, 1)], ..Note::default() })
        .unwrap();
    writer.finish().unwrap()
}

fn simulate(dir: &Path, events: &Path, json: bool) -> Output {
    let rules = dir.join("rules.yaml");
    fs::write(&rules, RULES).unwrap();
    let (rules, events) = (rules.display().to_string(), events.display().to_string());
    let mut args = vec!["rules", "simulate", "--events", &events, "--rules", &rules, "--no-builtin-rules"];
    args.extend(json.then_some("--json"));
    run(&args)
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn simulate_says_what_rules_would_have_done() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rec");
    fs::write(&file, recording()).unwrap();
    let report: Value = serde_json::from_str(&said(&simulate(dir.path(), &file, true))).unwrap();
    let row = |rule: &str, exe: &str| {
        let rows = report["rows"].as_array().unwrap();
        let found = rows.iter().find(|row| row["rule"] == rule && row["workload"]["host"]["exe"] == exe);
        found.unwrap_or_else(|| panic!("{rule} {exe} in {report:#}"))
    };
    let any = row("Any exec", "/bin/a");
    assert_eq!((&any["alerts"], &any["suppressed"]), (&json!(2), &json!(3)));
    assert_eq!(any["would"], json!({"response": "kill", "number": 2, "of": "process"}));
    assert_eq!(any["first"], "2023-11-14T22:15:00.000000000Z");
    assert_eq!(
        (&any["last"], &any["example"]),
        (&json!("2023-11-14T22:16:30.000000000Z"), &json!("started /bin/a"))
    );
    let many = row("Many execs", "/bin/a");
    assert_eq!((&many["alerts"], &many["first"]), (&json!(1), &json!("2023-11-14T22:15:08.000000000Z")));
    assert_eq!(many["would"], json!({"response": "block", "or": "kill", "number": 1, "of": "action"}));
    // There is no container that could be paused.
    assert_eq!(
        row("Paused", "/bin/b")["would"],
        json!({"response": "pause", "number": 0, "of": "container"})
    );
    assert_eq!(report["rows"].as_array().unwrap().len(), 4);
    let totals =
        ["events", "alerts", "suppressed", "lost", "seconds", "alerts_per_hour"].map(|key| &report[key]);
    assert_eq!(totals, [&json!(7), &json!(5), &json!(3), &json!(6), &json!(90.0), &json!(200.0)]);
    let text = said(&simulate(dir.path(), &file, false));
    for line in [
        "  host /bin/a: 2 alerts, 3 suppressed, would have killed 2 processes\n",
        "  host /bin/a: 1 alert, would have blocked 1 action (or, where that cannot be, kill)\n",
        "\n7 events in 90.0 s, 5 alerts (200.0 an hour), 3 suppressed, 6 lost in the recording\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn simulate_plays_fixtures_and_lists_of_events() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/proc_exec.rec");
    assert!(said(&simulate(dir.path(), &fixture, false)).contains("Any exec (Warning)\n  container "));
    let list = dir.path().join("list.yaml");
    let one = "{evt.type: execve, proc.exepath: /bin/a, container.id: c1";
    fs::write(&list, format!("- {one}}}\n- {one}, after: 2s}}\n")).unwrap();
    let text = said(&simulate(dir.path(), &list, false));
    assert!(text.contains("container c1: 1 alert, 1 suppressed, would have killed 1 process\n"), "{text}");
    assert!(text.ends_with("2 events in 2.0 s, 1 alert, 1 suppressed, 0 lost in the recording\n"), "{text}");
}

#[test]
fn simulate_refuses_what_it_cannot_play() {
    let dir = tempfile::tempdir().unwrap();
    let other = format!("{{\"abi\":{},\"hostname\":\"\",\"kernel\":\"\",\"epoch\":0}}\n", ABI_VERSION + 1);
    for (bytes, words) in [
        (&b"\x7fELF\xff\xfe"[..], "neither a recording of vedette nor a list of events"),
        (b"- {evt.type: nothing}\n", "1:4: error: there is no event type `nothing`"),
        (b"", "there is no event in"),
        (other.as_bytes(), "records of version"),
    ] {
        let file = dir.path().join("file");
        fs::write(&file, bytes).unwrap();
        let output = simulate(dir.path(), &file, false);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(words) && output.stdout.is_empty(), "{words} in {error}");
    }
    let output = simulate(dir.path(), &dir.path().join("missing"), false);
    assert_eq!(output.status.code(), Some(1));
}
