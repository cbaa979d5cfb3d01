//! What a check asks, where the kernel can tell it exactly.

use std::collections::BTreeSet;

use sensor_common::{
    filter::{FACTS, PATH_LEN, facts as seen},
    verdict::facts,
};

use super::{Act, Alternative, Sets, Word};
use crate::rule::{
    Path,
    check::{Against, Check, Number, Source, Test, nets, ports},
    syntax::Op,
    value::Value,
};

/// Longest thread name.
const COMM: usize = 15;

/// What a check asks. Outer `None`: more than the kernel can tell; inner `None`: what never is.
pub(crate) fn ask(at: u32, check: &Check, positive: bool, act: Act) -> Option<Option<Alternative>> {
    let Source::Field(reading) = &check.source else { return None };
    let name = reading.name();
    if name.starts_with("container.") || name.starts_with("k8s.") {
        let workload = BTreeSet::from([(at, positive)]);
        let plain = matches!(check.against, Against::Test(_) | Against::Each(..));
        return plain.then_some(Some(Alternative { workload, ..Alternative::default() }));
    }
    match (name, act) {
        ("proc.name", _) => {
            let comm = words(check, positive, |word| word.len() <= COMM)?;
            Some(Some(Alternative { comm, ..Alternative::default() }))
        }
        ("proc.exepath", Act::Exec)
        | ("fd.name" | "fs.path.name", Act::Open)
        | ("fs.path.name", Act::Remove)
        | ("fs.path.source", Act::Move | Act::Link) => {
            paths(check, positive).map(|path| Some(Alternative { path, ..Alternative::default() }))
        }
        ("fs.path.target", Act::Move | Act::Link) => {
            paths(check, positive).map(|target| Some(Alternative { target, ..Alternative::default() }))
        }
        ("fd.filename", Act::Open) => {
            let name = words(check, positive, |word| word.len() < sensor_common::filter::NAME_LEN)?;
            Some(Some(Alternative { name, ..Alternative::default() }))
        }
        ("proc.is_exe_upper_layer", Act::Exec) => fact(check, positive, |bits| bits & facts::UPPER != 0),
        ("proc.is_exe_lower_layer", Act::Exec) => fact(check, positive, |bits| bits & facts::LOWER != 0),
        ("evt.is_open_read", Act::Open) => fact(check, positive, |bits| bits & seen::READ != 0),
        ("evt.is_open_write", Act::Open) => fact(check, positive, |bits| bits & seen::WRITE != 0),
        ("user.uid", _) if act != Act::Exec => user(check, positive),
        ("fd.num" | "evt.rawres", _) => always(check, positive),
        ("evt.res", _) => known(check.holds_of(Value::Bytes(b"SUCCESS"))? == positive),
        ("fd.sip" | "fd.snet", Act::Connect | Act::Bind | Act::Send)
        | ("fd.rip" | "fd.rnet", Act::Connect | Act::Send)
        | ("fd.ip" | "fd.net" | "fd.lip" | "fd.lnet", Act::Bind) => {
            let net = Sets::new(nets(check)?, positive != check.negated);
            Some(Some(Alternative { net, ..Alternative::default() }))
        }
        ("fd.sport", Act::Connect | Act::Bind | Act::Send)
        | ("fd.rport", Act::Connect | Act::Send)
        | ("fd.port" | "fd.lport", Act::Bind) => {
            let port = Sets::new(ports(check)?, positive != check.negated);
            Some(Some(Alternative { port, ..Alternative::default() }))
        }
        ("fd.l4proto", Act::Connect | Act::Bind | Act::Send) => texts(check, positive, |bits| match bits {
            _ if bits & seen::TCP != 0 => Some("tcp"),
            _ if bits & seen::UDP != 0 => Some("udp"),
            _ => None,
        }),
        ("fd.typechar", Act::Open) => {
            texts(check, positive, |bits| Some(if bits & facts::DIRECTORY != 0 { "d" } else { "f" }))
        }
        ("fd.type", Act::Open) => texts(check, positive, |bits| {
            Some(if bits & facts::DIRECTORY != 0 { "directory" } else { "file" })
        }),
        ("fd.typechar", Act::Connect | Act::Bind | Act::Send) => {
            texts(check, positive, |bits| Some(if bits & seen::V6 != 0 { "6" } else { "4" }))
        }
        ("fd.type", Act::Connect | Act::Bind | Act::Send) => {
            texts(check, positive, |bits| Some(if bits & seen::V6 != 0 { "ipv6" } else { "ipv4" }))
        }
        ("fd.is_server", Act::Connect | Act::Bind | Act::Send) => {
            known(check.holds_of(Value::Bool(act == Act::Bind))? == positive)
        }
        ("fd.sockfamily", Act::Connect | Act::Bind | Act::Send) => {
            known(check.holds_of(Value::Bytes(b"ip"))? == positive)
        }
        _ => None,
    }
}

/// What is not asked by `rmdir`.
pub(super) fn not_by_rmdir() -> Alternative {
    Alternative { not_facts: where_bit(facts::RMDIR, true), ..Alternative::default() }
}

/// What is asked of the two names of a move, as what is asked of one. `None`: it is asked of both.
pub(super) fn of_one_name(of_both: Alternative) -> Option<Alternative> {
    let Alternative { path, target, not_facts, .. } = of_both;
    let (path, of_target) = match (path.is_any(), target.is_any()) {
        (_, true) => (path, false),
        (true, false) => (target, true),
        (false, false) => return None,
    };
    let not_facts = not_facts | where_bit(facts::TARGET, !of_target);
    Some(Alternative { path, target: Sets::default(), not_facts, ..of_both })
}

/// The numbers of facts that have a bit, or that do not.
fn where_bit(bit: u32, is_set: bool) -> u16 {
    let has = |bits: &u32| (bits & bit != 0) == is_set;
    (0..FACTS as u32).filter(has).fold(0, |set, bits| set | 1 << bits)
}

fn known(holds: bool) -> Option<Option<Alternative>> {
    Some(holds.then(Alternative::default))
}

/// Of a test that says the same of all results of what went well.
fn always(check: &Check, positive: bool) -> Option<Option<Alternative>> {
    let Against::Test(Test::Number(op, Number::Whole(number))) = &check.against else { return None };
    let holds = match op {
        Op::Ge if *number <= 0 => true,
        Op::Gt if *number < 0 => true,
        Op::Lt if *number <= 0 => false,
        Op::Le | Op::Eq if *number < 0 => false,
        _ => return None,
    };
    known((holds != check.negated) == positive)
}

fn fact(check: &Check, positive: bool, value: impl Fn(u32) -> bool) -> Option<Option<Alternative>> {
    let mut not_facts = 0;
    for bits in 0..FACTS as u32 {
        if check.holds_of(Value::Bool(value(bits)))? != positive {
            not_facts |= 1 << bits;
        }
    }
    Some((not_facts != u16::MAX).then_some(Alternative { not_facts, ..Alternative::default() }))
}

/// Of a text that follows from the facts; where it does not, no word may decide.
fn texts(
    check: &Check,
    positive: bool,
    value: impl Fn(u32) -> Option<&'static str>,
) -> Option<Option<Alternative>> {
    let mut not_facts = 0;
    for bits in 0..FACTS as u32 {
        let holds = match value(bits) {
            Some(text) => check.holds_of(Value::Bytes(text.as_bytes()))?,
            // Another protocol: it is none of those that have a fact, and perhaps none at all.
            None => {
                let Against::Test(test) = &check.against else { return None };
                let ours = |word: &Word| matches!(&**word, b"tcp" | b"udp");
                let named = match test {
                    Test::Equal(word) => ours(word),
                    Test::Set(words) => words.iter().all(ours),
                    _ => false,
                };
                if !named || check.negated || !positive {
                    return None;
                }
                false
            }
        };
        if holds != positive {
            not_facts |= 1 << bits;
        }
    }
    Some((not_facts != u16::MAX).then_some(Alternative { not_facts, ..Alternative::default() }))
}

fn user(check: &Check, positive: bool) -> Option<Option<Alternative>> {
    // Of the others a few are asked for all: only where the test names root alone it says the same of every one.
    let root_alone = match &check.against {
        Against::Test(Test::Number(Op::Eq | Op::Ne, number)) => *number == Number::Whole(0),
        Against::Test(Test::Numbers(numbers)) => numbers.iter().all(|number| *number == Number::Whole(0)),
        _ => false,
    };
    if !root_alone {
        return None;
    }
    let (root, user) = (check.holds_of(Value::Number(0))?, check.holds_of(Value::Number(1))?);
    Some(match (root == positive, user == positive) {
        (true, true) => Some(Alternative::default()),
        (false, false) => None,
        (root, _) => Some(Alternative { root: Some(root), ..Alternative::default() }),
    })
}

/// Of a check that compares with words, all of which have to fit: of one that is too long only a part would be looked at, and
/// that stands for others as well.
fn words(check: &Check, positive: bool, fits: impl Fn(&Word) -> bool) -> Option<Sets<Word>> {
    let Against::Test(test) = &check.against else { return None };
    let words: BTreeSet<Word> = match test {
        Test::Equal(word) => [word.clone()].into(),
        Test::Set(words) => words.iter().cloned().collect(),
        _ => return None,
    };
    words.iter().all(fits).then(|| Sets::new(words, positive != check.negated))
}

/// Of a check on the whole path. What the kernel would have to cut is not asked of it.
fn paths(check: &Check, positive: bool) -> Option<Sets<Path>> {
    let Against::Test(test) = &check.against else { return None };
    let inside = |path: &Word| [Path::Exact(path.clone()), Path::Prefix([path, &b"/"[..]].concat().into())];
    let paths: BTreeSet<Path> = match test {
        Test::Equal(path) => [Path::Exact(path.clone())].into(),
        Test::Set(paths) => paths.iter().cloned().map(Path::Exact).collect(),
        Test::Starts(path) => [Path::Prefix(path.clone())].into(),
        Test::FewPaths(paths) => paths.iter().flat_map(inside).collect(),
        Test::Paths(paths) => paths.iter().flat_map(inside).collect(),
        _ => return None,
    };
    let whole = |path: &Path| match path {
        Path::Exact(bytes) => bytes.len() < PATH_LEN,
        Path::Prefix(bytes) => bytes.len() <= PATH_LEN,
    };
    paths.iter().all(whole).then(|| Sets::new(paths, positive != check.negated))
}
