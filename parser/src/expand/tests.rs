use std::collections::BTreeMap;

use super::*;

struct Env(BTreeMap<&'static str, &'static str>);

impl Lookup for Env {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).copied()
    }
}

fn env(pairs: &[(&'static str, &'static str)]) -> Env {
    Env(pairs.iter().copied().collect())
}

fn word(env: &Env, text: &str) -> Result<String, String> {
    Expander::new(env, '\\').word(text).map(|e| e.value).map_err(|e| e.to_string())
}

fn check(pairs: &[(&'static str, &'static str)], table: &[(&str, &str)]) {
    let env = env(pairs);
    for (text, expected) in table {
        assert_eq!(word(&env, text).as_deref(), Ok(*expected), "{text}");
    }
}

#[test]
fn quotes_and_escapes() {
    check(
        &[],
        &[
            (r#""double \"inner\" \\ \$A""#, r#"double "inner" \ $A"#),
            (r#"'single \"kept\" $A'"#, r#"single \"kept\" $A"#),
            (r"plain\ space", "plain space"),
            (r"back\\slash", r"back\slash"),
            (r"un\quoted", "unquoted"),
            (r#""tab\tkept""#, r"tab\tkept"),
            (r#"'it'"'"'s'"#, "it's"),
            (r#""a"b'c'd"#, "abcd"),
            ("''", ""),
            (r#"$UNSET"x""#, "x"),
            (r#""\a\b""#, r"\a\b"),
            (r"\$literal", "$literal"),
            (r#""a\'b""#, r"a\'b"),
            (r"'a\'b''", r"a\b"),
            (r"end\", "end"),
            ("<<EOF", "<<EOF"),
        ],
    );
}

#[test]
fn names() {
    check(
        &[("A", "x"), ("ä", "uml")],
        &[
            ("$A-${A}", "x-x"),
            ("[$1][$0][$@][$*][$#][$?][$$][$!][$-]", "[][][][][][][][][]"),
            ("$ x", "$ x"),
            ("$%", "$%"),
            ("a$", "a$"),
            ("$9x", "x"),
            ("$99x", "x"),
            ("$999aaa", "aaa"),
            ("$@tail", "tail"),
            ("$@@@", "@@"),
            ("${1:-one}", "one"),
            ("${@-at}", "at"),
            ("${A}}", "x}"),
            ("$ä", "uml"),
        ],
    );
}

#[test]
fn defaults_and_alternatives() {
    check(
        &[("SET", "v"), ("EMPTY", ""), ("FALL", "back")],
        &[
            ("${SET:-d}${EMPTY:-d}${NO:-d}", "vdd"),
            ("${SET-d}${EMPTY-d}${NO-d}", "vd"),
            ("${SET:+d}|${EMPTY:+d}|${NO:+d}", "d||"),
            ("${SET+d}|${EMPTY+d}|${NO+d}", "d|d|"),
            ("${NO:-${FALL:-never}}", "back"),
            (r#"${NO:-"${FALL} again"}"#, "back again"),
            ("${NO:-a${NO2:-b${FALL}}c}", "abbackc"),
            ("${FALL:+${FALL}-${FALL}}", "back-back"),
            ("${NO:-'$FALL'}", "$FALL"),
            (r"${NO:-\}}", "}"),
            ("${NO:-x}}y", "x}y"),
            (r#"${NO:-"x y"}z"#, "x yz"),
            (r"${NO:-x\ y}", "x y"),
            ("${SET:+'in single'}", "in single"),
            ("${NO:-a/b#c%d}", "a/b#c%d"),
            (r#""${NO:-in "double"}""#, "in double"),
            ("${SET?}${EMPTY?x}${SET:?}", "vv"),
        ],
    );
}

#[test]
fn trimming() {
    check(
        &[
            ("P", "/srv/app/lib/app.tar.gz"),
            ("GLOB", "*."),
            ("STAR", "a*b*c"),
            ("A", "a***yy*"),
            ("W", r"()[]{}^$.*?|\x"),
        ],
        &[
            ("${P#*/}", "srv/app/lib/app.tar.gz"),
            ("${P##*/}", "app.tar.gz"),
            ("${P%/*}", "/srv/app/lib"),
            ("${P%%/*}", ""),
            ("${P%.*}", "/srv/app/lib/app.tar"),
            ("${P%%.*}", "/srv/app/lib/app"),
            ("${P#/srv}", "/app/lib/app.tar.gz"),
            ("${P#nomatch}", "/srv/app/lib/app.tar.gz"),
            ("${P%?z}", "/srv/app/lib/app.tar."),
            ("${P##/???/}", "app/lib/app.tar.gz"),
            ("${P##$GLOB}", "gz"),
            ("${P#}", "/srv/app/lib/app.tar.gz"),
            (r#"${P%""}"#, "/srv/app/lib/app.tar.gz"),
            (r"${STAR#a\*}", "b*c"),
            (r"${STAR%\**}", "a*b"),
            (r"${STAR%%\**}", "a"),
            (r"${A%%\**\*}", "a"),
            ("${A#*}", "a***yy*"),
            (r"${W#()[]{\}^$.\*\?|\\}", "x"),
            ("${NO#x}", ""),
        ],
    );
}

#[test]
fn replacing() {
    check(
        &[
            ("V", "one-two-three"),
            ("URL", "http://host/path"),
            ("DOTS", "a.b.c"),
            ("NEEDLE", "-"),
            ("WITH", "+"),
            ("S", "http://"),
            ("T", "https://"),
        ],
        &[
            ("${V/-/_}", "one_two-three"),
            ("${V//-/_}", "one_two_three"),
            ("${V/t*e/X}", "one-X"),
            ("${V//[/x}", "one-two-three"),
            ("${V/o?e/1}", "1-two-three"),
            (r"${URL/http:\/\//https://}", "https://host/path"),
            (r"${URL//\//|}", "http:||host|path"),
            ("${DOTS//./}", "abc"),
            ("${V/nothing/x}", "one-two-three"),
            ("${V//$NEEDLE/$WITH}", "one+two+three"),
            ("${V/${NEEDLE}two/(${WITH})}", "one(+)-three"),
            ("${URL/$S/$T}", "https://host/path"),
            (r"${DOTS//./\/}", r"a\/b\/c"),
            ("${V///}", "one-two-three"),
            ("${DOTS//*/x}", "x"),
        ],
    );
}

#[test]
fn errors() {
    let env = env(&[("SET", "v"), ("EMPTY", "")]);
    for (text, expected) in [
        ("/${A:=x}", r#"failed to process "/${A:=x}": unsupported modifier (:=) in substitution"#),
        ("${A=x}", r#"failed to process "${A=x}": unsupported modifier (=) in substitution"#),
        ("${A:#x}", r#"failed to process "${A:#x}": unsupported modifier (:#) in substitution"#),
        ("${EMPTY:?}", r#"failed to process "${EMPTY:?}": EMPTY: is not allowed to be empty"#),
        ("${A?}", r#"failed to process "${A?}": A: is not allowed to be unset"#),
        ("${A:?}", r#"failed to process "${A:?}": A: is not allowed to be unset"#),
        (r#""${A:?please pass A}""#, r#"failed to process "\"${A:?please pass A}\"": A: please pass A"#),
        (r#"${A:?"custom error"}"#, r#"failed to process "${A:?\"custom error\"}": A: custom error"#),
        ("${SET:-${UNSET:?msg}}", r#"failed to process "${SET:-${UNSET:?msg}}": UNSET: msg"#),
        ("${B:-x", r#"failed to process "${B:-x": syntax error: missing '}'"#),
        ("${B", "failed to process \"${B\": unsupported modifier (\u{fffd}) in substitution"),
        ("${}", r#"failed to process "${}": syntax error: bad substitution"#),
        ("${{x", r#"failed to process "${{x": syntax error: bad substitution"#),
        ("${SET//ww}", r#"failed to process "${SET//ww}": syntax error: missing '/' in ${}"#),
        ("${SET//}", r#"failed to process "${SET//}": syntax error: missing '/' in ${}"#),
        (
            r#"${SET#\"}"#,
            r#"failed to process "${SET#\\\"}": invalid pattern (\") in substitution: invalid escape '\"'"#,
        ),
        (
            "'open",
            "failed to process \"'open\": unexpected end of statement while looking for matching single-quote",
        ),
        (
            "\"a",
            "failed to process \"\\\"a\": unexpected end of statement while looking for matching double-quote",
        ),
    ] {
        assert_eq!(word(&env, text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn hostile_words_cost_little_or_are_refused() {
    struct Long(String);
    impl Lookup for Long {
        fn get(&self, name: &str) -> Option<&str> {
            (name == "A").then_some(&self.0)
        }
    }
    let long = Long("a".repeat(60_000));
    let expand = |text: &str| {
        let budget = Budget::default();
        let result = Expander::new(&long, '\\').within(&budget).word(text);
        (result.map(|expanded| expanded.value).map_err(|error| error.problem), budget.spent())
    };
    let nested = |levels: usize| format!("{}x{}", "${b:-".repeat(levels), "}".repeat(levels));
    assert_eq!(expand(&nested(60)), (Ok("x".to_owned()), 0));
    assert_eq!(expand(&nested(100_000)).0, Err(Problem::TooDeep));
    assert_eq!(expand(&"${b:-".repeat(100_000)).0, Err(Problem::TooDeep));
    assert_eq!(expand(&"$A".repeat(2_000)).0, Err(Problem::TooMuch));
    assert_eq!(expand("${A//a/$A}").0, Err(Problem::TooMuch));
    // Many stars: the cost is that of one reading for each position of the pattern.
    let (value, cost) = expand(&format!("${{A//{}b/x}}", "*a".repeat(50)));
    assert_eq!(value.as_deref(), Ok(long.0.as_str()));
    assert!(cost < 60_100 * 110, "{cost}");
    let (value, _) = expand("${A//a/bb}");
    assert_eq!(value.map(|value| value.len()), Ok(120_000));
    let many: String = (0..50_000).map(|number| format!("$n{number}")).collect();
    assert_eq!(expand(&many), (Ok(String::new()), 0));
}

#[test]
fn other_escape_and_heredocs() {
    let env = env(&[("name", "world")]);
    let backtick = Expander::new(&env, '`');
    assert_eq!(backtick.word(r"`\go`$x\n").unwrap().value, r"\go$x\n");
    let heredoc = Expander::heredoc(&env);
    for (body, expected) in
        [("Hello '${name}'!\n", "Hello 'world'!\n"), ("\\\n", "\n"), ("\\\\\n", "\\\n"), ("\\$\n", "$\n")]
    {
        assert_eq!(heredoc.word(body).unwrap().value, expected);
    }
}

#[test]
fn words_are_split_after_expansion() {
    let env = env(&[("PORTS", "3000 4000/udp"), ("E", "")]);
    let expander = Expander::new(&env, '\\');
    for (text, expected) in [
        ("$PORTS", &["3000", "4000/udp"][..]),
        ("\"$PORTS\"", &["3000 4000/udp"]),
        ("$E", &[]),
        ("80${X:-81}", &["81"]),
        ("90$X", &["90"]),
        ("a b", &["a", "b"]),
    ] {
        assert_eq!(expander.words(text).unwrap().value, expected, "{text}");
    }
}

#[test]
fn mentions_are_reported() {
    let env = env(&[("A", "1")]);
    let expanded = Expander::new(&env, '\\').word("$A${B:-$C}$A$B").unwrap();
    assert_eq!(expanded.used, ["A"]);
    assert_eq!(expanded.undefined, ["C", "B"]);
}

proptest::proptest! {
    #[test]
    fn any_text_has_a_result(text in "[$A{}:?#%/'\"\\\\*+\\-x\n]{0,24}", value in "[ab/.*\\\\\n]{0,12}") {
        let value: &'static str = Box::leak(value.into_boxed_str());
        let env = env(&[("A", value)]);
        let expander = Expander::new(&env, '\\');
        let word = expander.word(&text);
        let words = expander.words(&text);
        proptest::prop_assert_eq!(word.as_ref().err(), words.as_ref().err());
        if let (Ok(word), Ok(words)) = (word, words) {
            proptest::prop_assert!(words.value.iter().all(|each| word.value.contains(each.as_str())));
        }
        let _ = Expander::heredoc(&env).word(&text);
    }
}
