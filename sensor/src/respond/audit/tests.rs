//! The chain: whole, flipped, cut, torn, continued, on a full disk.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use super::*;

fn entry(n: u64) -> Entry {
    Entry::Order { order: "reload", by: AskedBy::Operator { uid: 0, pid: n as u32 } }
}

fn log(dir: &Path, records: u64) -> PathBuf {
    let path = dir.join("audit.log");
    let mut log = Log::open(&path, Rotation::NEVER).unwrap();
    (0..records).for_each(|n| log.append(&entry(n)).unwrap());
    path
}

fn check(path: &Path) -> Result<Verified, String> {
    verify(fs::read(path).unwrap().as_slice()).map_err(|broken| broken.to_string())
}

#[test]
fn one_flipped_byte_in_a_hundred_thousand_records_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = log(dir.path(), 100_000);
    let whole = fs::read(&path).unwrap();
    assert_eq!(verify(whole.as_slice()).unwrap().records, 100_001);
    let lines: Vec<usize> = std::iter::once(0)
        .chain(whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1))
        .collect();
    // Wherever it is: at the ends, in the middle, and at places all over.
    let places = [0, 1, whole.len() / 2, whole.len() - 1]
        .into_iter()
        .chain((0..8).map(|n| n * 7919 * 31 % whole.len()));
    for at in places {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 7);
        let line = lines.partition_point(|start| *start <= at);
        let error = verify(flipped.as_slice()).map(|_| ()).unwrap_err().to_string();
        // A flipped line break joins two lines, of which the first is named.
        assert!(error.starts_with(&format!("line {line} ")), "byte {at}, line {line}: {error}");
    }
}

#[test]
fn lines_that_are_taken_out_or_put_in_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = log(dir.path(), 9);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let change = |change: &dyn Fn(&mut Vec<&str>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        verify((lines.join("\n") + "\n").as_bytes())
            .map(|log| log.records)
            .map_err(|broken| broken.to_string())
    };
    assert_eq!(change(&|_| ()), Ok(10));
    assert!(change(&|lines| _ = lines.remove(4)).unwrap_err().contains("records in between are gone"));
    assert!(change(&|lines| lines.insert(4, lines[4])).is_err());
    assert!(change(&|lines| lines.swap(3, 4)).is_err());
    assert!(change(&|lines| lines.insert(2, "x")).unwrap_err().starts_with("line 3"));
    assert!(change(&|lines| _ = lines.remove(0)).unwrap_err().starts_with("line 1"));
    // The end alone can be cut off: that the last hash is known elsewhere is what helps.
    assert_eq!(change(&|lines| lines.truncate(5)), Ok(5));
}

#[test]
fn a_log_goes_on_where_it_ended_and_says_what_was_torn() {
    let dir = tempfile::tempdir().unwrap();
    let path = log(dir.path(), 3);
    let whole = fs::read(&path).unwrap();
    drop(log(dir.path(), 2));
    assert_eq!(check(&path).unwrap().records, 7);
    // Torn anywhere in its last line, also right before its line break and with nothing of it left.
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for end in last..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let before = check(&path).unwrap();
        assert_eq!(before.torn_end, end > last && end < whole.len() - 1, "{end} of {}", whole.len());
        drop(log(dir.path(), 1));
        let after =
            check(&path).unwrap_or_else(|broken| panic!("torn at {end} of {}: {broken}", whole.len()));
        assert_eq!(after.torn, u64::from(end > last && end < whole.len() - 1));
        assert!(!after.torn_end);
    }
}

#[test]
fn a_log_that_was_changed_at_its_end_is_continued_and_stays_broken() {
    let dir = tempfile::tempdir().unwrap();
    let path = log(dir.path(), 3);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"uid\":0,\"pid\":2}", "\"uid\":7,\"pid\":2}", 1)).unwrap();
    drop(log(dir.path(), 3));
    assert!(check(&path).unwrap_err().starts_with("line 4 (record 4): its hash"), "{:?}", check(&path));
    assert!(fs::read_to_string(&path).unwrap().contains("\"record\":\"damaged\""));
}

#[test]
fn what_cannot_be_written_is_counted_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("audit.log"), dir.path().join("other"));
    let (to, heard) = std::sync::mpsc::channel();
    fs::create_dir(&path).unwrap();
    let mut writer = Writer::start(&path, Rotation::NEVER, move |heard| to.send(heard).unwrap()).unwrap();
    (0..5).for_each(|n| writer.write(entry(n)));
    assert!(matches!(heard.recv().unwrap(), Heard::Unwritable(_)));
    fs::rename(&path, &other).unwrap();
    assert_eq!(heard.recv_timeout(std::time::Duration::from_secs(60)).unwrap(), Heard::Writable(5));
    writer.write(entry(6));
    writer.finish();
    let log = check(&path).unwrap();
    assert_eq!((log.records, log.missing), (3, 5), "started, missing, order");
}

#[test]
fn a_full_disk_leaves_no_half_record() {
    // Nothing fits into this device, and it is no file: it is refused before anything is written.
    assert!(Log::open(Path::new("/dev/full"), Rotation::NEVER).is_err());
    let dir = tempfile::tempdir().unwrap();
    let path = log(dir.path(), 2);
    // What a log that may only grow keeps of a record that did not fit.
    fs::File::options().append(true).open(&path).unwrap().write_all(b"{\"seq\":4,\"ti").unwrap();
    drop(log(dir.path(), 0));
    assert_eq!(check(&path).unwrap().torn, 1);
}

#[test]
fn a_chain_goes_on_through_files_and_nothing_in_them_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let rotation = Rotation { bytes: 2000, files: 3 };
    let all = || files(&path).iter().flat_map(|file| fs::read(file).unwrap()).collect::<Vec<u8>>();
    let check = || verify(all().as_slice()).map_err(|broken| broken.to_string());
    let mut log = Log::open(&path, rotation).unwrap();
    (0..8).for_each(|n| log.append(&entry(n)).unwrap());
    assert!(files(&path).len() > 1);
    // Two records more than entries: of the start, and of the second file.
    let found = check().unwrap();
    assert_eq!((found.first, found.records), (1, 8 + files(&path).len() as u64));
    // A sensor that starts again goes on, also where it ended between two files.
    drop(log);
    rotate::move_on(&path, rotation).unwrap();
    let mut log = Log::open(&path, rotation).unwrap();
    assert_eq!(check().unwrap().first, 1);
    (0..100).for_each(|n| log.append(&entry(n)).unwrap());
    // The oldest are gone, and the rest says where it begins.
    assert_eq!(files(&path).len(), 4);
    let found = check().unwrap();
    assert!(found.first > 1 && found.records > 108, "{found:?}");
    // One in the middle that is missing is found, and so is a changed one.
    let middle = files(&path)[1].clone();
    let text = fs::read(&middle).unwrap();
    fs::write(&middle, "").unwrap();
    assert!(check().unwrap_err().contains("records in between are gone"));
    let mut changed = text.clone();
    changed[100] ^= 1;
    fs::write(&middle, changed).unwrap();
    assert!(check().unwrap_err().contains("its hash is not"));
    // A log that was not rotated must begin with its first record.
    let first = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    assert!(verify(&text[first..]).is_err());
}
