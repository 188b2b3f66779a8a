use proptest::prelude::*;

use super::*;
use crate::source::Span;

fn messages(file: &str) -> Vec<String> {
    parse(file.as_bytes()).errors.into_iter().map(|error| error.message).collect()
}

#[test]
fn reports_what_is_wrong_with_a_file() {
    for (file, message, lines) in [
        ("", "the Dockerfile cannot be empty", None),
        ("# nothing\n\n# here\n", "file with no instructions", Some((3, 3))),
        ("\n", "file with no instructions", Some((1, 1))),
        ("ARG A=1\n", "dockerfile contains no stages to build", None),
        ("ARG A\nRUN x\nFROM x", "no build stage in current context", Some((2, 2))),
        ("# escape=`\n# escape=\\\nFROM x", "only one escape parser directive can be used", Some((1, 1))),
        ("FROM x\nRUN <<EOF\na\nEO F\n", "unterminated heredoc", Some((2, 4))),
        ("FROM x\nENV A \\\n\n", "ENV must have two arguments", Some((2, 3))),
        (
            "FROM x\n\nCOYP a \\\n b\n",
            "dockerfile parse error on line 3: unknown instruction: COYP (did you mean COPY?)",
            Some((3, 4)),
        ),
        (
            "FROM x\nCOPY a <<E\nE\n",
            "dockerfile parse error on line 2: COPY cannot accept a heredoc as a destination",
            Some((2, 3)),
        ),
    ] {
        let errors = parse(file.as_bytes()).errors;
        assert_eq!(errors.len(), 1, "{file:?}: {errors:?}");
        let lines = lines.map(|(first, last)| LineRange { first, last });
        assert_eq!((errors[0].message.as_str(), errors[0].lines), (message, lines), "{file:?}");
    }
}

#[test]
fn collects_errors_in_order() {
    let file = "RUN a\nFROM x\nRUN --bad x\nUSER\nENV a\nFROM\nRUN b\nCMD [1]\n";
    assert_eq!(
        messages(file),
        [
            "ENV must have two arguments",
            "when using JSON array syntax, arrays must be comprised of strings only",
            "no build stage in current context",
            "dockerfile parse error on line 3: unknown flag: --bad",
            "dockerfile parse error on line 4: USER requires exactly one argument",
            "dockerfile parse error on line 6: FROM requires either one or three arguments",
        ]
    );
    let long = format!("{}\n", "x".repeat(70_000));
    assert_eq!(messages(&long), ["dockerfile line greater than max allowed size of 65535"]);
}

#[test]
fn points_at_the_mistake() {
    for (file, written) in [
        ("FROM x\nCOPY --link \\\n  --chwon=1 a b", "--chwon=1"),
        ("FROM x\nCOYP a", "COYP"),
        ("FROM x AS 1", "1"),
        ("FROM x\nHEALTHCHECK --retries=a CMD x", "--retries=a"),
        ("FROM x\nONBUILD \\\n FROM x", "FROM"),
    ] {
        let span = parse(file.as_bytes()).errors[0].span.unwrap();
        assert_eq!(&file[span.start as usize..span.end as usize], written, "{file:?}");
    }
}

#[test]
fn builds_the_tree() {
    let file = "# syntax=a/b:1 note\n# check=skip=all\nARG A=1\n# base image\nfrom --platform=$P a as Base\n\
                # check=skip=X\nRUN a \\\n\n b\nFROM base\n";
    let parsed = parse(file.as_bytes());
    assert_eq!(parsed.errors, []);
    let Dockerfile { directives, escape, global_args, stages } = parsed.dockerfile;
    assert_eq!(directives.syntax.unwrap().value, "a/b:1");
    assert_eq!(directives.check.unwrap().value, "skip=all");
    assert_eq!((directives.escape, escape), (None, Escape::Backslash));
    assert_eq!(global_args[0].kind.declarations[0].name.value, "A");
    let [first, second] = &stages[..] else { panic!() };
    assert_eq!((first.from.keyword.as_str(), first.from.comments[0].as_str()), ("from", "base image"));
    let name = first.from.kind.name.as_ref().unwrap();
    assert_eq!((name.keyword.as_str(), name.written.as_str(), name.lower.as_str()), ("as", "Base", "base"));
    let run = &first.instructions[0];
    assert_eq!((run.text.as_str(), run.lines), ("RUN a  b", LineRange { first: 7, last: 9 }));
    assert_eq!((run.comments[0].as_str(), run.empty_continuation), ("check=skip=X", Some(8)));
    assert_eq!(second.from.kind.image.value, "base");
    assert_eq!(&file[run.span.start as usize..run.span.end as usize], "RUN a \\\n\n b");
}

#[test]
fn finds_directives_elsewhere() {
    let directives = |file: &str| {
        let found = parse(file.as_bytes()).dockerfile.directives;
        (found.syntax.map(|s| s.value), found.check.map(|c| c.value))
    };
    let some = |value: &str| Some(value.into());
    for (file, syntax, check) in [
        ("#!/bin/sh\n# syntax=x\n# check=y\n", some("x"), some("y")),
        ("#!/bin/sh\n\n# syntax=x\n", None, None),
        ("\u{feff}# syntax = x\n", some("x"), None),
        ("// syntax=x\n// check=y\n", some("x"), None),
        ("{\"syntax\": \"x\", \"check\": \"y\"}", some("x"), None),
        (" # syntax=x\n", None, None),
        ("# check=skip=A, B\n", None, some("skip=A,")),
        ("# syntax=x\n# syntax=y\n# check=z\n", some("x"), None),
    ] {
        assert_eq!(directives(file), (syntax, check), "{file:?}");
    }
}

#[test]
fn parses_triggers() {
    let instruction = parse_trigger("RUN cat <<A\nx\nA").unwrap();
    assert_eq!((instruction.heredocs[0].body.as_str(), instruction.lines.last), ("x\n", 3));
    assert_eq!(parse_trigger("COPY a \\\n b").unwrap().text, "COPY a  b");
    for (text, message) in [
        ("COPY --bogus a b", "unknown flag: --bogus"),
        ("RUN a\nRUN b", "onbuild trigger should be a single expression"),
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ENV a", "ENV must have two arguments"),
        ("", "file with no instructions"),
    ] {
        assert_eq!(parse_trigger(text).unwrap_err().message, message, "{text}");
    }
}

/// Text that is more often than not about something in the language.
pub(crate) fn pieces() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "FROM ",
        "RUN ",
        "COPY ",
        "ENV ",
        "ARG ",
        "ONBUILD ",
        "HEALTHCHECK ",
        "CMD ",
        "\n",
        "\n",
        "\r\n",
        "\\\n",
        "`",
        "#",
        " ",
        "\t",
        "=",
        "a",
        "b",
        "é",
        "'",
        "\"",
        "$",
        "${",
        "}",
        "[\"",
        "\"]",
        ",",
        "<<A",
        "<<-'B' ",
        "A\n",
        "\tB\n",
        "--",
        "--from=",
        "--mount=",
        "# escape=`\n",
        "\\",
        "\u{a0}",
        "\u{feff}",
        ":-",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

fn spans(value: &serde_json::Value, found: &mut Vec<Span>) {
    match value {
        serde_json::Value::Object(members) => {
            if let (Some(start), Some(end)) = (members.get("start"), members.get("end")) {
                let number = |value: &serde_json::Value| u32::try_from(value.as_u64().unwrap()).unwrap();
                found.push(Span { start: number(start), end: number(end) });
            }
            members.values().for_each(|member| spans(member, found));
        }
        serde_json::Value::Array(elements) => elements.iter().for_each(|element| spans(element, found)),
        _ => {}
    }
}

/// A first line `#!` without an end leaves nothing to look for directives in.
#[test]
fn a_shebang_can_be_the_whole_file() {
    for file in ["#!", "#!/bin/sh", "#!*#\u{b5}"] {
        assert_eq!(parse(file.as_bytes()).errors[0].message, "file with no instructions", "{file}");
    }
}

/// Each of these would take minutes if anything in it took quadratic time.
#[test]
fn hostile_files_are_read_in_one_go() {
    let many = 100_000;
    let nested = |open: &str, close: &str| format!("{}x{}", open.repeat(many), close.repeat(many));
    let errors = |file: String| parse(file.as_bytes()).errors.len();
    for (what, expected, body) in [
        ("continuation lines", 0, format!("RUN a{}", " \\\n b".repeat(many))),
        ("empty continuation lines", 0, format!("RUN a \\\n{} b", "\n".repeat(many))),
        ("comments", 0, "# a\n".repeat(many) + "RUN b"),
        ("heredocs", 0, "RUN <<a\nb\na\n".repeat(many / 4)),
        ("heredocs of one line", 0, format!("RUN cat{}\n{}", " <<a".repeat(10_000), "a\n".repeat(10_000))),
        ("an open heredoc", 1, format!("RUN <<a\n{}", "b\n".repeat(many))),
        ("open heredocs", 1, "RUN <<a\n".repeat(many)),
        ("nested variables", 0, format!("RUN <<a {}", nested("${a:-\\\n", "}\\\n"))),
        ("nested arrays", 0, format!("RUN {}", nested("[\\\n", "]\\\n"))),
        ("quotes", 0, format!("ENV a={}", "\"\\\n'\\\n".repeat(many / 2))),
        ("words", 0, format!("COPY{} c", " a\\\n b".repeat(many))),
        ("pairs", 0, format!("LABEL{}", " a=b\\\n c=d".repeat(many))),
        ("flags", 0, format!("RUN{} x", " --mount=type=tmpfs,target=/a\\\n".repeat(many / 10))),
        ("triggers of triggers", 1, format!("{} RUN b", "ONBUILD \\\n".repeat(many))),
        ("stages", 0, (0..many / 4).map(|number| format!("FROM s{number}\n")).collect()),
        ("mistakes", many / 4, "FORM a\n".repeat(many / 4)),
    ] {
        assert_eq!(errors(format!("FROM x\n{body}\n")), expected, "{what}");
    }
}

proptest! {
    #[test]
    fn spans_lie_in_the_file(file in pieces()) {
        let parsed = parse(file.as_bytes());
        let mut found = Vec::new();
        spans(&serde_json::to_value(&parsed.dockerfile).unwrap(), &mut found);
        found.extend(parsed.errors.iter().filter_map(|error| error.span));
        for Span { start, end } in found {
            prop_assert!(file.get(start as usize..end as usize).is_some(), "{start}..{end} of {file:?}");
        }
        let count = Source::new(file.as_bytes()).line_count();
        for lines in parsed.errors.iter().filter_map(|error| error.lines) {
            prop_assert!(1 <= lines.first && lines.first <= lines.last && lines.last <= count);
        }
    }

    #[test]
    fn any_bytes_can_be_parsed(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let parsed = parse(&bytes);
        prop_assert!(!parsed.dockerfile.stages.is_empty() || !parsed.errors.is_empty());
    }
}
