//! Messages, right and wrong.

use proptest::prelude::*;

use super::*;

fn labels(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).chain([0]).collect()
}

/// A message of these flags: a question for an address, and records. Each is an owner, a type and data.
fn message(flags: u16, question: &str, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
    let header = [7, flags, 1, records.len() as u16, 0, 0];
    let mut bytes: Vec<u8> = header.iter().flat_map(|word: &u16| word.to_be_bytes()).collect();
    bytes.extend(labels(question));
    bytes.extend([0, 1, 0, 1]);
    for (owner, kind, data) in records {
        bytes.extend_from_slice(owner);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend_from_slice(data);
    }
    bytes
}

const ANSWER: u16 = 0x8180;
/// Where the question begins.
const QUESTION: &[u8] = &[0xc0, 12];

fn words(texts: &[Text]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn a_query_and_its_answer() {
    let asked = read(&message(0x0100, "Www.EXAMPLE.com", &[]), true);
    assert_eq!((asked.id, asked.answer, asked.rcode, asked.malformed), (7, false, None, false));
    assert_eq!(asked.question.unwrap().to_string(), "www.example.com");
    assert_eq!(asked.record_type.to_string(), "A");
    let (edge, other) = (labels("edge.example"), labels("other.example"));
    let answer = read(
        &message(
            ANSWER,
            "www.example.com",
            &[
                (QUESTION, 5, &edge),
                (&edge, 1, &[1, 2, 3, 4]),
                (&edge, 1, &[1, 2, 3, 4]),
                (&other, 1, &[9; 4]),
            ],
        ),
        true,
    );
    assert_eq!((answer.answer, answer.rcode.unwrap().to_string().as_str()), (true, "NOERROR"));
    // What belongs to another name is no address of this one.
    assert_eq!(answer.addresses, [IpAddr::from([1, 2, 3, 4])]);
    assert_eq!((words(&answer.names), answer.ttl), (vec!["edge.example".to_owned()], Some(60)));
    let none = read(&message(0x8183, "none.example", &[]), true);
    assert_eq!((none.rcode.unwrap().to_string().as_str(), none.malformed), ("NXDOMAIN", false));
}

#[test]
fn a_root_a_dot_and_a_byte_that_is_no_letter_can_be_written() {
    assert_eq!(read(&message(0x0100, "", &[]), true).question.unwrap().to_string(), ".");
    let mut odd = message(0x0100, "abcd.example", &[]);
    odd[13..17].copy_from_slice(b".\0\xff\n");
    assert_eq!(read(&odd, true).question.unwrap().to_string(), "\\.\\000\\255\\010.example");
}

#[test]
fn what_cannot_be_read_is_malformed_and_what_was_cut_is_not() {
    let whole = message(ANSWER, "a.example", &[(QUESTION, 1, &[1, 2, 3, 4]), (QUESTION, 1, &[5, 6, 7, 8])]);
    for len in 0..whole.len() {
        let said = read(&whole[..len], true);
        assert!(said.malformed, "{len} bytes");
        let said = read(&whole[..len], false);
        assert!(!said.malformed, "{len} bytes");
        assert_eq!(said.truncated, len >= 12);
    }
    assert_eq!(read(&whole[..whole.len() - 1], false).addresses, [IpAddr::from([1, 2, 3, 4])]);
    // A name that leads to itself, and one that leads ahead.
    for owner in [[0xc0, 27], [0xc0, 200]] {
        assert!(read(&message(ANSWER, "a.example", &[(&owner, 1, &[1; 4])]), true).malformed);
    }
    assert!(read(&message(ANSWER, "a.example", &[(QUESTION, 1, &[1; 3])]), true).malformed);
}

#[test]
fn a_chain_that_does_not_end_ends() {
    let names: Vec<Vec<u8>> = (0..40).map(|number| labels(&format!("n{number}.example"))).collect();
    let records: Vec<(&[u8], u16, &[u8])> =
        names.windows(2).map(|pair| (pair[0].as_slice(), 5, pair[1].as_slice())).collect();
    let said = read(&message(ANSWER, "n0.example", &records), true);
    assert_eq!((said.names.len(), said.malformed), (CHAIN - 1, false));
    let circle = [(QUESTION, 5, QUESTION); 100];
    let said = read(&message(ANSWER, "a.example", &circle), true);
    assert!(said.names.is_empty() && said.addresses.is_empty(), "{said:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let said = read(&bytes, true);
        prop_assert!(said.names.len() < CHAIN && said.addresses.len() <= bytes.len());
    }

    #[test]
    fn a_damaged_message_is_read_without_a_panic(at in 0_usize..80, byte: u8, len in 0_usize..100) {
        let edge = labels("edge.example");
        let mut bytes =
            message(ANSWER, "www.example", &[(QUESTION, 5, &edge), (&[0xc0, 41], 1, &[1; 4]), (QUESTION, 28, &[2; 16])]);
        if let Some(damaged) = bytes.get_mut(at) {
            *damaged = byte;
        }
        bytes.truncate(len.max(1));
        let said = read(&bytes, true);
        prop_assert!(said.names.len() < CHAIN && said.addresses.len() <= 2);
    }
}
