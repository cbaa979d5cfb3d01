//! `vedette reference --dir DIR`: the reference pages, written out of the tables in the code. For developers;
//! `cargo xtask docs` calls it, and the lint finds pages that are stale.

mod encodings;

use std::{fmt::Write, fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use sensor_common::{
    Kind,
    offsets::{FIELDS, Need},
};

use crate::{
    config,
    event::{Category, EventType},
    metrics,
    probe::HOOKS,
    rule::{
        correlate,
        field::{self, ArgKind},
    },
};

/// Arguments of `vedette reference`.
#[derive(Debug, Args)]
pub(super) struct ReferenceArgs {
    /// Where the pages go
    #[arg(long)]
    dir: PathBuf,
}

/// Writes the pages.
pub(super) fn run(args: &ReferenceArgs) -> anyhow::Result<ExitCode> {
    let pages = [
        ("configuration.md", format!("{GENERATED}{}", config::page())),
        ("encodings.md", encodings::page()?),
        ("events.md", events()),
        ("fields.md", fields()),
        ("kernel.md", kernel()),
        ("metrics.md", format!("{GENERATED}{}", metrics::page())),
        ("time.md", time()),
    ];
    for (name, page) in pages {
        let path = args.dir.join(name);
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

const GENERATED: &str = "<!-- Written by `cargo xtask docs` from the code. -->\n\n";

/// Writing to a string does not fail.
macro_rules! line {
    ($page:ident, $($text:tt)*) => { let _ = writeln!($page, $($text)*); };
}

fn events() -> String {
    let mut page = format!("{GENERATED}# Events\n\n");
    line!(
        page,
        "The event types that rules can name (`evt.type`). A rule on a type that is not seen yet is reported at load.\n"
    );
    line!(page, "| type | family | seen | record kind |\n| --- | --- | --- | --- |");
    for event_type in EventType::ALL {
        let family = match event_type.category() {
            Category::Process => "process",
            Category::File => "file",
            Category::Network => "network",
            Category::Privilege => "privilege",
            Category::Sensor => "sensor",
        };
        let seen = if event_type.is_seen() { "yes" } else { "not yet" };
        line!(page, "| `{event_type}` | {family} | {seen} | {} |", event_type.kind().map_or("", Kind::stem));
    }
    page
}

fn fields() -> String {
    let mut page = format!("{GENERATED}# Fields\n\n");
    line!(
        page,
        "What conditions and outputs can name. A field that an event does not have makes every check on it false and prints as `<NA>`.\n"
    );
    line!(page, "| field | type | says |\n| --- | --- | --- |");
    for field in field::all() {
        let argument = match field.arg {
            ArgKind::None => "",
            ArgKind::Index => "[n]",
            ArgKind::Key => "[key]",
            ArgKind::Name => "[name]",
            ArgKind::EventArg => "[argument]",
        };
        let known = if field.carried { "" } else { " **Not known yet.**" };
        let doc = field.doc.trim().replace('|', "\\|");
        line!(page, "| `{}{argument}` | {} | {doc}{known} |", field.name, field.kind.name());
    }
    page
}

fn time() -> String {
    format!("{GENERATED}# Rules over time\n\n{}", correlate::SEMANTICS)
}

fn kernel() -> String {
    let mut page = format!("{GENERATED}# Hooks and kernel fields\n\n");
    line!(
        page,
        "What the kernel programs attach to. `vedette doctor` says which of it this machine allows.\n"
    );
    line!(page, "| hook | record kind | attached to | needed |\n| --- | --- | --- | --- |");
    for hook in HOOKS {
        let via: Vec<String> =
            hook.variants.iter().map(|variant| format!("`{}` on {}", variant.program, variant.via)).collect();
        let needed = if hook.essential || hook.kind.is_cgroup() { "always" } else { "by rules" };
        line!(page, "| {} | {} | {} | {needed} |", hook.stem, hook.kind.stem(), via.join(", else "));
    }
    line!(
        page,
        "\nFields of kernel structs whose offsets are taken from the running kernel's BTF. Where an optional one is missing, its value is unknown, and start-up says so.\n"
    );
    line!(page, "| field | |\n| --- | --- |");
    for field in FIELDS {
        let need = if field.need == Need::Always { "needed" } else { "optional" };
        line!(page, "| `{}` | {need} |", field.path.replace('|', "\\|"));
    }
    page
}
