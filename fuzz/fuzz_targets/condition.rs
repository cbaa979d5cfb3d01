//! Any text as a condition: no panic, few errors, and the normal form of what is read is short and reads as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::rule::{Filter, testing::normal_form};

fuzz_target!(|text: &str| {
    match normal_form(text) {
        Ok(normal) => {
            assert!(normal.len() <= 4 * text.len() + 4, "{normal}");
            assert_eq!(normal_form(&normal).as_ref(), Ok(&normal), "{text}");
        }
        Err(errors) => {
            assert!((1..=20).contains(&errors));
            assert!(Filter::compile(text).is_err(), "a condition with errors makes no filter");
        }
    }
    if let Err(found) = Filter::compile(text) {
        assert!(!found.is_empty());
        for found in found.iter().take(20) {
            std::hint::black_box(found.render(false));
        }
    }
});
