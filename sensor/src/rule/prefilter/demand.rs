//! What a check says of the properties that the kernel knows.

use std::sync::Arc;

use sensor_common::{
    Kind,
    filter::{FACTS, facts},
};

use super::{Role, Term};
use crate::{
    event::{Detail, Event, EventType, Loss, Task},
    rule::{
        Path, Sets, Word,
        check::{Against, Check, Number, Source, Test},
        syntax::Op,
        value::{Slots, Value},
    },
};

/// Longest thread name: a longer one fits none.
const COMM_LEN: usize = 15;

/// How a call ended, as far as the kernel's filters tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It went well.
    Done,
    /// There was no such file: what programs that look for one in several places hear all day long.
    NotFound,
    /// It failed otherwise.
    Failed,
}

impl Outcome {
    /// The ways to end well, or not.
    pub(crate) const fn of(failed: bool) -> &'static [Self] {
        if failed { &[Self::NotFound, Self::Failed] } else { &[Self::Done] }
    }
}

/// What is known before a check is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Situation {
    /// A file is opened.
    pub(crate) opens: bool,
    /// What the socket is for, where it is about one of which the kernel looks at an end.
    pub(crate) socket: Option<Role>,
    pub(crate) outcome: Outcome,
    /// It is what DNS answered.
    pub(crate) answer: bool,
}

impl Situation {
    /// That of the records of a kind.
    pub(crate) fn of(kind: Kind, outcome: Outcome) -> Self {
        Self { opens: kind == Kind::FileOpen, socket: Role::of(kind), outcome, answer: false }
    }
}

/// What must hold for a check to be true.
#[derive(Debug)]
pub(crate) enum Demand {
    /// Nothing that the kernel can tell.
    Unknown,
    /// It cannot be true.
    Never,
    /// This.
    Term(Box<Term>),
}

impl From<Term> for Demand {
    fn from(term: Term) -> Self {
        Self::Term(Box::new(term))
    }
}

impl Demand {
    /// What `check` needs to be true (or false, where `positive` is not set) in this situation.
    pub(crate) fn of(check: &Check, positive: bool, situation: Situation) -> Self {
        let Source::Field(reading) = &check.source else { return Self::Unknown };
        let name = reading.name();
        if name.starts_with("container.") || name.starts_with("k8s.") {
            return Self::container(check, positive);
        }
        let opened = situation.opens && situation.outcome == Outcome::Done;
        match name {
            "evt.res" if situation.outcome == Outcome::NotFound => {
                Self::known(check.holds_of(Value::Bytes(b"ENOENT")), positive)
            }
            "evt.rawres" if situation.outcome == Outcome::NotFound => Self::errno(check, positive, -2..=-2),
            "evt.rawres" if situation.outcome == Outcome::Failed => Self::errno(check, positive, -4095..=-1),
            "fd.num" if situation.opens && situation.outcome == Outcome::NotFound => {
                Self::errno(check, positive, -2..=-2)
            }
            "fd.num" if situation.opens && situation.outcome == Outcome::Failed => {
                Self::errno(check, positive, -4095..=-1)
            }
            "dns.answer" if situation.answer => Self::known(check.holds_of(Value::Bool(true)), positive),
            "user.uid" => Self::user(check, positive),
            "evt.is_open_read" if opened => Self::fact(check, positive, facts::READ),
            "evt.is_open_write" if opened => Self::fact(check, positive, facts::WRITE),
            "evt.is_open_exec" if opened => Self::fact(check, positive, facts::EXECUTABLE),
            "proc.name" => Self::words(check, positive, |words| {
                let fit = words.into_iter().filter(|word| word.len() <= COMM_LEN);
                Term { comm: Sets::new(fit.collect(), true), ..Term::any() }
            }),
            "fd.filename" if situation.opens => Self::words(check, positive, |words| Term {
                name: Sets::new(words.into_iter().collect(), true),
                ..Term::any()
            }),
            "fd.name" | "fs.path.name" if situation.opens => {
                let demand = Self::path(check, positive);
                // The kernel has no path of what could not be opened, but the name that was asked for.
                match demand {
                    Self::Term(term) if !opened => Self::from(Term { path: Sets::any(), ..*term }),
                    demand => demand,
                }
            }
            "fd.directory" if opened => Self::directory(check, positive),
            _ => match situation.socket {
                Some(role) => Self::socket(check, positive, reading, role),
                None => Self::Unknown,
            },
        }
    }

    /// Of a check on the container: on the host it says the same of every event.
    fn container(check: &Check, positive: bool) -> Self {
        if matches!(check.against, Against::Values(..)) {
            return Self::Unknown;
        }
        let mut slots = Slots::new(check.slot as usize + 1, check.buffers());
        if check.holds(&on_host(), &mut slots) == positive {
            return Self::Unknown;
        }
        Self::from(Term { host: false, ..Term::any() })
    }

    /// Of a check whose answer is the same for all events.
    fn known(answer: Option<bool>, positive: bool) -> Self {
        match answer {
            Some(answer) if answer != positive => Self::Never,
            _ => Self::Unknown,
        }
    }

    fn errno(check: &Check, positive: bool, values: std::ops::RangeInclusive<i64>) -> Self {
        let possible =
            values.into_iter().any(|value| check.holds_of(Value::Number(value)) != Some(!positive));
        if possible { Self::Unknown } else { Self::Never }
    }

    fn user(check: &Check, positive: bool) -> Self {
        let can = |uid: u32| check.holds_of(Value::Number(i64::from(uid))) != Some(!positive);
        // Of the others a few are asked for all: only where the test names root alone it says the same of every one.
        let alone = match &check.against {
            Against::Test(Test::Number(op, number)) => {
                !matches!(op, Op::Lt | Op::Le | Op::Gt | Op::Ge) && *number == Number::Whole(0)
            }
            Against::Test(Test::Numbers(numbers)) => numbers.iter().all(|number| *number == Number::Whole(0)),
            _ => false,
        };
        Self::of_term(Term { root: can(0), user: !alone || can(1), ..Term::any() })
    }

    fn fact(check: &Check, positive: bool, fact: u32) -> Self {
        Self::facts(|facts| check.holds_of(Value::Bool(facts & fact != 0)) != Some(!positive))
    }

    /// Of what these numbers of facts leave possible.
    pub(super) fn facts(can: impl Fn(u32) -> bool) -> Self {
        let facts = (0..FACTS as u32).filter(|facts| can(*facts)).fold(0, |set, facts| set | 1_u16 << facts);
        Self::of_term(Term { facts, ..Term::any() })
    }

    fn of_term(term: Term) -> Self {
        if term.facts == 0 || !(term.root || term.user) { Self::Never } else { Self::from(term) }
    }

    /// Of a check that compares with words, where it demands one of them.
    fn words(check: &Check, positive: bool, term: impl FnOnce(Vec<Word>) -> Term) -> Self {
        let Against::Test(test) = &check.against else { return Self::Unknown };
        if positive == check.negated {
            return Self::Unknown;
        }
        match test {
            Test::Equal(word) => Self::from(term(vec![word.clone()])),
            Test::Set(words) => Self::from(term(words.iter().cloned().collect())),
            _ => Self::Unknown,
        }
    }

    /// Of a check on the whole path.
    fn path(check: &Check, positive: bool) -> Self {
        let Against::Test(test) = &check.against else { return Self::Unknown };
        let demanded = positive != check.negated;
        let paths: Vec<Path> = match test {
            Test::Equal(path) => vec![Path::Exact(path.clone())],
            Test::Set(paths) => paths.iter().cloned().map(Path::Exact).collect(),
            Test::Starts(path) => vec![Path::Prefix(path.clone())],
            Test::FewPaths(paths) => paths.iter().flat_map(|path| inside(path)).collect(),
            Test::Paths(paths) => paths.iter().flat_map(|path| inside(path)).collect(),
            Test::Ends(end) if demanded => {
                // What follows the last slash is the file's whole name.
                let name = end.iter().rposition(|byte| *byte == b'/').and_then(|at| end.get(at + 1..));
                return match name.filter(|name| !name.is_empty()) {
                    Some(name) => {
                        Self::from(Term { name: Sets::new([name.into()].into(), true), ..Term::any() })
                    }
                    None => Self::Unknown,
                };
            }
            _ => return Self::Unknown,
        };
        if !demanded {
            let path = Sets::new(paths.into_iter().collect(), false);
            return Self::from(Term { path, ..Term::any() });
        }
        let whole = |path: &Path| match path {
            Path::Exact(path) => Some(crate::rule::field::file_name(path).into()),
            Path::Prefix(_) => None,
        };
        let name = Sets { only: paths.iter().map(whole).collect(), ..Sets::any() };
        Self::from(Term { name, path: Sets::new(paths.into_iter().collect(), true), ..Term::any() })
    }

    /// Of a check on the directory: the path begins with it. Which paths are excluded is not told by that.
    fn directory(check: &Check, positive: bool) -> Self {
        let Against::Test(test) = &check.against else { return Self::Unknown };
        if positive == check.negated {
            return Self::Unknown;
        }
        let below =
            |path: &[u8]| Path::Prefix([path.strip_suffix(b"/").unwrap_or(path), b"/"].concat().into());
        let only = match test {
            Test::Equal(path) => [below(path)].into(),
            Test::Set(paths) => paths.iter().map(|path| below(path)).collect(),
            Test::FewPaths(paths) => paths.iter().map(|path| below(path)).collect(),
            Test::Paths(paths) => paths.iter().map(|path| below(path)).collect(),
            Test::Starts(path) => [Path::Prefix(path.clone())].into(),
            _ => return Self::Unknown,
        };
        Self::from(Term { path: Sets::new(only, true), ..Term::any() })
    }
}

/// Something that happens outside of any container.
pub(crate) fn on_host() -> Event {
    Event {
        event_type: EventType::Loss,
        number: 0,
        time: 0,
        boot_time: 0,
        cpu: 0,
        result: 0,
        compat: false,
        io_uring: false,
        enforced: None,
        task: Task::default(),
        process: Arc::default(),
        container: None,
        detail: Detail::Loss(Loss::default()),
    }
}

/// A directory and all that is in it.
fn inside(path: &[u8]) -> [Path; 2] {
    [Path::Exact(path.into()), Path::Prefix([path, b"/"].concat().into())]
}
