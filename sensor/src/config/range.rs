//! Values that are of the right type and make no sense: each with its key and what would.

use std::ops::RangeInclusive;

use super::{Config, PRIORITIES, SinkConfig};

/// A key, and what is wrong with its value.
type Wrong = (String, String);

const MIB: u64 = 1 << 20;
const HOUR_MS: u64 = 3_600_000;

/// The first value that makes no sense.
pub(super) fn wrong(config: &Config) -> Option<Wrong> {
    let Config { kernel, rules, identity, respond, .. } = config;
    let ring = kernel.ring_bytes;
    if !ring.is_power_of_two() || ring < 1 << 16 {
        let message = format!("{ring} is not a power of two of at least 65536");
        return Some(("kernel.ring_bytes".to_owned(), message));
    }
    let within = |key: &str, value: u64, range| out_of(key.to_owned(), value, range);
    let bytes = |value: usize| value as u64;
    let metrics = || config.metrics.wrong().map(|(key, message)| (key.to_owned(), message));
    let burst = u64::from(kernel.records_per_second > 0);
    priority("rules.minimum_priority", &rules.minimum_priority)
        .or_else(|| within("kernel.burst", kernel.burst.into(), burst..=u64::from(u32::MAX)))
        .or_else(|| within("rules.state_bytes", bytes(rules.state_bytes), 128 << 10..=u64::MAX))
        .or_else(|| within("processes.limit_bytes", bytes(config.processes.limit_bytes), MIB..=u64::MAX))
        // Longer than a minute, alerts of a container whose runtime does not answer would be of no use.
        .or_else(|| within("identity.wait_ms", identity.wait_ms, 0..=60_000))
        .or_else(|| within("identity.container_bytes", bytes(identity.container_bytes), 1024..=u64::MAX))
        .or_else(|| {
            let least = bytes(identity.container_bytes);
            within("identity.limit_bytes", bytes(identity.limit_bytes), least..=u64::MAX)
        })
        // Each place takes memory from the start.
        .or_else(|| within("respond.queue", bytes(respond.queue), 1..=1 << 20))
        .or_else(|| within("respond.fuse_seconds", respond.fuse_seconds, 1..=30 * 24 * 3600))
        .or_else(|| within("respond.audit_files", bytes(respond.audit_files), 1..=10_000))
        // Longer than that, everybody who starts something would think that it hangs.
        .or_else(|| within("respond.fanotify_answer_ms", respond.fanotify_answer_ms, 1..=10_000))
        .or_else(|| within("stdout.queue", bytes(config.stdout.queue), 1..=1 << 22))
        .or_else(metrics)
        .or_else(|| config.sinks.iter().find_map(|(name, sink)| wrong_sink(name, sink)))
}

fn wrong_sink(name: &str, sink: &SinkConfig) -> Option<Wrong> {
    if let Err((key, message)) = sink.validate(name) {
        return Some((format!("sinks.{name}{key}"), message));
    }
    let within = |key: &str, value: u64, range| out_of(format!("sinks.{name}.{key}"), value, range);
    let (spool, retry) = (&sink.spool, &sink.retry);
    within("queue", sink.queue as u64, 1..=1 << 22)
        .or_else(|| within("spool.max_bytes", spool.max_bytes, MIB..=u64::MAX))
        .or_else(|| within("spool.max_age_s", spool.max_age_s, 1..=u64::MAX))
        .or_else(|| within("spool.flush_ms", spool.flush_ms, 1..=60_000))
        .or_else(|| within("retry.first_ms", retry.first_ms, 1..=HOUR_MS))
        .or_else(|| within("retry.longest_ms", retry.longest_ms, retry.first_ms..=HOUR_MS))
        .or_else(|| within("retry.timeout_ms", retry.timeout_ms, 1..=HOUR_MS))
        .or_else(|| within("retry.batch_records", retry.batch_records as u64, 1..=100_000))
        .or_else(|| within("retry.batch_bytes", retry.batch_bytes as u64, 1..=u64::MAX))
}

fn priority(key: &str, name: &str) -> Option<Wrong> {
    let known = PRIORITIES.iter().any(|known| known.eq_ignore_ascii_case(name));
    let message = || format!("no such priority `{name}`; there are {}", PRIORITIES.join(", "));
    (!known).then(|| (key.to_owned(), message()))
}

fn out_of(key: String, value: u64, range: RangeInclusive<u64>) -> Option<Wrong> {
    if range.contains(&value) {
        return None;
    }
    let bound = match (range.start(), range.end()) {
        (least, &u64::MAX) => format!("{least} at least"),
        (least, most) => format!("{least} to {most}"),
    };
    Some((key, format!("{value} is out of range: {bound}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_sense_are_refused_with_their_key() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        let sink = r#"sinks={"s": {"to": {"webhook": {"url": "http://x"}}}}"#;
        for (set, said) in [
            ("kernel.ring_bytes=65537", "is not a power of two"),
            ("kernel.burst=0", "0 is out of range: 1 to 4294967295"),
            ("rules.state_bytes=131071", "131072 at least"),
            ("rules.minimum_priority=high", "no such priority `high`; there are debug, "),
            ("processes.limit_bytes=1", "1048576 at least"),
            ("identity.wait_ms=60001", "0 to 60000"),
            ("identity.container_bytes=0", "1024 at least"),
            ("identity.limit_bytes=1024", "65536 at least"),
            ("respond.queue=0", "1 to 1048576"),
            ("respond.fuse_seconds=0", "1 to 2592000"),
            ("respond.audit_files=0", "1 to 10000"),
            ("respond.fanotify_answer_ms=0", "1 to 10000"),
            ("stdout.queue=0", "1 to 4194304"),
            ("metrics.backlog_share=2", "no share above 0"),
            ("sinks.s.queue=5000000", "1 to 4194304"),
            ("sinks.s.events.one_in=0", "0 is no share"),
            ("sinks.s.filter.minimum_priority=loud", "no such priority `loud`"),
            ("sinks.s.spool.max_bytes=1", "1048576 at least"),
            ("sinks.s.retry.longest_ms=100", "200 to 3600000"),
            ("sinks.s.retry.batch_records=100001", "1 to 100000"),
        ] {
            let sets = [sink.to_owned(), set.to_owned()];
            let error = Config::load(Some(empty.path()), &sets).unwrap_err().to_string();
            let (key, _) = set.split_once('=').unwrap();
            assert!(error.starts_with(&format!("{key}: ")) && error.contains(said), "{set}: {error}");
        }
        let named = r#"sinks={"../x": {"to": {"webhook": {"url": "http://x"}}}}"#.to_owned();
        let error = Config::load(Some(empty.path()), &[named]).unwrap_err().to_string();
        assert!(error.starts_with("sinks.../x: a name has 1 to 64 letters"), "{error}");
        // No limit needs no burst.
        let sets = ["kernel.records_per_second=0", "kernel.burst=0"].map(str::to_owned);
        assert!(Config::load(Some(empty.path()), &sets).is_ok());
    }
}
