//! `ONBUILD`

use nom::bytes::complete::tag_no_case;
use nom::character::complete::multispace0;
use nom::sequence::delimited;
use nom::{IResult, Parser};

use super::flags::{Flag, Flags};
use super::run::with_bodies;
use crate::diagnostic::Diagnostic;
use crate::instruction::{Heredoc, Onbuild};
use crate::lines::Logical;

pub(super) fn onbuild(
    line: &Logical<'_>,
    flags: &[Flag<'_>],
    keyword: &str,
    heredocs: &[Heredoc],
) -> Result<Onbuild, Diagnostic> {
    if keyword.is_empty() {
        return Err(Diagnostic::new("ONBUILD requires at least one argument"));
    }
    Flags::check(line, flags, &[])?;
    let upper = keyword.to_uppercase();
    let message = match upper.as_str() {
        "ONBUILD" => "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".to_owned(),
        "FROM" | "MAINTAINER" => format!("{upper} isn't allowed as an ONBUILD trigger"),
        _ => return Ok(Onbuild { trigger: with_bodies(without_keyword(&line.text), heredocs) }),
    };
    Err(Diagnostic::new(message).at(line.span(keyword)))
}

fn without_keyword(line: &str) -> &str {
    let keyword: IResult<&str, &str> =
        delimited(multispace0, tag_no_case("onbuild"), multispace0).parse(line);
    keyword.map_or(line, |(rest, _)| rest)
}
