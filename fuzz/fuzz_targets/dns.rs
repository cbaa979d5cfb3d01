//! Any bytes as a DNS message, whole or cut: no panic, and what is said is in proportion to the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::decode::dns::read;

fuzz_target!(|bytes: &[u8]| {
    for whole in [true, false] {
        let said = read(bytes, whole);
        assert!(said.names.len() <= 16 && said.addresses.len() <= bytes.len() / 4);
        assert!(!said.malformed || whole);
        let names = said.names.iter().chain(&said.question);
        // Four letters for a byte that is none.
        assert!(names.map(|name| name.as_bytes().len()).max() <= Some(4 * 255));
    }
});
