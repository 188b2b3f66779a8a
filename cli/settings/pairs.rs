//! `KEY=VALUE` in its several dialects.

use crate::exit::Failure;
use crate::settings::Environment;

/// `KEY=VALUE`; an empty key is a mistake.
pub(super) fn split<'a>(flag: &str, text: &'a str) -> Result<(&'a str, Option<&'a str>), Failure> {
    let (key, value) = text.split_once('=').map_or((text, None), |(k, v)| (k, Some(v)));
    if key.is_empty() {
        return Err(Failure::usage(format!("invalid argument {text:?} for {flag}: the name is empty")));
    }
    Ok((key, value))
}

/// `KEY=VALUE`, or `KEY` for the value that the environment has; a name that is not set is left out, as docker
/// leaves it out. A later assignment replaces an earlier one.
pub(super) fn assignments(
    flag: &str,
    texts: &[String],
    environment: &Environment,
) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for text in texts {
        let (key, value) = split(flag, text)?;
        let Some(value) = value.map(str::to_owned).or_else(|| environment.value(key)) else { continue };
        pairs.retain(|(k, _)| k != key);
        pairs.push((key.to_owned(), value));
    }
    Ok(pairs)
}

/// The members of `type=tar,dest=x`: Go's CSV, so a member that has a comma can be quoted as a whole.
pub(super) fn members(flag: &str, text: &str) -> Result<Vec<(String, String)>, Failure> {
    fields(text)
        .ok_or_else(|| Failure::usage(format!("invalid argument {text:?} for {flag}: unbalanced quotes")))?
        .into_iter()
        .map(|field| match field.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_ascii_lowercase(), value.to_owned())),
            None => Err(Failure::usage(format!(
                "invalid argument {text:?} for {flag}: {field:?} is no KEY=VALUE"
            ))),
        })
        .collect()
}

/// One line of CSV (RFC 4180); None if a quote is not closed.
fn fields(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_take_the_environment() {
        let environment = Environment::of(&[("HTTP_PROXY", "http://p"), ("EMPTY", "")]);
        let texts = ["A=1", "B=x=y", "HTTP_PROXY", "EMPTY", "UNSET", "A=2"].map(str::to_owned);
        let got = assignments("--build-arg", &texts, &environment).expect("all are good");
        let want = [("B", "x=y"), ("HTTP_PROXY", "http://p"), ("EMPTY", ""), ("A", "2")];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert!(assignments("--build-arg", &["=x".to_owned()], &environment).is_err());
    }

    #[test]
    fn csv() {
        for (text, want) in [
            ("type=tar,dest=a", Some(vec!["type=tar", "dest=a"])),
            (r#"type=tar,"dest=a,b""#, Some(vec!["type=tar", "dest=a,b"])),
            (r#""a=""x""""#, Some(vec![r#"a="x""#])),
            (r#""a=b"#, None),
        ] {
            let want = want.map(|w| w.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(fields(text), want, "{text}");
        }
    }
}
