//! `FROM [--platform=P] IMAGE [AS NAME]`

use nom::bytes::complete::take_while;
use nom::character::complete::satisfy;
use nom::combinator::all_consuming;
use nom::sequence::pair;
use nom::{IResult, Parser};

use super::flags::{Flag, Flags, Takes};
use crate::diagnostic::Diagnostic;
use crate::go::quote;
use crate::instruction::{From, StageName};
use crate::lines::Logical;
use crate::source::Text;

pub(super) fn from(line: &Logical<'_>, flags: &[Flag<'_>], words: &[&str]) -> Result<From, Diagnostic> {
    let (image, name) = match *words {
        [image] => (image, None),
        [image, keyword, name] if keyword.eq_ignore_ascii_case("as") => {
            (image, Some(stage_name(line, keyword, name)?))
        }
        _ => return Err(Diagnostic::new("FROM requires either one or three arguments")),
    };
    let flags = Flags::check(line, flags, &[("platform", Takes::Text)])?;
    Ok(From { image: line.spanned(image), platform: flags.text("platform"), name })
}

fn stage_name(line: &Logical<'_>, keyword: &str, name: &str) -> Result<StageName, Diagnostic> {
    let lower = Text::from(name.to_lowercase());
    if valid_name(&lower).is_err() {
        let why = "name can't start with a number or contain symbols";
        let message = format!("invalid name for build stage: {}, {why}", quote(name));
        return Err(Diagnostic::new(message).at(line.span(name)));
    }
    Ok(StageName { keyword: line.spanned(keyword), written: line.spanned(name), lower })
}

fn valid_name(name: &str) -> IResult<&str, (char, &str)> {
    let further = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    all_consuming(pair(satisfy(|c| c.is_ascii_lowercase()), take_while(further))).parse(name)
}
