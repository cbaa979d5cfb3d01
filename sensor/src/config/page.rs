//! The reference page of the configuration: every key with its default out of the code, and what the documented file says of it.

use std::fmt::Write;

use serde_json::Value;

use super::{Config, needs_restart, place};

/// The file that documents every key.
const DOCUMENTED: &str = include_str!("../../../deploy/vedette.yaml");

/// The page, behind its heading.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Configuration\n\nEvery key of `/etc/vedette/vedette.yaml`, as [vedette.yaml](../vedette.yaml) has it. `--set key=value` wins over the \
         environment, and that over the file. A key that does not exist is an error. `vedette config show` prints what is in force and where \
         each value comes from, `vedette config check` finds mistakes. A running sensor takes over what says so when the file changes or \
         SIGHUP comes; secrets and certificates are read anew from where the keys say without that. The others need a restart.\n\n\
         | key | default | variable | taken over | |\n| --- | --- | --- | --- | --- |\n",
    );
    let mut leaves = Vec::new();
    walk("", &serde_json::to_value(Config::default()).unwrap_or_default(), &mut leaves);
    let lines = place::lines(DOCUMENTED);
    for (key, value) in leaves {
        let taken_over = if needs_restart(&key) { "" } else { "yes" };
        let variable = format!("VEDETTE_{}", key.replace('.', "_").to_uppercase());
        let says = lines.get(&key).map(|line| comment(*line)).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| `{key}` | `{}` | `{variable}` | {taken_over} | {says} |",
            value.to_string().replace('|', "\\|")
        );
    }
    page
}

/// Leaves with their values, in the order of their names; an empty mapping is one.
fn walk(prefix: &str, value: &Value, into: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                walk(&key, value, into);
            }
        }
        value => into.push((prefix.to_owned(), value.clone())),
    }
}

/// What stands above a line of the documented file, as one line: keys that follow each other may share it. Examples are indented, and
/// left to the file.
fn comment(line: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = DOCUMENTED.lines().nth(line.saturating_sub(1)).map_or(0, indent);
    let above: Vec<&str> = DOCUMENTED.lines().take(line.saturating_sub(1)).collect();
    let is_key =
        |line: &&&str| !line.trim_start().starts_with('#') && !line.is_empty() && indent(line) == own;
    let own = above.iter().rev().skip_while(is_key).map_while(|line| line.trim_start().strip_prefix('#'));
    let mut own: Vec<&str> = own.filter(|line| !line.starts_with("  ")).map(str::trim).collect();
    own.reverse();
    own.join(" ").replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_key_with_its_words() {
        let page = page();
        let row = |key: &str| {
            let beginning = format!("| `{key}` | ");
            page.lines()
                .find(|line| line.starts_with(&beginning))
                .unwrap_or_else(|| panic!("{key} is missing"))
        };
        assert!(row("rules.paths").contains("| yes | Files, and directories"), "{}", row("rules.paths"));
        assert!(
            row("kernel.ring_bytes").contains("`8388608` | `VEDETTE_KERNEL_RING_BYTES` |  | Size of the")
        );
        let toggles = row("rules.toggles");
        assert!(toggles.contains("chooses nothing is a warning.") && !toggles.contains("mitre"), "{toggles}");
        assert!(row("sinks").contains("`{}`"));
        assert!(
            row("kernel.burst").contains("| Records of files and sockets that one control group may send")
        );
    }
}
