//! How bad something is, on every scale that records are written in: the one table.

use crate::sink::{Class, Item};

/// A priority on all scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Severity {
    /// As rules name it.
    pub priority: &'static str,
    /// RFC 5424: 0 (emergency) to 7 (debug).
    pub syslog: u8,
    /// As Elastic's rules use `event.severity`: 21 is low, 47 medium, 73 high, 99 critical.
    pub ecs: u8,
    /// OCSF's `severity_id`: 1 (informational) to 6 (fatal).
    pub ocsf: u8,
    /// Its caption there.
    pub ocsf_name: &'static str,
    /// CEF: 0 to 10.
    pub cef: u8,
    /// OpenTelemetry's `SeverityNumber`, by the table for syslog in its data model.
    pub otlp: u8,
}

const fn row(
    priority: &'static str,
    (syslog, ecs): (u8, u8),
    (ocsf, ocsf_name): (u8, &'static str),
    (cef, otlp): (u8, u8),
) -> Severity {
    Severity { priority, syslog, ecs, ocsf, ocsf_name, cef, otlp }
}

const EMERGENCY: Severity = row("Emergency", (0, 99), (6, "Fatal"), (10, 21));
const ALERT: Severity = row("Alert", (1, 99), (5, "Critical"), (9, 19));
const CRITICAL: Severity = row("Critical", (2, 99), (5, "Critical"), (8, 18));
const ERROR: Severity = row("Error", (3, 73), (4, "High"), (7, 17));
const WARNING: Severity = row("Warning", (4, 47), (3, "Medium"), (5, 13));
const NOTICE: Severity = row("Notice", (5, 21), (2, "Low"), (3, 10));
const INFORMATIONAL: Severity = row("Informational", (6, 1), (1, "Informational"), (1, 9));
const DEBUG: Severity = row("Debug", (7, 1), (1, "Informational"), (0, 5));

impl Severity {
    /// All of them, the worst first: the place of each is its number in syslog.
    pub const ALL: [Self; 8] = [EMERGENCY, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFORMATIONAL, DEBUG];

    /// Of a priority's name in any case; what has none of the names is an error, which is looked at and not overlooked.
    #[must_use]
    pub fn of_priority(name: &str) -> Self {
        Self::ALL.into_iter().find(|row| row.priority.eq_ignore_ascii_case(name)).unwrap_or(ERROR)
    }

    /// Of syslog's number.
    #[must_use]
    pub fn of_syslog(number: u8) -> Self {
        Self::ALL.into_iter().find(|row| row.syslog == number).unwrap_or(DEBUG)
    }

    /// Of an alert its priority; events are informational.
    #[must_use]
    pub fn of_item(item: &Item) -> Self {
        match item {
            Item::Alert(alert) => Self::of_priority(alert.priority),
            Item::Event(_) => INFORMATIONAL,
        }
    }

    /// Of what a sink says about its own stream: a gap is an error.
    #[must_use]
    pub const fn of_own(class: Class) -> Self {
        match class {
            Class::Gap => ERROR,
            _ => INFORMATIONAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scale_falls_with_the_priority() {
        for (number, row) in Severity::ALL.iter().enumerate() {
            assert_eq!(usize::from(row.syslog), number);
            assert_eq!(Severity::of_priority(row.priority), *row);
            assert_eq!(Severity::of_syslog(row.syslog), *row);
        }
        for pair in Severity::ALL.windows(2) {
            let [worse, better] = pair else { unreachable!() };
            assert!(worse.ecs >= better.ecs && worse.ocsf >= better.ocsf, "{worse:?} {better:?}");
            assert!(worse.cef > better.cef && worse.otlp > better.otlp, "{worse:?} {better:?}");
        }
        assert_eq!(Severity::of_priority("?").priority, "Error");
        assert_eq!(Severity::of_priority("WARNING"), WARNING);
    }
}
