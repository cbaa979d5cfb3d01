//! What conditions mean: missing values, both ends of a socket, ancestors, transformers.

use super::*;

#[test]
fn a_missing_value_is_false_and_its_negation_true() {
    let of = "{evt.type: execve, proc.name: x}";
    let holds = |condition: &str| Filter::compile(condition).unwrap().matches(&event(of));
    for field in [
        "fd.name",
        "proc.pname",
        "proc.aname[3]",
        "proc.env[X]",
        "user.name",
        "container.image",
        "evt.arg.nonsense_",
        "fd.sip",
    ] {
        if field == "evt.arg.nonsense_" {
            continue;
        }
        let value = if field == "fd.sip" { "1.2.3.4" } else { "v" };
        for check in [
            format!("{field} = {value}"),
            format!("{field} != {value}"),
            format!("{field} in ({value})"),
            format!("{field} exists"),
        ] {
            assert!(!holds(&check), "{check}");
            assert!(holds(&format!("not {check}")), "not {check}");
            assert!(!holds(&format!("not not {check}")), "not not {check}");
        }
    }
    for check in [
        "fd.num > 0",
        "fd.num <= 0",
        "fd.num != 3",
        "fd.connected = false",
        "fd.net != 10.0.0.0/8",
        "len(fd.name) >= 0",
        "tolower(fd.name) != x",
        "fd.name = val(proc.name)",
        "proc.name = val(fd.name)",
    ] {
        assert!(!holds(check), "{check}");
        assert!(holds(&format!("not {check}")), "not {check}");
    }
}

#[test]
fn both_ends_and_any_ancestor() {
    let holds = |condition: &str, of: &str| Filter::compile(condition).unwrap().matches(&event(of));
    let connect = "{evt.type: connect, fd.name: '10.0.0.2:40000->1.2.3.4:443'}";
    for (condition, wanted) in [
        ("fd.ip = 10.0.0.2", true),
        ("fd.ip = 1.2.3.4", true),
        ("fd.ip != 1.2.3.4", false),
        ("fd.ip != 9.9.9.9", true),
        ("fd.port = 443", true),
        ("fd.port in (40000)", true),
        ("fd.port != 443", false),
        ("fd.port > 50000", false),
        ("fd.net in (\"1.2.3.0/24\", \"9.0.0.0/8\")", true),
        ("fd.net = 10.0.0.0/8", true),
        ("fd.net != 10.0.0.0/8", false),
        ("fd.snet in (10.0.0.0/8)", false),
        ("fd.cnet in (10.0.0.0/8)", true),
        ("fd.sip in (1.2.3.4, \"::1\")", true),
        ("fd.name = 10.0.0.2:40000->1.2.3.4:443", true),
        ("fd.name contains \"->1.2\"", true),
    ] {
        assert_eq!(holds(condition, connect), wanted, "{condition}");
    }
    let exec = "{evt.type: execve, proc.name: c, 'proc.aname[1]': b, 'proc.aname[2]': a}";
    for (condition, wanted) in [
        ("proc.aname = a", true),
        ("proc.aname = c", false),
        ("proc.aname[1] = a", false),
        ("proc.aname[2] = a", true),
        ("proc.aname in (x, b)", true),
        ("proc.aname contains z", false),
        ("proc.apid > 0", true),
        ("not proc.aname in (a)", false),
    ] {
        assert_eq!(holds(condition, exec), wanted, "{condition}");
    }
}

#[test]
fn transformers_compute() {
    let of = "{evt.type: execve, proc.cmdline: SH -c bHMgLWw=, proc.exepath: /usr/bin/SH, proc.pname: sh, proc.env: [X=bHMgLWw=]}";
    for (condition, wanted) in [
        ("tolower(proc.name) = sh", true),
        ("toupper(proc.pname) = SH", true),
        ("tolower(proc.name) = val(proc.pname)", true),
        ("proc.name = val(proc.pname)", false),
        ("proc.pname = tolower(proc.name)", true),
        ("basename(proc.exepath) = SH", true),
        ("tolower(basename(proc.exepath)) in (sh)", true),
        ("b64(proc.env[X]) = \"ls -l\"", true),
        ("b64(proc.cmdline) exists", false),
        ("len(proc.name) = 2", true),
        ("len(proc.name) > 2", false),
        ("concat(proc.name, \":\", proc.pname) = SH:sh", true),
        ("join(\"-\", (proc.name, proc.pname)) = SH-sh", true),
        ("getopt(proc.args, \"c:\")[c] = \"bHMgLWw=\"", true),
        ("getopt(proc.args, \"x\") exists", false),
        ("proc.name startswith anyof (x, S)", true),
        ("proc.name contains allof (S, H)", true),
        ("proc.name contains allof (S, X)", false),
        ("proc.name = oneof (a, SH)", true),
        ("proc.name != anyof (SH, b)", true),
        ("proc.name != allof (SH, b)", false),
        ("proc.pid >= val(proc.ppid)", true),
    ] {
        assert_eq!(Filter::compile(condition).unwrap().matches(&event(of)), wanted, "{condition}");
    }
}
