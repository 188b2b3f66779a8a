//! No bytes make the parser panic, and everything it finds lies in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_parser::{Source, excerpt, parse, parse_trigger};

fuzz_target!(|bytes: &[u8]| {
    let parsed = parse(bytes);
    assert!(!parsed.errors.is_empty() || !parsed.dockerfile.stages.is_empty());
    let source = Source::new(bytes);
    for error in &parsed.errors {
        if let Some(lines) = error.lines {
            assert!(!excerpt(&source, &[lines]).is_empty(), "{error:?}");
        }
        if let Some(span) = error.span {
            assert!(source.text().get(span.start as usize..span.end as usize).is_some(), "{error:?}");
        }
    }
    // Whether a trigger is valid does not matter here.
    drop(parse_trigger(source.text()));
});
