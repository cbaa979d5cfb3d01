//! The items of a rule file: YAML trees checked for shape. What an item means together with others is decided later.

mod keys;
mod temporal;

use serde::Serialize;

pub(crate) use self::{
    keys::{Keys, duration},
    temporal::Temporal,
};
use super::{
    diagnostic::{Diagnostics, Source, Span, nearest},
    syntax::{Op, Word},
    yaml::{Located, Node},
};

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Priority {
    /// For developers of rules.
    Debug,
    /// Worth recording.
    Informational,
    /// Unusual.
    #[default]
    Notice,
    /// Suspicious.
    Warning,
    /// Wrong.
    Error,
    /// An attack is likely.
    Critical,
    /// Someone has to act now.
    Alert,
    /// The system is unusable.
    Emergency,
}

impl Priority {
    /// Every priority, the least urgent first.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Informational,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// As alerts write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "Debug",
            Self::Informational => "Informational",
            Self::Notice => "Notice",
            Self::Warning => "Warning",
            Self::Error => "Error",
            Self::Critical => "Critical",
            Self::Alert => "Alert",
            Self::Emergency => "Emergency",
        }
    }

    /// The priority of this name, in any case; `INFO` is accepted as everywhere.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("info") {
            return Some(Self::Informational);
        }
        Self::ALL.into_iter().find(|priority| priority.name().eq_ignore_ascii_case(name))
    }
}

/// What to do when a rule matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// Say so.
    #[default]
    Alert,
    /// Kill the process.
    Kill,
    /// Kill the process and all that came of it, within its container.
    KillTree,
    /// Kill every process of the container.
    KillContainer,
    /// Freeze the container.
    Pause,
    /// Cut the container's network.
    Isolate,
    /// Refuse the action before it happens.
    Block,
}

impl Response {
    /// Every response.
    pub const ALL: [Self; 7] = [
        Self::Alert,
        Self::Kill,
        Self::KillTree,
        Self::KillContainer,
        Self::Pause,
        Self::Isolate,
        Self::Block,
    ];

    /// As rules write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Kill => "kill",
            Self::KillTree => "kill-tree",
            Self::KillContainer => "kill-container",
            Self::Pause => "pause",
            Self::Isolate => "isolate",
            Self::Block => "block",
        }
    }
}

/// A response, and what to do instead where the kernel cannot refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reaction {
    /// What to do.
    pub response: Response,
    /// What to do where [`Response::Block`] cannot be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub or: Option<Response>,
}

impl Reaction {
    /// Whether it may come to this response.
    #[must_use]
    pub fn asks(&self, response: Response) -> bool {
        self.response == response || self.or == Some(response)
    }
}

/// One exception of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) name: Word,
    /// Whether `fields` is one name and not a list.
    pub(crate) single: bool,
    pub(crate) fields: Vec<Word>,
    pub(crate) comps: Vec<(Op, Span)>,
    pub(crate) values: Vec<Node>,
}

/// How an override changes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Append,
    Replace,
    /// It says neither, which is reported: the key is named all the same, and nothing is changed.
    Wrong,
}

/// An item that defines or changes a rule. What is not written is `None`.
#[derive(Clone, Debug)]
pub(crate) struct RuleItem {
    pub(crate) name: Word,
    pub(crate) condition: Option<Located>,
    pub(crate) output: Option<Located>,
    pub(crate) desc: Option<String>,
    pub(crate) priority: Option<Priority>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) source: Option<Word>,
    pub(crate) enabled: Option<bool>,
    pub(crate) exceptions: Option<Vec<Exception>>,
    pub(crate) append: bool,
    pub(crate) overrides: Vec<(String, Change, Span)>,
    pub(crate) skip_unknown: Option<bool>,
    pub(crate) reaction: Option<Reaction>,
    pub(crate) temporal: Temporal,
    pub(crate) tests: Option<Tests>,
    /// The keys that are written, for `override`.
    pub(crate) keys: Vec<(String, Span)>,
}

/// `tests`: events on which the rule fires, and on which it does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tests {
    pub(crate) fires: Vec<Node>,
    pub(crate) quiet: Vec<Node>,
}

/// An item that defines or changes a macro.
#[derive(Clone, Debug)]
pub(crate) struct MacroItem {
    pub(crate) name: Word,
    pub(crate) condition: Located,
    pub(crate) append: bool,
}

/// An item that defines or changes a list.
#[derive(Clone, Debug)]
pub(crate) struct ListItem {
    pub(crate) name: Word,
    pub(crate) items: Vec<Word>,
    pub(crate) append: bool,
}

/// One item of a file.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Rule(Box<RuleItem>),
    Macro(MacroItem),
    List(ListItem),
}

/// The newest version of the language's engine whose rule files are read in full.
const ENGINE_VERSION: (u32, u32) = (0, 60);

const RULE_KEYS: &[&str] = &[
    "rule",
    "desc",
    "condition",
    "output",
    "priority",
    "tags",
    "source",
    "enabled",
    "exceptions",
    "append",
    "override",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
    "response",
    "count",
    "sequence",
    "suppress",
    "tests",
];
const ITEM_KINDS: &[&str] = &["rule", "macro", "list", "required_engine_version", "required_plugin_versions"];

/// The items of the documents of one source, in their order.
pub(crate) fn items(documents: &[Node], sources: &[Source], found: &mut Diagnostics<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for document in documents.iter().filter(|document| !document.is_null()) {
        let Some(list) = document.list() else {
            let message = format!("a rule file is a list of items, this is {}", document.kind());
            found.error(document.span, message).hint = Some("begin each item with `- rule:`".into());
            continue;
        };
        for node in list {
            if !found.full() {
                items.extend(item(node, sources, found));
            }
        }
    }
    items
}

fn item(node: &Node, sources: &[Source], found: &mut Diagnostics<'_>) -> Option<Item> {
    let Some(map) = node.map() else {
        found.error(node.span, format!("an item is a mapping, this is {}", node.kind()));
        return None;
    };
    let kind = map.iter().find_map(|(key, _)| ITEM_KINDS.iter().find(|kind| key.text() == Some(**kind)));
    let Some(kind) = kind else {
        let (key, _) = map.first()?;
        let name = key.text().unwrap_or_default();
        let near = nearest(name, ITEM_KINDS.iter().copied());
        let unknown = found.warning(key.span, format!("an item of an unknown kind, `{name}`, is ignored"));
        unknown.hint = near.map(|near| format!("did you mean `{near}`?"));
        return None;
    };
    let mut keys = Keys::new(map, node.span, sources, found);
    match *kind {
        "rule" => rule(keys).map(|rule| Item::Rule(Box::new(rule))),
        "macro" => {
            keys.expect(&["macro", "condition", "append", "override"], "a macro");
            let name = keys.word("macro")?;
            let change = keys.changes(&["condition"]);
            let append = keys.bool("append") == Some(true) || appends(&change);
            let condition = keys.required("condition", "macro").and_then(|_| keys.located("condition"))?;
            Some(Item::Macro(MacroItem { name, condition, append }))
        }
        "list" => {
            keys.expect(&["list", "items", "append", "override"], "a list");
            let name = keys.word("list")?;
            let change = keys.changes(&["items"]);
            let append = keys.bool("append") == Some(true) || appends(&change);
            let items = keys.required("items", "list").and_then(|_| keys.words("items"))?;
            Some(Item::List(ListItem { name, items, append }))
        }
        "required_engine_version" => {
            engine_version(&mut keys);
            None
        }
        _ => None,
    }
}

fn appends(changes: &[(String, Change, Span)]) -> bool {
    changes.iter().any(|(_, change, _)| *change == Change::Append)
}

/// `0.26.0`, `26` and a comparison in front are all in the wild.
fn engine_version(keys: &mut Keys<'_, '_, '_>) {
    let Some(word) = keys.word("required_engine_version") else { return };
    let text = word.text.trim_start_matches(['>', '=', ' ', 'v']);
    let mut parts = text.split('.').map(str::parse::<u32>);
    let version = match (parts.next(), parts.next()) {
        (Some(Ok(minor)), None) => (0, minor),
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => {
            keys.found.error(word.span, format!("`{}` is not a version", word.text));
            return;
        }
    };
    if version > ENGINE_VERSION {
        let (major, minor) = ENGINE_VERSION;
        let message = format!("the rules ask for engine version {text}, this one reads {major}.{minor}");
        keys.found.warning(word.span, message);
    }
}

fn rule(mut keys: Keys<'_, '_, '_>) -> Option<RuleItem> {
    keys.expect(RULE_KEYS, "a rule");
    let name = keys.word("rule")?;
    let priority = keys.word("priority").and_then(|word| {
        let priority = Priority::from_name(&word.text);
        if priority.is_none() {
            let near = nearest(
                &word.text.to_lowercase(),
                ["debug", "informational", "notice", "warning", "error", "critical", "alert", "emergency"],
            );
            let known = || Priority::ALL.map(|known| known.name().to_uppercase()).join(", ");
            keys.found.error(word.span, format!("`{}` is not a priority", word.text)).hint =
                Some(near.map_or_else(
                    || format!("one of {}", known()),
                    |near| format!("did you mean `{}`?", near.to_uppercase()),
                ));
        }
        priority
    });
    let item = RuleItem {
        condition: keys.located("condition"),
        output: keys.located("output"),
        desc: keys.word("desc").map(|word| word.text),
        priority,
        tags: keys.words("tags").map(|tags| tags.into_iter().map(|tag| tag.text).collect()),
        source: keys.word("source"),
        enabled: keys.bool("enabled"),
        exceptions: keys.exceptions(),
        append: keys.bool("append") == Some(true),
        overrides: keys.changes(&[
            "condition",
            "output",
            "desc",
            "priority",
            "tags",
            "exceptions",
            "enabled",
            "warn_evttypes",
            "skip-if-unknown-filter",
            "capture",
            "response",
            "count",
            "sequence",
            "suppress",
            "tests",
        ]),
        skip_unknown: keys.bool("skip-if-unknown-filter"),
        reaction: keys.reaction(),
        temporal: keys.temporal(),
        tests: keys.tests(),
        keys: keys.written(),
        name,
    };
    keys.bool("warn_evttypes");
    keys.bool("capture");
    Some(item)
}
