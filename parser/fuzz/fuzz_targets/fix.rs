//! A fixed file can be parsed, differs only in its edits, and needs no second fix.
#![no_main]

mod image;

use libfuzzer_sys::fuzz_target;
use rbuild_parser::plan::check;
use rbuild_parser::{fix, parse};

fuzz_target!(|bytes: &[u8]| {
    let Some(fixed) = fixed(bytes) else { return };
    let text = std::str::from_utf8(bytes).expect("what was fixed is text");
    let (mut before, mut after) = (text, fixed.text.as_str());
    let mut at = 0;
    for edit in &fixed.edits {
        let (start, end) = (edit.span.start as usize - at, edit.span.end as usize - at);
        assert_eq!(before.get(..start), after.get(..start), "{edit:?}");
        assert_eq!(after.get(start..start + edit.text.len()), Some(edit.text.as_str()));
        (before, after) = (&before[end..], &after[start + edit.text.len()..]);
        at = edit.span.end as usize;
    }
    assert_eq!(before, after, "what follows the last edit");
    assert_eq!(parse(fixed.text.as_bytes()).errors, [], "{:?}", fixed.text);
    assert_eq!(self::fixed(fixed.text.as_bytes()), None, "{:?}", fixed.text);
});

fn fixed(bytes: &[u8]) -> Option<fix::Fixed> {
    let parsed = parse(bytes);
    let warnings = check(&parsed.dockerfile, &image::options(), &mut image::Images).warnings;
    fix::fix(bytes, &warnings)
}
