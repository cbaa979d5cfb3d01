//! Received records → whether they are all: numbers without a hole but those that a gap declares, the chain that each
//! checkpoint states, its signature. What was stored in another form than it was sent can be counted, not hashed.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fmt,
};

use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    Class, Delivery, Gap,
    stream::{digest, hex, link, signed},
};

/// Ranges of missing numbers that a report names.
const NAMED: usize = 100;

/// Reads records.
#[derive(Debug)]
pub struct Proof {
    key: Option<Vec<u8>>,
    streams: BTreeMap<Uuid, Stream>,
    /// In the order in which they came.
    order: Vec<Uuid>,
    foreign: u64,
}

/// What came of one stream.
#[derive(Debug, Default)]
struct Stream {
    /// By number: records may come in any order, and more than once.
    records: BTreeMap<u64, Received>,
    /// First and last number of what the sensor said would not come, and its reason.
    declared: BTreeMap<u64, (u64, String)>,
    report: StreamReport,
}

#[derive(Debug)]
struct Received {
    digest: [u8; 32],
    checkpoint: Option<Box<Value>>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Stream by stream, in the order in which they began.
    pub streams: Vec<StreamReport>,
    /// Lines that are no records of a sensor.
    pub foreign: u64,
}

/// What was found of one stream.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StreamReport {
    /// Which.
    pub stream: Uuid,
    /// Its first and last number that came.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Records that came, each once.
    pub records: u64,
    /// Records that came more than once.
    pub duplicates: u64,
    /// Numbers that came twice with different bytes.
    pub contradictions: u64,
    /// Numbers that did not come and are not declared.
    pub missing: Vec<(u64, u64)>,
    /// Numbers that did not come and that the sensor said would not, with its reason.
    pub declared: Vec<(u64, u64, String)>,
    /// Checkpoints that agree with what came.
    pub checkpoints: u64,
    /// Checkpoints before which something is missing: their chain cannot be compared.
    pub unproven: u64,
    /// What is wrong with checkpoints.
    pub wrong: Vec<String>,
    /// Keys that signed, as digits.
    pub keys: BTreeSet<String>,
    /// Whether the sensor closed the stream; if not, what it had in memory when it ended may be missing.
    pub closed: bool,
    /// Records behind the last checkpoint.
    pub unsealed: u64,
}

impl StreamReport {
    /// Whether nothing is missing but what was declared, and nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.wrong.is_empty() && self.contradictions == 0
    }
}

impl Proof {
    /// `key`: what checkpoints have to be signed with; `None`: any key will do, and is named.
    #[must_use]
    pub const fn new(key: Option<Vec<u8>>) -> Self {
        Self { key, streams: BTreeMap::new(), order: Vec::new(), foreign: 0 }
    }

    /// Takes a line. Empty ones are left out.
    pub fn line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return;
        }
        let Some((delivery, own)) = read(line) else {
            self.foreign += 1;
            return;
        };
        let stream = self.streams.entry(delivery.stream).or_insert_with(|| {
            self.order.push(delivery.stream);
            Stream {
                report: StreamReport { stream: delivery.stream, ..StreamReport::default() },
                ..Stream::default()
            }
        });
        let checkpoint = own.clone().filter(|_| delivery.class == Class::Checkpoint).map(Box::new);
        stream.take(delivery.number, Received { digest: digest(line), checkpoint });
        if delivery.class == Class::Gap
            && let Some(gap) = own.and_then(|own| serde_json::from_value::<Gap>(own).ok())
        {
            // It may be about an earlier stream of the same sink.
            if let Some(stream) = self.streams.get_mut(&gap.stream) {
                let reason = serde_json::to_value(gap.reason)
                    .ok()
                    .and_then(|reason| Some(reason.as_str()?.to_owned()));
                stream.declared.insert(gap.from, (gap.to, reason.unwrap_or_default()));
            }
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let key = self.key.take();
        let streams = self.order.iter().filter_map(|id| self.streams.remove(id));
        Report {
            streams: streams.map(|stream| stream.finish(key.as_deref())).collect(),
            foreign: self.foreign,
        }
    }
}

impl Stream {
    fn take(&mut self, number: u64, received: Received) {
        match self.records.entry(number) {
            Entry::Vacant(place) => {
                place.insert(received);
            }
            Entry::Occupied(before) => {
                self.report.duplicates += 1;
                self.report.contradictions += u64::from(before.get().digest != received.digest);
            }
        }
    }

    fn finish(mut self, key: Option<&[u8]>) -> StreamReport {
        let records = std::mem::take(&mut self.records);
        self.report.records = records.len() as u64;
        self.report.first = records.keys().next().copied().unwrap_or_default();
        // What came before the first is another file's: the chain is known from its next checkpoint on.
        let mut chain = (self.report.first == 1).then_some([0; 32]);
        let mut next = self.report.first;
        for (number, received) in records {
            if number > next {
                self.hole(next, number - 1);
                chain = None;
            }
            self.report.unsealed += 1;
            if let Some(checkpoint) = &received.checkpoint {
                chain = self.compare(number, checkpoint, chain, key);
            }
            chain = chain.map(|chain| link(&chain, &received.digest));
            self.report.last = number;
            next = number + 1;
        }
        self.report
    }

    /// Looks at a checkpoint; returns the chain that is known behind it.
    fn compare(
        &mut self,
        number: u64,
        checkpoint: &Value,
        chain: Option<[u8; 32]>,
        key: Option<&[u8]>,
    ) -> Option<[u8; 32]> {
        let text = |name: &str| checkpoint.get(name).and_then(Value::as_str).unwrap_or_default();
        let count = |name: &str| checkpoint.get(name).and_then(Value::as_u64).unwrap_or_default();
        let last = checkpoint.get("last").and_then(Value::as_bool).unwrap_or_default();
        let stated = text("chain");
        let statement = signed(text("stream"), count("from"), count("to"), stated, last);
        let signer = key.map(<[u8]>::to_vec).or_else(|| unhex(text("key"))).unwrap_or_default();
        let signature = unhex(text("signature")).unwrap_or_default();
        let report = &mut self.report;
        if UnparsedPublicKey::new(&ED25519, &signer).verify(statement.as_bytes(), &signature).is_err() {
            report.wrong.push(format!("the checkpoint {number} is not signed by {}", hex(&signer)));
            return chain;
        }
        report.keys.insert(hex(&signer));
        if text("stream") != report.stream.to_string() || count("to") + 1 != number {
            report.wrong.push(format!("the checkpoint {number} is about other records"));
            return chain;
        }
        match chain {
            None => report.unproven += 1,
            Some(chain) if hex(&chain) == stated => report.checkpoints += 1,
            Some(_) => {
                let from = count("from");
                report.wrong.push(format!("records {from} to {} are not those that were sent", number - 1));
            }
        }
        report.closed |= last;
        report.unsealed = 0;
        unhex(stated).and_then(|chain| chain.try_into().ok())
    }

    /// Numbers that did not come: those that were declared are told apart.
    fn hole(&mut self, from: u64, to: u64) {
        let mut at = from;
        while at <= to {
            let declared = self.declared.range(..=at).next_back().filter(|(_, (end, _))| *end >= at);
            let report = &mut self.report;
            if let Some((_, (end, reason))) = declared {
                let end = (*end).min(to);
                report.declared.push((at, end, reason.clone()));
                at = end + 1;
            } else {
                let end = self.declared.range(at..).next().map_or(to, |(start, _)| (start - 1).min(to));
                if report.missing.len() < NAMED {
                    report.missing.push((at, end));
                } else if let Some(last) = report.missing.last_mut() {
                    last.1 = end;
                }
                at = end + 1;
            }
        }
    }
}

/// A line's place in its stream, and what the sink says of itself in it. `None`: it is no record.
fn read(line: &[u8]) -> Option<(Delivery, Option<Value>)> {
    let mut record: Value = serde_json::from_slice(line).ok()?;
    // Where each encoding has it.
    let place = ["/delivery", "/vedette/delivery", "/unmapped/delivery"]
        .into_iter()
        .find(|at| record.pointer(at).is_some())?;
    let delivery: Delivery = serde_json::from_value(record.pointer_mut(place)?.take()).ok()?;
    let own = format!("{}/{}", place.strip_suffix("/delivery").unwrap_or_default(), delivery.class.name());
    let own = record.pointer_mut(&own).map(Value::take);
    Some((delivery, own))
}

/// Hexadecimal digits as bytes.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stream in &self.streams {
            let StreamReport { stream: id, first, last, records, duplicates, checkpoints, unproven, .. } =
                stream;
            let verdict = if stream.is_whole() { "whole" } else { "NOT WHOLE" };
            writeln!(f, "stream {id}: {verdict}")?;
            writeln!(f, "  records      {records} of {first} to {last}, {duplicates} more than once")?;
            for (from, to) in &stream.missing {
                writeln!(f, "  missing      {from} to {to}")?;
            }
            for (from, to, reason) in &stream.declared {
                writeln!(f, "  never sent   {from} to {to}: {reason}, as the sensor says")?;
            }
            if stream.contradictions > 0 {
                writeln!(f, "  contradicted {} came again with other bytes", stream.contradictions)?;
            }
            writeln!(
                f,
                "  checkpoints  {checkpoints} hold, {unproven} behind a hole, {} records behind the last",
                stream.unsealed
            )?;
            for wrong in &stream.wrong {
                writeln!(f, "  wrong        {wrong}")?;
            }
            for key in &stream.keys {
                writeln!(f, "  signed by    {key}")?;
            }
            if !stream.closed {
                writeln!(
                    f,
                    "  the sensor did not close it: what it had in memory when it ended may be missing"
                )?;
            }
        }
        if self.streams.is_empty() {
            writeln!(f, "no records of a sensor")?;
        }
        if self.foreign > 0 {
            writeln!(f, "{} lines are no records of a sensor", self.foreign)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ring::{
        rand::SystemRandom,
        signature::{Ed25519KeyPair, KeyPair},
    };
    use serde_json::json;

    use super::{super::stream, *};

    /// Ten records and a checkpoint, twice; the second closes the stream.
    fn lines() -> (Vec<Vec<u8>>, Vec<u8>) {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Arc::new(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap());
        let mut stream = stream::Stream::new(Some(Arc::clone(&key)));
        let mut lines = Vec::new();
        for last in [false, true] {
            for at in 0..10 {
                let delivery = stream.next(Class::Alert, "host");
                lines.push(serde_json::to_vec(&json!({ "rule": at, "delivery": delivery })).unwrap());
                stream.link(lines.last().unwrap());
            }
            let what = stream.checkpoint(last);
            let delivery = stream.next(Class::Checkpoint, "host");
            lines.push(serde_json::to_vec(&json!({ "checkpoint": what, "delivery": delivery })).unwrap());
            stream.link(lines.last().unwrap());
        }
        (lines, key.public_key().as_ref().to_vec())
    }

    fn report<'a>(lines: impl IntoIterator<Item = &'a Vec<u8>>, key: Option<Vec<u8>>) -> StreamReport {
        let mut proof = Proof::new(key);
        lines.into_iter().for_each(|line| proof.line(line));
        proof.finish().streams.remove(0)
    }

    #[test]
    fn all_of_it_is_whole_in_any_order_and_twice() {
        let (lines, key) = lines();
        let whole = report(&lines, Some(key.clone()));
        assert!(whole.is_whole() && whole.closed, "{whole:?}");
        assert_eq!((whole.records, whole.checkpoints, whole.unsealed), (22, 2, 0));
        let twice = report(lines.iter().rev().chain(&lines), Some(key));
        assert!(twice.is_whole(), "{twice:?}");
        assert_eq!((twice.records, twice.duplicates), (22, 22));
    }

    #[test]
    fn a_hole_a_changed_byte_and_a_foreign_key_show() {
        let (mut lines, key) = lines();
        let hole = report(
            lines.iter().enumerate().filter(|(at, _)| *at != 4).map(|(_, line)| line),
            Some(key.clone()),
        );
        assert_eq!((hole.missing.clone(), hole.unproven, hole.checkpoints), (vec![(5, 5)], 1, 1), "{hole:?}");
        assert_eq!(report(&lines, Some(vec![1; 32])).wrong.len(), 2);
        let at = lines[4].iter().rposition(|byte| *byte == b'4').unwrap();
        lines[4][at] = b'7';
        let changed = report(&lines, Some(key));
        assert_eq!(changed.wrong, ["records 1 to 10 are not those that were sent"]);
        assert_eq!(changed.checkpoints, 1, "behind it the chain is known again");
    }

    #[test]
    fn what_was_declared_is_not_missing() {
        let (lines, key) = lines();
        let (delivery, _) = read(&lines[0]).unwrap();
        let gap = json!({ "gap": { "stream": delivery.stream, "from": 3, "to": 5, "reason": "overflowed" },
            "delivery": Delivery { stream: Uuid::nil(), class: Class::Gap, ..delivery } });
        let gap = serde_json::to_vec(&gap).unwrap();
        let there = lines.iter().enumerate().filter(|(at, _)| ![2, 3, 4].contains(at)).map(|(_, line)| line);
        let report = report(there.chain([&gap]), Some(key));
        assert!(report.is_whole(), "{report:?}");
        assert_eq!(report.declared, [(3, 5, "overflowed".to_owned())]);
    }
}
