//! The reference page of the metrics, out of the table.

use std::fmt::Write;

use super::{Label, metrics};

/// The page, behind its heading.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\nWhat `vedette run` answers at `/metrics` (`metrics.listen`). The numbers are those of the accounts, drawn up once a \
         second: a scrape never touches the way of the events. A metric without values is left out. Counters begin anew with the \
         sensor.\n\n| metric | type | labels | says |\n| --- | --- | --- | --- |\n",
    );
    // Writing to a string does not fail.
    for metric in metrics() {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{}`", label.name)).collect();
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let _ = writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help);
    }
    page.push_str(
        "\n## Labels\n\nNo label has a value that who is watched could choose.\n\n| label | values | how many | of |\n| --- | --- | --- | --- |\n",
    );
    for label in labels() {
        let of = metrics().filter(|metric| metric.labels.contains(&label)).map(|metric| metric.name);
        let of: Vec<_> = of.collect();
        let of = match of.as_slice() {
            [one] => format!("`{one}`"),
            [first, rest @ ..] => format!("`{first}` and {} more", rest.len()),
            [] => String::new(),
        };
        let _ = writeln!(page, "| `{}` | {} | {} | {of} |", label.name, label.values, label.bound);
    }
    page.push_str(
        "\n## Sums\n\nEach holds at any time, but for what is under way in the second of the scrape:\n\n\
         - for each `kind`: `kernel_seen = kernel_submitted + kernel_filtered + kernel_limited + Σ kernel_lost`\n\
         - `Σ kernel_submitted = decode_received`; `decode_received + decode_snapshots = decode_decoded + Σ decode_malformed`\n\
         - `respond_requests = Σ respond_decisions`\n\
         - `queue_offered = queue_taken + queue_dropped + queue_waiting`\n\
         - for each `sink`: `offered = filtered + taken + dropped`, and behind its queue `taken + own + inherited = delivered + refused + \
         expired + overflowed + lost + waiting`\n",
    );
    page
}

/// Every label once, in the order of the table.
fn labels() -> Vec<Label> {
    let mut labels: Vec<Label> = Vec::new();
    for label in metrics().flat_map(|metric| metric.labels) {
        if !labels.contains(label) {
            labels.push(*label);
        }
    }
    labels
}
