//! One comparison, compiled: a source of values and a test of one value. It knows the event only through the field
//! table.

mod computed;
mod ends;
mod estimate;
mod pattern;
mod test;

pub(crate) use self::{
    computed::Computed,
    ends::{nets, ports},
    estimate::reading_cost,
    test::{Number, Test, TestError},
};
use super::{
    field::{Reading, Type},
    index::{Access, Lookup},
    syntax::{Each, Op},
    value::{Out, Slot, Slots, Value},
};
use crate::event::Event;

/// Where the values come from.
#[derive(Debug)]
pub(crate) enum Source {
    Field(Reading),
    Computed(Computed),
}

/// What they are compared with.
#[derive(Debug)]
pub(crate) enum Against {
    Test(Test),
    /// Values of the same event.
    Values(Op, Computed),
    /// Several tests, of which one or all must hold.
    Each(Each, Vec<Test>),
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) source: Source,
    pub(crate) against: Against,
    /// `!=`: true where there is a value and the test is false.
    pub(crate) negated: bool,
    /// Number of the buffer in which the source may render a text.
    pub(crate) slot: u32,
    /// As a rule would write it, lists and macros resolved: the same text is the same check.
    pub(crate) text: String,
}

impl Check {
    /// Whether it holds. A missing value makes it false, whatever the operator.
    pub(crate) fn holds(&self, event: &Event, slots: &mut Slots) -> bool {
        let Slots { generation, fields, buffers } = slots;
        let Some(slot) = fields.get_mut(self.slot as usize) else { return false };
        match (&self.source, &self.against) {
            (Source::Field(reading), Against::Test(test)) if !self.negated => {
                let mut visit = |value: Value<'_>| test.holds(value);
                reading.read(event, &mut Out::new(slot, *generation, &mut visit))
            }
            (Source::Field(reading), _) if self.negated && reading.field.ends => {
                // Both ends must differ: true where there is an end, and none that is equal.
                let mut present = false;
                let mut visit = |value: Value<'_>| {
                    present = true;
                    self.value_holds(event, value, buffers)
                };
                let equal = reading.read(event, &mut Out::new(slot, *generation, &mut visit));
                present && !equal
            }
            (Source::Field(reading), _) => {
                let mut visit = |value: Value<'_>| self.value_holds(event, value, buffers) != self.negated;
                reading.read(event, &mut Out::new(slot, *generation, &mut visit))
            }
            (Source::Computed(computed), _) => {
                let (own, others) = buffers.split_at_mut_checked(computed.depth()).unwrap_or_default();
                computed.read(event, own, &mut |value| self.value_holds(event, value, others) != self.negated)
            }
        }
    }

    fn value_holds(&self, event: &Event, value: Value<'_>, buffers: &mut [Slot]) -> bool {
        match &self.against {
            Against::Test(test) => test.holds(value),
            Against::Each(Each::All, tests) => tests.iter().all(|test| test.holds(value)),
            Against::Each(Each::One | Each::Any, tests) => tests.iter().any(|test| test.holds(value)),
            Against::Values(op, computed) => {
                computed.read(event, buffers, &mut |other| test::compare(*op, value, other))
            }
        }
    }

    /// Appends every field that it reads.
    pub(crate) fn readings<'c>(&'c self, to: &mut Vec<&'c Reading>) {
        match &self.source {
            Source::Field(reading) => to.push(reading),
            Source::Computed(computed) => computed.readings(to),
        }
        if let Against::Values(_, computed) = &self.against {
            computed.readings(to);
        }
    }

    /// Number of buffers in which it computes values.
    pub(crate) fn buffers(&self) -> usize {
        let source = match &self.source {
            Source::Field(_) => 0,
            Source::Computed(computed) => computed.depth(),
        };
        let against = match &self.against {
            Against::Values(_, computed) => computed.depth(),
            Against::Test(_) | Against::Each(..) => 0,
        };
        source + against
    }

    /// The text that a plain `contains` of a text field looks for.
    pub(crate) fn part(&self) -> Option<&[u8]> {
        match (&self.source, &self.against) {
            (Source::Field(reading), Against::Test(test)) if reading.field.kind == Type::Text => test.part(),
            _ => None,
        }
    }

    /// One check for several `contains` of one field of which any will do.
    pub(crate) fn any_of(checks: &[&Self]) -> Option<Self> {
        let first = checks.first()?;
        let Source::Field(reading) = &first.source else { return None };
        let test = Test::contains_any(checks.iter().filter_map(|check| check.part()))?;
        let mut texts: Vec<_> = checks.iter().map(|check| check.text.as_str()).collect();
        texts.sort_unstable();
        Some(Self {
            source: Source::Field(reading.clone()),
            against: Against::Test(test),
            negated: false,
            slot: first.slot,
            text: texts.join(" or "),
        })
    }

    /// Whether it holds of an event that has this value and no other; `None` where other values count as well.
    pub(crate) fn holds_of(&self, value: Value<'_>) -> Option<bool> {
        let holds = match &self.against {
            Against::Test(test) => test.holds(value),
            Against::Each(Each::All, tests) => tests.iter().all(|test| test.holds(value)),
            Against::Each(Each::One | Each::Any, tests) => tests.iter().any(|test| test.holds(value)),
            Against::Values(..) => return None,
        };
        Some(holds != self.negated)
    }

    /// How to find the events for which it can hold, where they can be found by a value.
    pub(crate) fn access(&self) -> Option<Access> {
        let (Source::Field(reading), Against::Test(test), false) =
            (&self.source, &self.against, self.negated)
        else {
            return None;
        };
        let keys = test.keys(reading.field.kind)?;
        let lookups = keys.into_iter().map(|key| Lookup { reading: reading.clone(), key });
        Some(Access::new(lookups.map(Lookup::widened).collect(), self.odds()))
    }
}
