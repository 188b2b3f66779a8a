use crate::instruction::*;
use crate::parse;

/// The only instruction behind a FROM.
fn instruction(text: &str) -> Instruction {
    let parsed = parse(format!("FROM x\n{text}").as_bytes());
    assert_eq!(parsed.errors, [], "{text}");
    let [stage] = &parsed.dockerfile.stages[..] else { panic!("one stage in {text}") };
    let [instruction] = &stage.instructions[..] else { panic!("one instruction in {text}") };
    instruction.clone()
}

fn kind(text: &str) -> Kind {
    instruction(text).kind
}

/// The first error, without its prefix.
fn error(text: &str) -> String {
    let parsed = parse(format!("FROM x\n{text}").as_bytes());
    let message = parsed.errors.first().unwrap_or_else(|| panic!("{text} has an error")).message.clone();
    message.strip_prefix("dockerfile parse error on line 2: ").map_or(message.clone(), str::to_owned)
}

fn shell(command: &Command) -> &str {
    match command {
        Command::Shell(text) => &text.value,
        Command::Exec(arguments) => panic!("{arguments:?} is not for the shell"),
    }
}

#[test]
fn commands() {
    let command = |text: &str| match kind(text) {
        Kind::Cmd(cmd) => cmd.command,
        Kind::Entrypoint(entrypoint) => entrypoint.command,
        Kind::Run(run) => run.command,
        kind => panic!("{kind:?}"),
    };
    for (text, expected) in [
        ("CMD", ""),
        ("CMD  a  b ", "a  b"),
        ("CMD ['echo','x']", "['echo','x']"),
        ("CMD [\"a\", \"b\"", "[\"a\", \"b\""),
        ("CMD '[\"a\"]'", "'[\"a\"]'"),
        ("RUN [\"echo\", \"hello\"]this is invalid", "[\"echo\", \"hello\"]this is invalid"),
        ("ENTRYPOINT []random string", "[]random string"),
        ("CMD [\"\\x\"]", "[\"\\x\"]"),
        ("CMD -- --x", "--x"),
        ("CMD a\\\\b", "a\\\\b"),
    ] {
        assert_eq!(shell(&command(text)), expected, "{text}");
    }
    for (text, expected) in [
        ("CMD []", vec![]),
        ("cmd [ \"a\" , \"b c\" ]", vec!["a", "b c"]),
        ("RUN [\"\\u00e9\\n\\u0000\"]", vec!["é\n\0"]),
        ("ENTRYPOINT [\"a\", \\\n \"b\"]", vec!["a", "b"]),
    ] {
        assert_eq!(
            command(text),
            Command::Exec(expected.iter().map(|s| (*s).to_owned()).collect()),
            "{text}"
        );
    }
}

#[test]
fn pairs() {
    let pairs = |text: &str| match kind(text) {
        Kind::Env(env) => (env.pairs, env.legacy),
        Kind::Label(label) => (label.pairs, label.legacy),
        kind => panic!("{kind:?}"),
    };
    for (text, expected, legacy) in [
        ("ENV a=b", vec![("a", "b")], false),
        ("ENV a=b c='d e'  f=\"g\\\" h\"", vec![("a", "b"), ("c", "'d e'"), ("f", "\"g\\\" h\"")], false),
        ("ENV a=b\\ c", vec![("a", "b\\ c")], false),
        ("ENV a= b==", vec![("a", ""), ("b", "=")], false),
        ("ENV a b=c  'd'", vec![("a", "b=c  'd'")], true),
        ("ENV \"a b\"=c", vec![("\"a b\"", "c")], false),
        ("LABEL a 'x", vec![("a", "'x")], true),
        ("LABEL a='x", vec![("a", "'x")], false),
        ("ENV a=b \\\n    c=d", vec![("a", "b"), ("c", "d")], false),
        ("ENV a='\\' b=c", vec![("a", "'\\'"), ("b", "c")], false),
    ] {
        let (pairs, is_legacy) = pairs(text);
        let pairs: Vec<_> = pairs.iter().map(|pair| (pair.name.as_str(), pair.value.as_str())).collect();
        assert_eq!((pairs, is_legacy), (expected, legacy), "{text}");
    }
}

#[test]
fn args() {
    for (text, expected) in [
        ("ARG foo bar=baz", vec![("foo", None), ("bar", Some("baz"))]),
        ("ARG a='b c' d=", vec![("a", Some("'b c'")), ("d", Some(""))]),
        ("ARG --whatever a=b=c", vec![("a", Some("b=c"))]),
    ] {
        let Kind::Arg(arg) = kind(text) else { panic!("{text}") };
        let names = arg.declarations.iter();
        let names = names.map(|arg| (arg.name.as_str(), arg.default.as_ref().map(|d| d.as_str())));
        assert_eq!(names.collect::<Vec<_>>(), expected, "{text}");
    }
}

#[test]
fn copies() {
    let Kind::Copy(copy) = kind("COPY --from=a --chown='b c':d --link --exclude=x --exclude=y a b\tc/ ")
    else {
        panic!()
    };
    assert_eq!(copy.from.unwrap().value, "a");
    assert_eq!(copy.chown.unwrap().value, "b c:d");
    assert_eq!((copy.link, copy.parents), (Some(true), None));
    assert_eq!(copy.exclude.iter().map(|x| x.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(copy.paths.dest.value, "c/");
    let words = copy.paths.sources.iter().map(|source| match source {
        PathSource::Path(path) => path.as_str(),
        PathSource::Heredoc { .. } => panic!(),
    });
    assert_eq!(words.collect::<Vec<_>>(), ["a", "b"]);
    let Kind::Add(add) = kind("ADD --keep-git-dir=FALSE --unpack --checksum= [\"a b\", \"c\"]") else {
        panic!()
    };
    assert_eq!((add.keep_git_dir, add.unpack, add.paths.json), (Some(false), Some(true), true));
    assert_eq!(add.checksum.unwrap().value, "");
    assert_eq!(add.paths.dest.value, "c");
}

#[test]
fn heredocs() {
    for (text, expected) in [
        ("RUN <<EOF\na\nEOF", vec![("EOF", true, false, "a\n")]),
        ("RUN <<'EOF'\nEOF", vec![("EOF", false, false, "")]),
        ("RUN <<E\"O\"F\nEOF", vec![("EOF", false, false, "")]),
        ("RUN <<eo\\'f\neo'f", vec![("eo'f", true, false, "")]),
        ("RUN <<-EOF\n\ta\n\tEOF", vec![("EOF", true, true, "\ta\n")]),
        ("RUN <<  EOF  > foo\nEOF", vec![("EOF", true, false, "")]),
        ("RUN <<$EOF\n$EOF", vec![("$EOF", true, false, "")]),
        ("RUN <<'one two'\none two", vec![("one two", false, false, "")]),
        ("RUN cat <<A 3<<B\nB\nA\nA\nB", vec![("A", true, false, "B\n"), ("B", true, false, "A\n")]),
        ("RUN \"<<EOF\"", vec![]),
        ("RUN [\"<<EOF\"]", vec![]),
        ("RUN <<<x", vec![]),
        ("RUN a<<x", vec![]),
        ("RUN $((1<<2))", vec![]),
        ("RUN it's <<EOF", vec![]),
        ("RUN ${x <<EOF", vec![]),
        ("RUN \\<<EOF", vec![]),
        ("ONBUILD RUN <<EOF\nx\nEOF", vec![("EOF", true, false, "x\n")]),
        ("ONBUILD CMD <<EOF", vec![]),
        ("CMD <<EOF", vec![]),
        ("COPY <<a <<b /c\n1\na\n2\nb", vec![("a", true, false, "1\n"), ("b", true, false, "2\n")]),
    ] {
        let found = instruction(text).heredocs;
        let found: Vec<_> =
            found.iter().map(|h| (h.name.as_str(), h.expand, h.strip_tabs, h.body.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(error("RUN echo $((1 << 2))\n2"), "unterminated heredoc");
    assert_eq!(error("COPY a <<EOF\nEOF"), "COPY cannot accept a heredoc as a destination");
}

#[test]
fn copied_heredocs() {
    let Kind::Copy(copy) = kind("COPY x <<-a <<a /c\n\t1\na\n\t2\na") else { panic!() };
    let contents = copy.paths.sources.iter().filter_map(|source| match source {
        PathSource::Heredoc { name, content, .. } => Some((name.as_str(), content.as_str())),
        PathSource::Path(_) => None,
    });
    assert_eq!(contents.collect::<Vec<_>>(), [("a", "2\n"), ("a", "\t2\n")], "the last body counts");
}

#[test]
fn invocations() {
    for (text, expected) in [
        ("RUN a b", "a b"),
        ("RUN <<EOF\n a\nEOF", " a\n"),
        ("RUN 3<<-EOF\n\ta\nEOF", "a\n"),
        ("RUN cat <<-EOF\n\ta\n\tEOF", "cat <<-EOF\n\ta\nEOF"),
        ("RUN <<A <<B\na\nA\nb\nB", "<<A <<B\na\nA\nb\nB"),
    ] {
        let instruction = instruction(text);
        let Kind::Run(run) = &instruction.kind else { panic!("{text}") };
        assert_eq!(run.invocation(&instruction.heredocs), Invocation::Shell(expected.into()), "{text}");
    }
    let instruction = instruction("RUN <<-X\n\t#!/bin/awk -f\n\ta\nX");
    let Kind::Run(run) = &instruction.kind else { panic!() };
    let expected = Invocation::Script { name: "X", body: "#!/bin/awk -f\na\n".into() };
    assert_eq!(run.invocation(&instruction.heredocs), expected);
}

#[test]
fn run_flags() {
    let Kind::Run(run) = kind(
        "RUN --mount=type=bind,\"target=/a b\" --mount=Type=cache,ro --network=none --security=insecure \
         --device=a/b=c,required x",
    ) else {
        panic!()
    };
    let fields = |mount: &Mount| -> Vec<(String, Option<String>)> {
        mount.fields.iter().map(|field| (field.key.clone(), field.value.clone())).collect()
    };
    let some = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    assert_eq!(fields(&run.mounts[0]), [some("type", "bind"), some("target", "/a b")]);
    assert_eq!(fields(&run.mounts[1]), [some("type", "cache"), ("ro".to_owned(), None)]);
    assert_eq!(run.network.unwrap().value, Network::None);
    assert_eq!(run.security.unwrap().value, Security::Insecure);
    assert_eq!(run.devices[0].value, Device { name: "a/b=c".to_owned(), required: true });
}

#[test]
fn healthchecks() {
    assert_eq!(kind("HEALTHCHECK --junk none"), Kind::Healthcheck(Healthcheck::None));
    let Kind::Healthcheck(Healthcheck::Cmd { command, timing }) =
        kind("HEALTHCHECK --interval=1m --timeout=0ms --retries=3 CMD  curl  x")
    else {
        panic!()
    };
    assert_eq!(shell(&command), "curl  x");
    assert_eq!(timing, Timing { interval: 60_000_000_000, retries: 3, ..Timing::default() });
}

#[test]
fn triggers() {
    for (text, expected) in [
        ("onbuild  RUN  a  b", "RUN  a  b"),
        ("ONBUILD COPY --x a b", "COPY --x a b"),
        ("ONBUILD RUN \\\n  a", "RUN   a"),
        ("ONBUILD RUN cat <<A\nx\nA", "RUN cat <<A\nx\nA"),
        ("ONBUILD NONSENSE", "NONSENSE"),
    ] {
        assert_eq!(kind(text), Kind::Onbuild(Onbuild { trigger: expected.to_owned() }), "{text}");
    }
}

/// Messages of BuildKit's, case by case.
#[test]
fn errors() {
    for (text, message) in [
        (
            "ADD",
            "ADD requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        (
            "COPY --x a",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
        ("COPY --doit=true -- foo /tmp/", "unknown flag: --doit"),
        ("CMD --doit [ \"a\", \"b\" ]", "unknown flag: --doit"),
        ("MAINTAINER --boo joe", "unknown flag: --boo"),
        ("COPY --chown a b", "missing a value on flag: --chown"),
        ("COPY --link= a b", "missing a value on flag: --link"),
        ("COPY --link=x a b", "expecting boolean value for flag --link, not: x"),
        ("COPY --chmod=1 --chmod=2 a b", "duplicate flag specified: --chmod"),
        ("COPY --Link a b", "unknown flag: --Link (did you mean link?)"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ("VOLUME [\"a\", \" \"]", "VOLUME specified can not be an empty string"),
        ("ENV", "ENV requires at least one argument"),
        ("LABEL", "LABEL requires at least one argument"),
        ("ARG", "ARG requires at least one argument"),
        ("ARG =x", "ARG names can not be blank"),
        ("ENV =x", "ENV names can not be blank"),
        ("ENV PATH", "ENV must have two arguments"),
        ("LABEL a", "LABEL must have two arguments"),
        ("ENV a=b c", "Syntax error - can't find = in \"c\". Must be of the form: name=value"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("USER", "USER requires exactly one argument"),
        ("STOPSIGNAL --x", "STOPSIGNAL requires exactly one argument"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument"),
        (
            "CMD [ \"echo\", [ \"nested\" ] ]",
            "when using JSON array syntax, arrays must be comprised of strings only",
        ),
        ("COPY [\"a\", null]", "when using JSON array syntax, arrays must be comprised of strings only"),
        ("ONBUILD CMD [1]", "when using JSON array syntax, arrays must be comprised of strings only"),
        ("SHELL a b", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("SHELL", "SHELL requires at least one argument"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK CMD []", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK connect TCP 7000", "Unknown type \"CONNECT\" in HEALTHCHECK (try CMD)"),
        ("HEALTHCHECK --interval=50ns CMD x", "Interval \"interval\" cannot be less than 1ms"),
        ("HEALTHCHECK --start-period=-1s CMD x", "Interval \"start-period\" cannot be less than 1ms"),
        ("HEALTHCHECK --timeout=5 CMD x", "time: missing unit in duration \"5\""),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --retries=x CMD x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        (
            "HEALTHCHECK --retries=2147483648 CMD x",
            "strconv.ParseInt: parsing \"2147483648\": value out of range",
        ),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD onbuild RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ("ONBUILD --x RUN x", "unknown flag: --x"),
        ("FNTRYPOINT x", "unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)"),
        ("coyp a b", "unknown instruction: coyp (did you mean copy?)"),
        ("\\", "unknown instruction: "),
        ("USER <<INVALID\nINVALID", "dockerfile parse error on line 3: unknown instruction: INVALID"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a IS b", "FROM requires either one or three arguments"),
        (
            "FROM a AS 1b",
            "invalid name for build stage: \"1b\", name can't start with a number or contain symbols",
        ),
        ("RUN --network=x y", "invalid network mode \"x\""),
        ("RUN --security=x y", "security \"x\" is not valid"),
        ("RUN --mount y", "missing a value on flag: --mount"),
        ("RUN --mount= y", "failed to parse csv mounts: EOF"),
        (
            "RUN --mount=a\\\"b y",
            "failed to parse csv mounts: parse error on line 1, column 2: bare \" in non-quoted-field",
        ),
        (
            "RUN --mount=from=$X,target=/a y",
            "'from' doesn't support variable expansion, define alias stage instead",
        ),
        ("RUN --device=a,b y", "invalid field 'b' must be a key=value pair"),
        ("RUN --device=a,reqired=1 y", "unexpected key 'reqired' in 'reqired=1' (did you mean required?)"),
        ("RUN --device=a,required=x y", "invalid value for required: x"),
    ] {
        assert_eq!(error(text), message, "{text}");
    }
    assert!(matches!(kind("RUN --mount=from=a$ x"), Kind::Run(_)), "a $ at the end is no variable");
}

#[test]
fn deep_nesting_ends() {
    let braces = format!("RUN <<A {}\nA", "${a:-".repeat(100_000));
    assert_eq!(parse(format!("FROM x\n{braces}").as_bytes()).errors.len(), 1, "A is an instruction then");
    let brackets = format!("FROM x\nCMD {}", "[".repeat(60_000));
    assert_eq!(parse(brackets.as_bytes()).errors, []);
    let triggers = format!("FROM x\n{}RUN x", "ONBUILD \\\n".repeat(50_000));
    assert_eq!(parse(triggers.as_bytes()).errors.len(), 1);
}

#[test]
fn flags_and_blanks() {
    let target = |text: &str| {
        let Kind::Run(run) = kind(text) else { panic!("{text}") };
        let target = run.mounts.first().and_then(|mount| mount.fields.last()?.value.clone());
        (target, shell(&run.command).to_owned())
    };
    for (text, mount, command) in [
        ("RUN --mount=type=bind,target=\"/a b\" cat \"/a b\"", Some("/a b"), "cat \"/a b\""),
        ("RUN --mount=type=bind,target=/b\\ c  --network=\"none\" x", Some("/b c"), "x"),
        ("RUN \t--mount=target='/\u{e9}' \t x  y \t", Some("/\u{e9}"), "x  y"),
        ("RUN '--mount=target=/x' && y", None, "'--mount=target=/x' && y"),
        ("RUN -- --mount=target=/x", None, "--mount=target=/x"),
        ("RUN \\<\\<NO '<<NO'", None, "\\<\\<NO '<<NO'"),
    ] {
        assert_eq!(target(text), (mount.map(str::to_owned), command.to_owned()), "{text}");
    }
    let Kind::Expose(expose) = kind("\tEXPOSE\t2\t1   3 ") else { panic!() };
    let ports: Vec<_> = expose.ports.iter().map(|port| port.as_str()).collect();
    assert_eq!(ports, ["2", "1", "3"], "in the order written");
}
