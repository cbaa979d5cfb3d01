//! What came through `io_uring`.

use super::*;

#[test]
fn an_open_through_a_ring_that_has_no_file_yet_has_the_path_that_was_asked_for() {
    let mut stream = Stream::new();
    let text = |text: &'static str| RawText { bytes: text.as_bytes(), flags: 0 };
    let texts = OpenTexts { name: text("../a"), dir: text("/x/y"), ..OpenTexts::default() };
    let header = Header { flags: flags::IO_URING, ..header(7, 10) };
    let record = RawEvent { header, body: RawBody::Open(FileOpen::default(), texts) };
    let event = stream.take(&record.encode()).unwrap();
    assert!(event.io_uring && !event.failed());
    let Detail::Open(open) = event.detail else { panic!("not an open") };
    assert_eq!(open.path.to_string(), "/x/a");
    let event = stream.open(Header { flags: 0, ..header }, "/x");
    assert!(!event.io_uring);
}
