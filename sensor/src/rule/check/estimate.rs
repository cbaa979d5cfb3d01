//! What a check costs and how often it holds, as far as that is known before any event is seen: the order of checks and
//! the way to find rules follow from it. A wrong guess costs time and changes no answer.

use super::{Against, Check, Source, Test};
use crate::rule::{
    field::Reading,
    syntax::{Each, Op},
    value::Value,
};

impl Check {
    /// Nanoseconds (`cargo bench -p sensor --bench rule`, rounded).
    pub(crate) fn cost(&self) -> f32 {
        let source = match &self.source {
            Source::Field(reading) => reading_cost(reading),
            Source::Computed(_) => 100.0,
        };
        let against = match &self.against {
            Against::Test(test) => test_cost(test),
            Against::Each(_, tests) => tests.iter().map(test_cost).sum(),
            Against::Values(..) => 100.0,
        };
        source + against
    }

    /// How often it is true, 0 to 1.
    pub(crate) fn odds(&self) -> f32 {
        let odds = match (&self.source, &self.against) {
            (Source::Field(reading), Against::Test(test)) => {
                typical(reading.name(), test).unwrap_or_else(|| test_odds(test))
            }
            (_, Against::Test(test)) => test_odds(test),
            (_, Against::Each(Each::All, tests)) => tests.iter().map(test_odds).product(),
            (_, Against::Each(_, tests)) => tests.iter().map(test_odds).sum::<f32>().min(0.9),
            (_, Against::Values(..)) => 0.2,
        };
        if self.negated { 1.0 - odds } else { odds }
    }
}

/// Nanoseconds for which a field is read.
pub(crate) fn reading_cost(reading: &Reading) -> f32 {
    match reading.name() {
        // Put together from parts, once per event.
        "proc.cmdline" | "proc.args" | "proc.exeline" | "proc.pcmdline" | "proc.env" | "evt.args"
        | "evt.info" => 20.0,
        "proc.acmdline" | "proc.aargs" | "proc.aenv" => 80.0,
        name if name.starts_with("proc.a") => 10.0,
        "proc.sname" | "proc.sid.exe" | "proc.sid.exepath" => 8.0,
        name if name.starts_with("proc.vpgid.") => 8.0,
        _ => 5.0,
    }
}

fn test_cost(test: &Test) -> f32 {
    match test {
        Test::Exists | Test::Number(..) | Test::Bools { .. } => 1.0,
        Test::Equal(_) | Test::Starts(_) | Test::Ends(_) => 2.0,
        Test::Numbers(list) => list.len() as f32,
        Test::Nets(_) => 6.0,
        Test::Set(_) => 5.0,
        Test::Contains(..) => 15.0,
        Test::FewPaths(list) => 2.0 * list.len() as f32,
        Test::Paths(_) | Test::ContainsAny(..) => 30.0,
        Test::ContainsAnyCase(_) => 60.0,
        Test::Regex(_) => 100.0,
    }
}

fn test_odds(test: &Test) -> f32 {
    match test {
        Test::Exists => 0.9,
        Test::Number(Op::Eq, _) | Test::Starts(_) | Test::Ends(_) | Test::ContainsAny(..) => 0.1,
        Test::Number(..) | Test::Bools { .. } => 0.5,
        Test::Equal(_) | Test::Contains(..) | Test::ContainsAnyCase(_) | Test::Regex(_) => 0.05,
        Test::Numbers(list) => (0.05 * list.len() as f32).min(0.3),
        Test::Set(set) => (0.02 * set.len() as f32).min(0.3),
        Test::FewPaths(list) => (0.05 * list.len() as f32).min(0.3),
        Test::Paths(_) | Test::Nets(_) => 0.3,
    }
}

/// How often the test holds of a field whose values are few and come about as often everywhere.
fn typical(field: &str, test: &Test) -> Option<f32> {
    let (yes, no) = (Value::Bool(true), Value::Bool(false));
    let text = |text: &'static str| Value::Bytes(text.as_bytes());
    let values = match field {
        "evt.failed" => [(yes, 0.1), (no, 0.9)],
        "evt.is_open_read" => [(yes, 0.9), (no, 0.1)],
        "evt.is_open_write" => [(yes, 0.1), (no, 0.9)],
        "evt.is_open_exec" | "proc.is_exe_upper_layer" | "proc.is_exe_from_memfd" => {
            [(yes, 0.02), (no, 0.98)]
        }
        "evt.res" => [(text("SUCCESS"), 0.9), (text("ENOENT"), 0.1)],
        "fd.typechar" => [(text("f"), 0.9), (text("4"), 0.1)],
        "container.id" => [(text("host"), 0.5), (text("0123456789ab"), 0.5)],
        "user.uid" => [(Value::Number(0), 0.5), (Value::Number(1000), 0.5)],
        _ => return None,
    };
    Some(values.into_iter().filter(|(value, _)| test.holds(*value)).map(|(_, odds)| odds).sum())
}
