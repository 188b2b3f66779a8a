use super::*;

/// The texts of all logical lines.
fn texts(file: &str) -> Vec<String> {
    let mut lines = Lines::new(file);
    std::iter::from_fn(|| lines.next_logical().map(|line| line.text.into_owned())).collect()
}

#[test]
fn joins_continuation_lines() {
    for (file, expected) in [
        ("a\nb", vec!["a", "b"]),
        ("a\\\nb", vec!["ab"]),
        ("  a  \\  \n\tb", vec!["a  \tb"]),
        ("a \\\n# comment \\\nb", vec!["a b"]),
        ("a \\\n\n  b\nc", vec!["a   b", "c"]),
        ("a\\\\\nb", vec!["a\\\\", "b"]),
        ("a\\\\\\\nb", vec!["a\\\\\\", "b"]),
        ("a\\\n\\\nb", vec!["ab"]),
        ("a\\\n \\\nb", vec!["a b"]),
        ("a \\", vec!["a "]),
        ("\\", vec![""]),
        ("a\\\r\nb\r\n", vec!["ab"]),
        ("# c\n\n  \n a # b", vec!["a # b"]),
        ("\u{feff}a", vec!["a"]),
        ("# escape=`\na`\nb\\\nc", vec!["ab\\", "c"]),
        ("#\n# escape=`\na\\\nb", vec!["ab"]),
        ("\n# escape=`\na\\\nb", vec!["ab"]),
        ("# unknown=1\n# escape=`\na\\\nb", vec!["ab"]),
        ("  # ESCAPE = ` \na`\nb", vec!["ab"]),
        ("", vec![]),
        ("#", vec![]),
    ] {
        assert_eq!(texts(file), expected, "{file:?}");
    }
}

#[test]
fn counts_lines() {
    let mut lines = Lines::new("\n# x\na \\\n\n b\\\n\nc\nd\n");
    let line = lines.next_logical().unwrap();
    assert_eq!(line.text, "a  bc");
    assert_eq!(line.lines, LineRange { first: 3, last: 7 });
    assert_eq!(line.empty_continuation, Some(4));
    let line = lines.next_logical().unwrap();
    assert_eq!((line.lines, line.empty_continuation), (LineRange::line(8), None));
    assert!(lines.next_logical().is_none());
    assert_eq!(lines.last_line(), 8);
}

#[test]
fn knows_where_joined_text_comes_from() {
    let file = "\u{feff}# c\n  RUN one \\\n # c\n two\\\n\\\nthree";
    let mut lines = Lines::new(file);
    let line = lines.next_logical().unwrap();
    assert_eq!(line.text, "RUN one  twothree");
    for (part, written) in [
        ("RUN", "RUN"),
        ("one", "one"),
        ("two", "two"),
        ("three", "three"),
        ("othree", "o\\\n\\\nthree"),
        ("one  tw", "one \\\n # c\n tw"),
    ] {
        let at = line.text.find(part).unwrap();
        let span = line.span(&line.text[at..at + part.len()]);
        assert_eq!(&file[span.start as usize..span.end as usize], written);
    }
    let end = line.span(&line.text[line.text.len()..]);
    assert_eq!((end.start as usize, end.end as usize), (file.len(), file.len()));
}

#[test]
fn collects_comments() {
    let comments = |file: &str| -> Vec<Vec<String>> {
        let mut lines = Lines::new(file);
        let next = || lines.next_logical();
        std::iter::from_fn(next)
            .map(|line| line.comments.into_iter().map(|c| c.value.into_string()).collect())
            .collect()
    };
    assert_eq!(comments("# a\n\n#b \nX\nY"), [vec!["a", "b"], vec![]]);
    assert_eq!(comments("# a\n#\n# b\nX"), [vec!["b"]]);
    assert_eq!(comments("# syntax=a\n# b\nX"), [vec!["b"]], "directives are no comments");
    assert_eq!(comments("X \\\n# a\nY\nZ"), [Vec::<String>::new(), vec![]], "nor are those inside");
}

#[test]
fn refuses_long_lines() {
    let longest = "x".repeat(MAX_LINE);
    assert_eq!(texts(&format!("{longest}\nb")).len(), 2);
    let mut lines = Lines::new("a\n");
    while lines.next_logical().is_some() {}
    assert!(lines.errors.is_empty());
    let file = format!("a\n{longest}x\nb");
    let mut lines = Lines::new(&file);
    assert_eq!(lines.next_logical().unwrap().text, "a");
    assert!(lines.next_logical().is_none());
    assert_eq!(lines.errors[0].message, "dockerfile line greater than max allowed size of 65535");
    assert_eq!(lines.errors[0].lines, Some(LineRange::line(1)));
}

#[test]
fn refuses_directives() {
    for (file, message, span) in [
        ("# escape=x\n", "invalid escape token 'x' does not match ` or \\", (9, 10)),
        ("# escape=\\\\\n", "invalid escape token '\\\\' does not match ` or \\", (9, 11)),
        ("# syntax=a\n#Syntax=b\n", "only one syntax parser directive can be used", (11, 20)),
    ] {
        let mut lines = Lines::new(file);
        assert!(lines.next_logical().is_none());
        let error = &lines.errors[0];
        assert_eq!((error.message.as_str(), error.lines), (message, Some(LineRange::line(1))));
        assert_eq!(error.span, Some(Span { start: span.0, end: span.1 }));
    }
}

#[test]
fn reads_heredoc_bodies() {
    let mut lines = Lines::new("RUN <<EOF\n# a\\\n\n EOF\nEOF\r\nX <<-A\n\tb\r\n\t\tA\nX <<B\nb");
    lines.next_logical().unwrap();
    assert_eq!(lines.body("EOF", false).unwrap().0, "# a\\\n\n EOF\n");
    lines.next_logical().unwrap();
    assert_eq!(lines.body("A", true).unwrap().0, "\tb\r\n");
    lines.next_logical().unwrap();
    assert_eq!(lines.body("B", false), None);
}
