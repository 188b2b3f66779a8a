//! Text to nodes.

use serde_json::Value;

use super::{Node, Operand, Pipeline};

/// Functions that the evaluation knows.
pub(super) const FUNCTIONS: [&str; 12] =
    ["json", "index", "len", "join", "upper", "lower", "title", "print", "println", "eq", "ne", "not"];

/// A piece between the delimiters, or outside of them.
enum Piece<'a> {
    Text(&'a str),
    Action(&'a str),
}

/// What ends a body.
enum Stop {
    Input,
    End,
    Else,
}

pub(super) fn template(text: &str) -> Result<Vec<Node>, String> {
    let pieces = pieces(text)?;
    let mut rest = pieces.into_iter();
    let (nodes, end) = body(&mut rest)?;
    match end {
        Stop::Input => Ok(nodes),
        Stop::End => Err("unexpected {{end}}".into()),
        Stop::Else => Err("unexpected {{else}}".into()),
    }
}

fn pieces(mut text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut trim = false;
    while let Some((before, after)) = text.split_once("{{") {
        let (action, rest) = after.split_once("}}").ok_or("unclosed action")?;
        let before = if trim { before.trim_start() } else { before };
        let (before, action) = match action.strip_prefix("- ") {
            Some(inner) => (before.trim_end(), inner),
            None => (before, action),
        };
        let (action, trim_next) = match action.strip_suffix(" -") {
            Some(inner) => (inner, true),
            None => (action, false),
        };
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Action(action.trim()));
        (text, trim) = (rest, trim_next);
    }
    pieces.push(Piece::Text(if trim { text.trim_start() } else { text }));
    Ok(pieces)
}

fn body<'a>(pieces: &mut impl Iterator<Item = Piece<'a>>) -> Result<(Vec<Node>, Stop), String> {
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let action = match piece {
            Piece::Text("") => continue,
            Piece::Text(text) => {
                nodes.push(Node::Text(text.to_owned()));
                continue;
            }
            Piece::Action(action) => action,
        };
        let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
        match word {
            "end" => return Ok((nodes, Stop::End)),
            "else" if rest.trim().is_empty() => return Ok((nodes, Stop::Else)),
            "range" => nodes.push(range(rest, pieces)?),
            "if" => {
                let condition = pipeline(rest)?;
                let (body, otherwise) = block(pieces)?;
                nodes.push(Node::If { condition, body, otherwise });
            }
            "with" | "define" | "template" | "block" | "break" | "continue" | "else" => {
                return Err(format!("{{{{{word}}}}} is not supported"));
            }
            _ if action.starts_with("/*") => {}
            _ => nodes.push(Node::Print(pipeline(action)?)),
        }
    }
    Ok((nodes, Stop::Input))
}

fn range<'a>(head: &str, pieces: &mut impl Iterator<Item = Piece<'a>>) -> Result<Node, String> {
    let (names, over) = match head.split_once(":=") {
        Some((names, over)) => {
            let names = names.split(',').map(|n| n.trim().strip_prefix('$').map(str::to_owned));
            (names.collect::<Option<Vec<_>>>().ok_or("range: a variable begins with $")?, over)
        }
        None => (Vec::new(), head),
    };
    let over = pipeline(over)?;
    let (body, otherwise) = block(pieces)?;
    Ok(Node::Range { names, over, body, otherwise })
}

fn block<'a>(pieces: &mut impl Iterator<Item = Piece<'a>>) -> Result<(Vec<Node>, Vec<Node>), String> {
    let (first, end) = body(pieces)?;
    match end {
        Stop::End => Ok((first, Vec::new())),
        Stop::Input => Err("missing {{end}}".into()),
        Stop::Else => match body(pieces)? {
            (second, Stop::End) => Ok((first, second)),
            _ => Err("missing {{end}}".into()),
        },
    }
}

fn pipeline(text: &str) -> Result<Pipeline, String> {
    let mut chars = text.trim();
    let result = commands(&mut chars)?;
    if chars.is_empty() { Ok(result) } else { Err(format!("unexpected {chars:?}")) }
}

/// Commands up to the end or an unmatched `)`.
fn commands(text: &mut &str) -> Result<Pipeline, String> {
    let mut commands = vec![Vec::new()];
    loop {
        *text = text.trim_start();
        let Some(first) = text.chars().next().filter(|c| *c != ')') else { break };
        if first == '|' {
            *text = &text[1..];
            commands.push(Vec::new());
            continue;
        }
        let operand = operand(first, text)?;
        commands.last_mut().expect("there is always one").push(operand);
    }
    if commands.iter().any(Vec::is_empty) { Err("missing value for command".into()) } else { Ok(commands) }
}

fn operand(first: char, text: &mut &str) -> Result<Operand, String> {
    match first {
        '(' => {
            *text = &text[1..];
            let inner = commands(text)?;
            *text = text.strip_prefix(')').ok_or("unclosed left paren")?;
            Ok(Operand::Nested(inner))
        }
        '"' => {
            let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
            let value = stream.next().and_then(Result::ok).ok_or("unterminated quoted string")?;
            *text = &text[stream.byte_offset()..];
            Ok(Operand::Literal(value))
        }
        '`' => {
            let (inner, rest) = text[1..].split_once('`').ok_or("unterminated raw quoted string")?;
            *text = rest;
            Ok(Operand::Literal(inner.into()))
        }
        _ => {
            let end = text.find(|c: char| c.is_whitespace() || "()|\"`".contains(c)).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            *text = rest;
            bare(word)
        }
    }
}

fn bare(word: &str) -> Result<Operand, String> {
    let path = |text: &str| -> Result<Vec<String>, String> {
        let names: Vec<_> = text.split('.').map(str::to_owned).collect();
        let good = names.iter().all(|n| !n.is_empty() && n.chars().all(|c| c.is_alphanumeric() || c == '_'));
        if good { Ok(names) } else { Err(format!("bad field {word:?}")) }
    };
    if word == "." {
        return Ok(Operand::Field(Vec::new()));
    }
    if let Some(rest) = word.strip_prefix('.') {
        return path(rest).map(Operand::Field);
    }
    if let Some(rest) = word.strip_prefix('$') {
        let (name, fields) = rest.split_once('.').map_or((rest, None), |(n, f)| (n, Some(f)));
        return Ok(Operand::Variable(name.to_owned(), fields.map(path).transpose()?.unwrap_or_default()));
    }
    match word {
        "true" | "false" => Ok(Operand::Literal((word == "true").into())),
        "nil" => Ok(Operand::Literal(Value::Null)),
        _ if FUNCTIONS.contains(&word) => Ok(Operand::Function(word.to_owned())),
        _ => match word.parse::<i64>() {
            Ok(number) => Ok(Operand::Literal(number.into())),
            Err(_) => Err(format!("function {word:?} not defined")),
        },
    }
}
