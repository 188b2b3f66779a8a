use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::Value;

use super::*;
use crate::parse;

/// The tree without what is only about layout.
fn essence(file: &Dockerfile) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for layout in ["span", "lines", "text", "empty_continuation"] {
                    // The fields of a mount have a `text`, too, which is no layout, but they also say it in
                    // `key` and `value`.
                    members.remove(layout);
                }
                members.values_mut().for_each(strip);
            }
            Value::Array(elements) => elements.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(file).unwrap();
    strip(&mut value);
    value
}

/// Prints and parses again. False if the file has errors.
fn survives(file: &str) -> bool {
    let before = parse(file.as_bytes());
    if !before.errors.is_empty() {
        return false;
    }
    let printed = print(&before.dockerfile);
    let after = parse(printed.as_bytes());
    assert_eq!(after.errors, [], "{file:?} printed as {printed:?}");
    assert_eq!(essence(&after.dockerfile), essence(&before.dockerfile), "{file:?} printed as {printed:?}");
    assert_eq!(print(&after.dockerfile), printed, "printing again changes nothing");
    true
}

#[test]
fn prints_every_instruction() {
    let file = "# escape=\\\n\nARG A=1 B\n# the base\nFROM --platform=\"a b\" x AS y\n\
        RUN --mount=type=bind,\"target=/a,b\" --network=none --security=sandbox --device=a/b,required cat <<-X <<'Y'\n\tx\nX\ny\nY\n\
        RUN [\"a\", \"b\\\"\"]\nCMD\nCMD []\nENTRYPOINT -- --x\n\
        COPY --from=y --chown='a\"b' --link=false --parents --exclude=*.o a <<Z b/\nz\nZ\n\
        ADD --keep-git-dir --checksum=x --unpack=false [\"a b\", \"c\"]\n\
        ENV a=b \"c d\"='e f'\nENV a b  c\nLABEL x=\"y z\"\nEXPOSE 80 81/udp\nVOLUME /a /b\nVOLUME [\"/a\"]\n\
        USER a b\nWORKDIR /a b\nSTOPSIGNAL 9\nSHELL [\"a\"]\nMAINTAINER me\n\
        HEALTHCHECK NONE\nHEALTHCHECK --interval=1m --timeout=2s --start-period=3s --start-interval=4s --retries=5 CMD [\"a\"]\n\
        ONBUILD RUN cat <<A\na\nA\nONBUILD COPY --x  a b\nonbuild CMD x\n";
    assert!(survives(file));
}

#[test]
fn prints_oddities() {
    for file in [
        "FROM x\nRUN a\\\u{b}\n",
        "FROM x\nCOPY [\"a\",\u{b}\"b\"] c\n",
        "FROM x\nRUN a\\\\\n",
        "# escape=`\nFROM x\nRUN a\\\nCOPY --chown=\"a ``\" b c\n",
        "FROM x\n# escape=`\nRUN a\n",
        "# comment\n# escape=`\nFROM x\n",
        "#!/bin/sh\n# syntax=x\nFROM x\n",
        "FROM x\nRUN --mount=\\\"\\\" a\n",
        "FROM x\nENV a=b\\",
        "FROM x\nENV a=b\\ \\ \n",
        "FROM x\nRUN -- -- x\n",
        "FROM x\nCOPY a\u{b}<<\u{b}b /c\n",
        "FROM x\nCOPY << a\nb\na\n",
        "FROM x\nADD 1<<-\u{b}b c\u{b}/d\n",
    ] {
        assert!(survives(file), "{file:?} has no errors");
    }
    let long = format!("FROM x\nRUN {}{}", "echo # word\\ \\\n".repeat(20_000), "x".repeat(65_000));
    assert!(survives(&long));
}

/// Words with everything that is special somewhere.
fn word() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "a",
            "b",
            "/",
            "é",
            "'x y'",
            "\"x \\\" y\"",
            "$v",
            "${v:-w}",
            "\\\\",
            "#",
            ",",
            "-",
            "\\ ",
        ]),
        1..5,
    )
    .prop_map(|parts| parts.concat())
}

/// A line of one instruction.
fn line() -> impl Strategy<Value = String> {
    (0..16, word(), word(), word(), any::<bool>()).prop_map(|(kind, a, b, c, more)| {
        let more = if more { " \\\n# c\n\n  " } else { " " };
        match kind {
            0 => format!("FROM {a}{more}AS n"),
            1 => format!("RUN {a}{more}{b}"),
            2 => format!("RUN --mount=type=cache,target=/x --network=host{more}{b}"),
            3 => format!("RUN cat <<-E{more}<<'F'\n\t{a}\n\tE\n{b}\n# {c}\\\nF"),
            4 => format!("COPY --chown=u:{a}{more}{b} {c}"),
            5 => format!("COPY <<E{more}/x\n{a}\n{b}\\\nE"),
            6 => format!("ENV x={a}{more}y={b} z={c}"),
            7 => format!("ENV x{more}{a} {b}"),
            8 => format!("ARG x={a} y{more}z={b}"),
            9 => format!("# {a}\nLABEL q{a}={b}"),
            10 => format!("CMD [\"x\",{more}\"y\"]"),
            11 => format!("ENTRYPOINT {a}{more}{b}"),
            12 => format!("ONBUILD RUN {a}{more}<<E\n{b}\nE"),
            13 => format!("VOLUME {a}{more}{b}"),
            14 => format!("HEALTHCHECK --interval=90s{more}CMD {a}"),
            _ => format!("WORKDIR {a}{more}{b}"),
        }
    })
}

proptest! {
    #[test]
    fn printing_and_parsing_is_the_identity(lines in prop::collection::vec(line(), 0..8)) {
        let file = format!("FROM x\n{}\n", lines.join("\n"));
        survives(&file);
    }

    #[test]
    fn so_it_is_for_wild_text(text in crate::parse::tests::pieces()) {
        survives(&format!("FROM x\nRUN {text}\n"));
        survives(&format!("FROM x\nENV a={text}\n"));
        survives(&format!("FROM x\nCOPY {text}\n"));
    }
}

/// The property above would also hold if nothing that it tries could be parsed.
#[test]
fn most_generated_files_are_valid() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let valid = (0..200).filter(|_| {
        let line = line().new_tree(&mut runner).unwrap().current();
        survives(&format!("FROM x\n{line}\n"))
    });
    assert!(valid.count() > 100);
}
