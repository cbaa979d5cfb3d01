//! Values that were measured → a figure with its limit and a verdict. It knows nothing of how they came about.

use serde::Serialize;
use serde_json::{Value, json};

/// Least, middle and greatest of some values.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Summary {
    /// All zero where there are no values.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) && middle > 0 {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        };
        Self { min: at(0), median, max: at(values.len().saturating_sub(1)) }
    }
}

/// The value below which the share `of` (0 to 1) of the values lies.
pub(crate) fn percentile(values: &[f64], of: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * of).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

/// What a value is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Times the run without the sensor.
    Ratio,
    /// Nanoseconds.
    Nanos,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
    /// Mebibytes.
    MiB,
    /// Things.
    Count,
    /// Things in a second.
    PerSecond,
}

impl Unit {
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("x{value:.2}"),
            Self::Nanos => format!("{value:.0} ns"),
            Self::Micros => format!("{value:.2} us"),
            Self::Millis => format!("{value:.2} ms"),
            Self::Seconds => format!("{value:.2} s"),
            Self::MiB => format!("{value:.1} MiB"),
            Self::Count => grouped(value),
            Self::PerSecond => format!("{}/s", grouped(value)),
        }
    }

    /// As precise as it is shown: a ratio of 1.004 is x1.00.
    fn rounded(self, value: f64) -> f64 {
        match self {
            Self::Ratio | Self::Micros | Self::Millis | Self::Seconds => (value * 100.0).round() / 100.0,
            Self::MiB => (value * 10.0).round() / 10.0,
            Self::Nanos | Self::Count | Self::PerSecond => value.round(),
        }
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value <= -0.5 { format!("-{out}") } else { out }
}

/// What the table asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Must {
    /// The median may not be greater.
    AtMost(f64),
    /// The median may not be smaller.
    AtLeast(f64),
    /// Not one value may be greater.
    Never(f64),
    /// Nothing is asked for.
    Nothing,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) workload: String,
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) must: Must,
    pub(crate) values: Vec<f64>,
    /// Printed below the table.
    pub(crate) note: Option<String>,
}

impl Figure {
    pub(crate) fn new(
        workload: impl Into<String>,
        what: impl Into<String>,
        unit: Unit,
        must: Must,
        values: Vec<f64>,
    ) -> Self {
        Self { workload: workload.into(), what: what.into(), unit, must, values, note: None }
    }

    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary::of(&self.values)
    }

    pub(crate) fn limit(&self) -> String {
        match self.must {
            Must::AtMost(limit) => format!("at most {}", self.unit.show(limit)),
            Must::AtLeast(limit) => format!("at least {}", self.unit.show(limit)),
            Must::Never(0.0) => "none".to_owned(),
            Must::Never(limit) => format!("never above {}", self.unit.show(limit)),
            Must::Nothing => String::new(),
        }
    }

    pub(crate) fn verdict(&self) -> &'static str {
        let Summary { median, max, .. } = self.summary();
        let held = match self.must {
            Must::AtMost(limit) => self.unit.rounded(median) <= limit,
            Must::AtLeast(limit) => median >= limit,
            Must::Never(limit) => self.unit.rounded(max) <= limit,
            Must::Nothing => return "",
        };
        if held { "met" } else { "not met" }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "workload": self.workload, "what": self.what, "unit": format!("{:?}", self.unit).to_lowercase(),
            "must": self.limit(), "summary": self.summary(), "verdict": self.verdict(), "values": self.values,
            "note": self.note,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_and_percentiles() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!((summary.min, summary.median, summary.max), (1.0, 2.5, 4.0));
        assert_eq!(Summary::of(&[]).median, 0.0);
        assert_eq!(Summary::of(&[7.0]).median, 7.0);
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&values, 0.99), percentile(&values, 1.0)), (99.0, 100.0));
    }

    #[test]
    fn verdicts_judge_what_is_shown() {
        let figure = |must, values: &[f64]| Figure::new("", "", Unit::Ratio, must, values.to_vec());
        assert_eq!(figure(Must::AtMost(1.0), &[0.9, 1.004, 1.3]).verdict(), "met");
        assert_eq!(figure(Must::AtMost(1.0), &[0.9, 1.006, 1.3]).verdict(), "not met");
        assert_eq!(figure(Must::Never(0.0), &[0.0, 0.0, 1.0]).verdict(), "not met");
        assert_eq!(figure(Must::Nothing, &[1.0]).verdict(), "");
        assert_eq!(Unit::Count.show(1_234_567.0), "1,234,567");
    }
}
