//! What is printed can be parsed, and printing that again changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_parser::{parse, print};

fuzz_target!(|bytes: &[u8]| {
    let before = parse(bytes);
    if !before.errors.is_empty() {
        return;
    }
    let printed = print(&before.dockerfile);
    let after = parse(printed.as_bytes());
    assert!(after.errors.is_empty(), "{:?} in {printed:?}", after.errors);
    assert_eq!(print(&after.dockerfile), printed);
});
