//! Any bytes as one record: no panic, and what decodes encodes to a record that decodes to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::decode::decode;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(event) = decode(bytes) {
        let again = event.encode();
        assert_eq!(decode(&again).as_ref(), Ok(&event));
    }
});
