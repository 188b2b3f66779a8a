//! JSON as Go's `encoding/json` writes it, so that a config has the same bytes, and with them the same image ID,
//! whichever builder wrote it.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// `value` as compact JSON with `<`, `>`, `&`, U+2028 and U+2029 escaped.
///
/// # Panics
/// When `value` refuses to serialise, which for the plain data of this crate does not happen.
pub fn to_vec_go<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    write(value, CompactFormatter)
}

/// As [`to_vec_go`], indented by two spaces: the form of manifests and indexes.
///
/// # Panics
/// As [`to_vec_go`].
pub fn to_vec_go_pretty<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    write(value, PrettyFormatter::with_indent(b"  "))
}

fn write<T: Serialize + ?Sized>(value: &T, layout: impl Formatter) -> Vec<u8> {
    let mut out = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut out, GoFormatter(layout)))
        .expect("plain data with string keys serialises, and a Vec takes every byte");
    out
}

struct GoFormatter<F>(F);

macro_rules! delegate {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.0.$name(writer $(, $argument)*)
        }
    )*};
}

impl<F: Formatter> Formatter for GoFormatter<F> {
    delegate! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((position, escaped, width)) = first_special(rest) {
            writer.write_all(&rest.as_bytes()[..position])?;
            writer.write_all(escaped)?;
            rest = &rest[position + width..];
        }
        writer.write_all(rest.as_bytes())
    }
}

fn first_special(text: &str) -> Option<(usize, &'static [u8], usize)> {
    text.char_indices().find_map(|(position, character)| {
        let escaped: &'static [u8] = match character {
            '<' => b"\\u003c",
            '>' => b"\\u003e",
            '&' => b"\\u0026",
            '\u{2028}' => b"\\u2028",
            '\u{2029}' => b"\\u2029",
            _ => return None,
        };
        Some((position, escaped, character.len_utf8()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        for (text, expected) in [
            ("a<b>&c", r#""a\u003cb\u003e\u0026c""#),
            ("\u{2028}x\u{2029}", r#""\u2028x\u2029""#),
            ("\"\\/\n\r\t\u{8}\u{c}\u{1}\u{7f}é", "\"\\\"\\\\/\\n\\r\\t\\b\\f\\u0001\u{7f}é\""),
        ] {
            assert_eq!(String::from_utf8(to_vec_go(text)).unwrap(), expected);
        }
    }

    #[test]
    fn indentation_is_two_spaces() {
        let value = serde_json::json!({"a": [1, "<"], "b": {}});
        let text = String::from_utf8(to_vec_go_pretty(&value)).unwrap();
        assert_eq!(text, "{\n  \"a\": [\n    1,\n    \"\\u003c\"\n  ],\n  \"b\": {}\n}");
    }

    proptest! {
        #[test]
        fn every_string_reads_back(text in any::<String>()) {
            let read: String = serde_json::from_slice(&to_vec_go(&text)).unwrap();
            prop_assert_eq!(read, text);
        }
    }
}
