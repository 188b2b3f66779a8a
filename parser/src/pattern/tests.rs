use super::*;

#[test]
fn globs_match_like_go() {
    for (pattern, path, expected) in [
        ("*", "abc", true),
        ("*", "a/b", false),
        ("a*", "a", true),
        ("a*/b", "abc/b", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("**", "a/b", false),
        ("a?b", "aéb", true),
        ("a?b", "a/b", false),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false),
        ("[^a]", "/", false),
        ("[[]", "[", true),
        ("[!x]", "!", true),
        ("[\\]a]", "]", true),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("*x", "xxx", true),
    ] {
        assert_eq!(path_match(pattern, path.as_bytes()), Ok(expected), "{pattern} {path}");
    }
    for pattern in ["[", "[]a]", "[a", "[-]", "[a-]", "a\\", "[^", "["] {
        assert_eq!(path_match(pattern, b"a"), Err(BadPattern), "{pattern}");
    }
    assert_eq!(path_match("?", b"\xff"), Ok(true));
    for (text, expected) in [("a*", true), ("a\\*", false), ("[", true), ("\\\\?", true), ("plain", false)] {
        assert_eq!(has_wildcard(text), expected, "{text}");
    }
}

fn kept(ignore: &str, paths: &[&str]) -> String {
    let patterns = IgnorePatterns::parse(ignore.as_bytes()).unwrap();
    let kept: Vec<&str> = paths.iter().copied().filter(|path| !patterns.matches(path.as_bytes())).collect();
    kept.join(" ")
}

#[test]
fn ignore_files() {
    let tree =
        ["a", "a/b", "a/b/file", "a/x.txt", "bar", "bay", "foo", "foobar/x", "sub", "sub/foo", "x.txt"];
    for (ignore, expected) in [
        ("ba*\n!bay\n", "a a/b a/b/file a/x.txt bay foo foobar/x sub sub/foo x.txt"),
        ("**\n!a/b/file", "a/b/file"),
        ("*", ""),
        ("**", ""),
        (".", "a a/b a/b/file a/x.txt bar bay foo foobar/x sub sub/foo x.txt"),
        ("", "a a/b a/b/file a/x.txt bar bay foo foobar/x sub sub/foo x.txt"),
        ("a/**", "a bar bay foo foobar/x sub sub/foo x.txt"),
        ("foo**", "a a/b a/b/file a/x.txt bar bay sub sub/foo x.txt"),
        ("**/foo", "a a/b a/b/file a/x.txt bar bay foobar/x sub x.txt"),
        ("**/*.txt", "a a/b a/b/file bar bay foo foobar/x sub sub/foo"),
        ("/a", "bar bay foo foobar/x sub sub/foo x.txt"),
        ("#a\n #a\n  sub  ", "a a/b a/b/file a/x.txt bar bay foo foobar/x x.txt"),
        ("\u{feff}a\r\n! a/b \r\n", "a/b a/b/file bar bay foo foobar/x sub sub/foo x.txt"),
        ("ba[r-x]", "a a/b a/b/file a/x.txt bay foo foobar/x sub sub/foo x.txt"),
        ("ba[^r]", "a a/b a/b/file a/x.txt bar foo foobar/x sub sub/foo x.txt"),
        ("a/*/file", "a a/b a/x.txt bar bay foo foobar/x sub sub/foo x.txt"),
        ("a/**/file", "a a/b a/x.txt bar bay foo foobar/x sub sub/foo x.txt"),
        ("**r/x", "a a/b a/b/file a/x.txt bar bay foo sub sub/foo x.txt"),
        ("x?txt\n../a", "a a/b a/b/file a/x.txt bar bay foo foobar/x sub sub/foo"),
        ("f[*]o", "a a/b a/b/file a/x.txt bar bay foo foobar/x sub sub/foo x.txt"),
    ] {
        assert_eq!(kept(ignore, &tree), expected, "{ignore:?}");
    }
    let deep = ["volume", "volume/oneline.txt", "volume/d/oneline.txt", "volume/other"];
    assert_eq!(kept("volume/\n!**/oneline.txt", &deep), "volume/oneline.txt volume/d/oneline.txt");
    let letters = ["x-a", "x-a/y", "x-a/y-c", "x-c", "d/z-a", "d/z-c"];
    assert_eq!(kept("**/*-a\n!**/*-c", &letters), "x-a/y-c x-c d/z-c");
}

#[test]
fn bad_ignore_files() {
    for (file, expected) in [
        ("a\n!", "illegal exclusion pattern: \"!\""),
        ("a\n! ", "illegal exclusion pattern: \"!\""),
        ("[", "syntax error in pattern: ["),
        ("a\n!b\\", "syntax error in pattern: !b\\"),
    ] {
        assert_eq!(IgnorePatterns::parse(file.as_bytes()).unwrap_err().to_string(), expected, "{file}");
    }
    assert!(IgnorePatterns::parse(b"\xff").is_err());
}

#[test]
fn prunes_only_where_nothing_can_be_kept() {
    for (ignore, dir, expected) in [
        ("*\n!a/b/c", "a", true),
        ("*\n!a/b/c", "a/b", true),
        ("*\n!a/b/c", "b", false),
        ("*\n!a/*/c", "a/x", true),
        ("*\n!a/*/c", "a/x/y", false),
        ("*\n!**/c", "any/where", true),
        ("*\n!a/**", "a/x", true),
        ("*\n!a/**", "b", false),
        ("*\n!a/**/z.txt", "a/q/r", true),
        ("*", "a", false),
    ] {
        let patterns = IgnorePatterns::parse(ignore.as_bytes()).unwrap();
        assert_eq!(patterns.may_keep_below(dir.as_bytes()), expected, "{ignore:?} {dir}");
    }
}

#[test]
fn hostile_patterns_take_polynomial_time() {
    let pattern = "*a".repeat(40) + "b";
    let path = "a".repeat(200);
    assert_eq!(path_match(&pattern, path.as_bytes()), Ok(false));
    let patterns =
        IgnorePatterns::new(["**/".repeat(40).as_str().trim_end_matches('/'), &("**/a*".repeat(30) + "b")])
            .unwrap();
    assert!(patterns.matches(path.as_bytes()));
    assert!(!IgnorePatterns::new([("**/a*".repeat(30) + "b").as_str()]).unwrap().matches(path.as_bytes()));
}

#[test]
fn many_paths_and_patterns_are_cheap() {
    let patterns: Vec<String> = (0..5)
        .flat_map(|n| {
            [format!("dir{n}/sub"), format!("**/*.tmp{n}"), format!("node{n}*/x/**"), format!("*.log{n}")]
        })
        .collect();
    let list = IgnorePatterns::new(patterns.iter().map(String::as_str)).unwrap();
    let start = std::time::Instant::now();
    let ignored = (0..20_000)
        .filter(|n| list.matches(format!("src/module{}/file{n}.tmp{}", n % 100, n % 7).as_bytes()));
    assert_eq!(ignored.count(), 14_286);
    println!("20,000 paths in {:?}", start.elapsed());
}

/// The grammar of `path.Match` without brackets, tried in the most obvious way.
fn naive(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern.first(), path.first()) {
        (None, _) => path.is_empty(),
        (Some(b'*'), next) => {
            naive(&pattern[1..], path) || next.is_some_and(|byte| *byte != b'/' && naive(pattern, &path[1..]))
        }
        (Some(_), None) => false,
        (Some(b'?'), Some(byte)) => *byte != b'/' && naive(&pattern[1..], &path[1..]),
        (Some(literal), Some(byte)) => literal == byte && naive(&pattern[1..], &path[1..]),
    }
}

proptest::proptest! {
    #[test]
    fn globs_agree_with_the_naive_matcher(pattern in "[ab/*?]{0,10}", path in "[ab/]{0,10}") {
        let expected = naive(pattern.as_bytes(), path.as_bytes());
        proptest::prop_assert_eq!(path_match(&pattern, path.as_bytes()), Ok(expected));
    }

    /// What is not entered must not hold anything that would have been kept.
    #[test]
    fn pruning_loses_nothing(patterns in "(!?[ab*?/]{1,5}\n){1,4}", path in "[ab](/[ab]){1,3}") {
        let Ok(patterns) = IgnorePatterns::parse(patterns.as_bytes()) else { return Ok(()) };
        let parents = path.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| &path.as_bytes()[..at]);
        for parent in parents {
            if patterns.matches(parent) && !patterns.may_keep_below(parent) {
                proptest::prop_assert!(patterns.matches(path.as_bytes()), "{:?}", patterns);
            }
        }
    }
}
