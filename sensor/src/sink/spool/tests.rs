//! The spool against real files: restarts, limits, ages, damage.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;

fn record(number: u64, length: usize) -> Record {
    Record::sample(number, &vec![b'x'; length])
}

fn config(directory: &Path) -> SpoolConfig {
    SpoolConfig { directory: directory.to_owned(), ..SpoolConfig::default() }
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.number).collect()
}

#[test]
fn what_is_not_done_is_there_after_a_restart_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(dir.path()), "a");
    for number in 1..=10 {
        assert!(spool.append(&record(number, 100)));
        if number % 4 == 0 {
            spool.sync();
        }
    }
    spool.sync();
    assert_eq!(numbers(&spool.next(3, 1 << 20)), [1, 2, 3]);
    spool.done(3);
    assert_eq!(numbers(&spool.next(3, 1 << 20)), [4, 5, 6]);
    spool.done(2);
    spool.sync();
    drop(spool);
    let spool = Spool::open(&config(dir.path()), "a");
    assert_eq!(spool.counts().inherited, 5);
    let rest = spool.next(100, 1 << 20);
    assert_eq!(rest, (6..=10).map(|number| record(number, 100)).collect::<Vec<_>>());
    spool.append(&record(11, 1));
    spool.sync();
    assert_eq!(numbers(&spool.next(100, 1 << 20)), [6, 7, 8, 9, 10, 11]);
    spool.done(6);
    spool.sync();
    assert_eq!((spool.counts().waiting, spool.counts().waiting_bytes), (0, 0));
    drop(spool);
    assert!(Spool::open(&config(dir.path()), "a").next(10, 10).is_empty());
}

#[test]
fn what_is_not_synced_cannot_be_taken() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(dir.path()), "a");
    spool.append(&record(1, 10));
    assert!(spool.next(10, 1000).is_empty());
    spool.sync();
    assert_eq!(numbers(&spool.next(10, 1000)), [1]);
}

#[test]
fn a_batch_has_its_limits_and_a_large_record_goes_alone() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(dir.path()), "a");
    for (number, length) in [(1, 10), (2, 5000), (3, 10), (4, 10)] {
        spool.append(&record(number, length));
    }
    spool.sync();
    for expected in [vec![1], vec![2], vec![3, 4]] {
        let batch = spool.next(10, 100);
        assert_eq!(numbers(&batch), expected);
        spool.done(batch.len());
    }
}

#[test]
fn what_is_beyond_memory_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(dir.path()), "a");
    for number in 1..=300 {
        spool.append(&record(number, 100 << 10));
    }
    spool.sync();
    assert!(spool.state().cached < CACHED + SEGMENT_BYTES * 2, "{}", spool.state().cached);
    let mut seen = Vec::new();
    loop {
        let batch = spool.next(7, 1 << 20);
        if batch.is_empty() {
            break;
        }
        seen.extend(numbers(&batch));
        spool.done(batch.len());
        spool.sync();
    }
    assert_eq!(seen, (1..=300).collect::<Vec<_>>());
    assert_eq!(spool.state().cached, 0);
    let length = fs::metadata(file(dir.path(), "a")).unwrap().len();
    assert!(length < 20 << 20, "an empty spool has {length} bytes");
}

#[test]
fn a_full_spool_tells_of_the_gap() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&SpoolConfig { max_bytes: 1000, ..config(dir.path()) }, "a");
    let taken: Vec<_> = (1..=6).map(|number| spool.append(&record(number, 300))).collect();
    assert_eq!(taken, [true, true, false, false, false, false]);
    let counts = spool.counts();
    assert_eq!((counts.overflowed, counts.waiting), (4, 2));
    let gap = Gap { stream: Uuid::from_u128(7), from: 3, to: 6, reason: GapReason::Overflowed };
    assert_eq!((spool.gaps(), spool.gaps()), (vec![gap], vec![]));
}

#[test]
fn what_is_too_old_is_given_up_and_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&SpoolConfig { max_age_s: 60, ..config(dir.path()) }, "a");
    for number in 1..=2 {
        spool.append(&record(number, 10));
        spool.sync();
    }
    spool.state().segments.front_mut().unwrap().stored_at -= 61_000;
    assert_eq!(numbers(&spool.next(10, 1000)), [2]);
    assert_eq!(spool.counts().expired, 1);
    assert_eq!(
        spool.gaps().first().map(|gap| (gap.from, gap.to, gap.reason)),
        Some((1, 1, GapReason::Expired))
    );
}

#[test]
fn a_store_that_cannot_be_written_leaves_records_in_memory_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("spool");
    fs::write(&blocked, "a file where the directory should be").unwrap();
    let spool = Spool::open(&config(&blocked), "a");
    assert!(spool.failure().unwrap().contains("cannot make"), "{:?}", spool.failure());
    spool.append(&record(1, 10));
    spool.sync();
    assert_eq!(numbers(&spool.next(10, 1000)), [1]);
    fs::remove_file(&blocked).unwrap();
    spool.store.lock().unwrap().tried = None;
    spool.sync();
    assert_eq!(spool.failure(), None);
    drop(spool);
    let spool = Spool::open(&config(&blocked), "a");
    assert_eq!(numbers(&spool.next(10, 1000)), [1]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&blocked), mode(&file(&blocked, "a"))), (0o700, 0o600));
}

/// Two spools of one name whose clocks gave them the same keys, the second without its file, which the first has locked.
fn at_once(directory: &Path) -> (Spool, Spool) {
    let first = Spool::open(&config(directory), "a");
    let key = first.state().next_key;
    first.append(&record(1, 10));
    first.sync();
    let second = Spool::open(&config(directory), "a");
    assert!(second.failure().is_some());
    second.state().next_key = key;
    (first, second)
}

/// The first spool ends, and the second finds what it left.
fn succeed(first: Spool, second: &Spool) {
    drop(first);
    second.store.lock().unwrap().tried = None;
    second.sync();
    assert_eq!(second.failure(), None);
}

#[test]
fn what_another_run_left_goes_first_though_it_is_found_late() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = at_once(dir.path());
    second.append(&record(2, 10));
    second.sync();
    succeed(first, &second);
    assert_eq!(numbers(&second.next(10, 1000)), [1, 2]);
    drop(second);
    assert_eq!(numbers(&Spool::open(&config(dir.path()), "a").next(10, 1000)), [1, 2]);
}

#[test]
fn what_is_under_way_stays_first_when_something_is_found_late() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = at_once(dir.path());
    for number in [2, 3] {
        second.append(&record(number, 10));
    }
    second.sync();
    second.append(&record(4, 10));
    second.done(1);
    succeed(first, &second);
    assert_eq!(numbers(&second.next(10, 1000)), [3, 1, 4]);
    drop(second);
    let third = Spool::open(&config(dir.path()), "a");
    assert_eq!(numbers(&third.next(10, 1000)), [3, 1, 4]);
    third.done(1);
    third.sync();
    drop(third);
    assert_eq!(numbers(&Spool::open(&config(dir.path()), "a").next(10, 1000)), [1, 4]);
}

#[test]
fn a_damaged_file_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(file(dir.path(), "a"), vec![7; 100_000]).unwrap();
    let spool = Spool::open(&config(dir.path()), "a");
    spool.append(&record(1, 10));
    spool.sync();
    assert_eq!(spool.failure(), None);
    assert_eq!(numbers(&spool.next(10, 1000)), [1]);
    assert!(dir.path().join("a.damaged").exists());
}
