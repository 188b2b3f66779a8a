//! Patterns, a NUL byte and a path: no list of patterns takes forever, a walk gives the same answer as asking for the
//! whole path, and a folder that is not entered holds nothing that would have been kept.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_parser::pattern::{IgnorePatterns, Matched, has_wildcard, path_match};

fuzz_target!(|bytes: &[u8]| {
    let Some(middle) = bytes.iter().position(|byte| *byte == 0) else { return };
    let (file, path) = (&bytes[..middle], &bytes[middle + 1..]);
    if let Ok(pattern) = std::str::from_utf8(file) {
        let _ = path_match(pattern, path);
        has_wildcard(pattern);
    }
    let plain = !path.is_empty()
        && path.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."));
    let Ok(patterns) = IgnorePatterns::parse(file) else { return };
    if !plain {
        return;
    }
    let mut state = Matched::default();
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let matched = patterns.matches(path);
    for end in ends.chain([path.len()]) {
        let inside = end < path.len();
        state = patterns.matches_below(&path[..end], &state);
        if inside && state.matched && !patterns.may_keep_below(&path[..end]) {
            assert!(matched, "{patterns:?}");
        }
    }
    assert_eq!(state.matched, matched, "{patterns:?}");
});
