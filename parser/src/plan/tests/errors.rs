use super::*;

#[test]
fn messages_and_lines() {
    let table: &[(&str, &str, Option<u32>)] = &[
        ("FROM busybox AS a\nFROM a\nCOPY --from=9 x /", "invalid stage index 9", None),
        ("FROM busybox\nRUN --mount=target=/ true", "invalid mount target \"/\"", Some(2)),
        (
            "FROM busybox\nWORKDIR /w\nRUN --mount=size=1,target=/x true",
            "unexpected key 'size' for mount type 'bind'",
            Some(3),
        ),
        (
            "FROM busybox\nRUN --mount=type=tmpfs,mode=1,target=/x true",
            "mode not allowed for \"tmpfs\" type mounts",
            Some(2),
        ),
        (
            "FROM busybox\nRUN --mount=type=secret true",
            "invalid secret mount. one of source, target required",
            Some(2),
        ),
        (
            "FROM busybox\nRUN --mount=type=cache,target=/x,sharing=lockd true",
            "unsupported sharing value \"lockd\" (did you mean locked?)",
            Some(2),
        ),
        (
            "FROM busybox\nRUN --mount=oops,target=/x true",
            "invalid field 'oops' must be a key=value pair",
            Some(2),
        ),
        ("FROM busybox\nRUN --mount=target=/x,ro=maybe true", "invalid value for ro: maybe", Some(2)),
        ("FROM busybox\nRUN --mount=type=ssh,source=x true", "ssh does not support source", Some(2)),
        (
            "FROM busybox AS a\nRUN --mount=from=b,target=/x true\nFROM busybox AS b\nFROM a",
            "cannot mount from stage \"b\" to \"/x\", stage needs to be defined before current command",
            Some(2),
        ),
        ("FROM busybox\nRUN []", "arguments are required", Some(2)),
        ("FROM busybox\nCOPY git@h.invalid:x /", "source can't be a git ref for COPY", Some(2)),
        ("FROM busybox\nCOPY --chmod=u~x a /", "invalid syntax", Some(2)),
        (
            "FROM busybox\nADD --checksum=sha256:0 https://x.invalid/f /",
            "invalid checksum digest length",
            Some(2),
        ),
        (
            "FROM busybox\nADD --checksum=md5:00 https://x.invalid/f /",
            "unsupported digest algorithm",
            Some(2),
        ),
        (
            "FROM busybox\nADD --checksum=md5:00 https://x.invalid/f b /",
            "checksum can't be specified for multiple sources",
            Some(2),
        ),
        (
            "FROM busybox AS a\nCOPY --from=b x /\nFROM a AS b\nCOPY x /",
            "circular dependency detected on stage: a",
            Some(2),
        ),
        ("FROM nowhere\nRUN true", "nowhere: failed to resolve source metadata: not found", Some(1)),
        (
            "FROM busybox AS unused\nCOPY --from=bad: x /\nFROM busybox",
            "failed to parse stage name \"bad:\": invalid reference format",
            Some(2),
        ),
        (
            "FROM --platform=$BUILDPLATFROM busybox",
            "empty platform value from expression $BUILDPLATFROM (did you mean BUILDPLATFORM?)",
            Some(1),
        ),
        (
            "FROM bussybox",
            "bussybox: failed to resolve source metadata: not found (did you mean busybox?)",
            Some(1),
        ),
        ("ARG SOURCE_DATE_EPOCH=soon\nFROM busybox", "invalid SOURCE_DATE_EPOCH: soon", None),
        ("ARG A=${B:?no}\nFROM busybox", "failed to process \"${B:?no}\": B: no", Some(1)),
    ];
    for (file, message, line) in table {
        let error = try_plan(file, &options()).map(|_| ()).unwrap_err();
        assert_eq!(error.message, *message, "{file}");
        assert_eq!(error.lines.map(|lines| lines.first), *line, "{file}");
    }
}

#[test]
fn mistakes_that_have_nothing_to_do_with_each_other_are_reported_together() {
    let file =
        "FROM busybox AS a\nEXPOSE abc\nENV a\\\n  b\nFROM a AS Z\nSTOPSIGNAL foo\nRUN true\nENV a=${b:?c}";
    let error = try_plan(file, &options()).map(|_| ()).unwrap_err();
    let all: Vec<_> =
        std::iter::once(&error).chain(&error.others).map(|error| error.message.as_str()).collect();
    let want = ["invalid containerPort: abc", "invalid signal: foo", "failed to process \"${b:?c}\": b: c"];
    assert_eq!(all, want);
    let rules: Vec<_> = error.warnings.iter().map(|warning| warning.rule.name()).collect();
    assert_eq!(rules, ["StageNameCasing"], "what comes after the first is not checked");
    let error = try_plan("FROM nowhere AS a\nFROM a\nEXPOSE x", &options()).map(|_| ()).unwrap_err();
    assert!(error.others.is_empty(), "what builds on a mistake is none");
}

#[test]
fn a_cycle_has_all_of_its_lines() {
    let file = "FROM busybox AS a\nCOPY --from=c / /x\nFROM a AS b\nFROM busybox AS z\nFROM b AS c\nRUN --mount=from=b,target=/x true";
    let error = try_plan(file, &options()).map(|_| ()).unwrap_err();
    let also: Vec<u32> = error.also.iter().map(|lines| lines.first).collect();
    assert_eq!((error.lines.map(|lines| lines.first), &also[..]), (Some(2), &[3, 5, 6][..]));
}

#[test]
fn epochs_that_are_names() {
    use crate::plan::{CopySource, Epoch, epoch};
    let mut options = options();
    options.contexts.insert("src".into(), NamedContext::Folder);
    options.contexts.insert("img".into(), NamedContext::Image("docker-image://busybox".into()));
    options.build_args.insert("V".into(), "2".into());
    let stage = "FROM scratch AS When\nARG V=1 U=https://h/$V\nADD --checksum=sha256:0 $U /\nFROM scratch";
    let read = |value: &str, file: &str| {
        let parsed = crate::parse(format!("ARG SOURCE_DATE_EPOCH={value}\n{file}").as_bytes());
        epoch(&parsed.dockerfile, &options).map_err(|error| error.message)
    };
    assert_eq!(read("", stage), Ok(Epoch::Unset));
    assert_eq!(read("12", stage), Ok(Epoch::Seconds(12)));
    assert_eq!(read("context", stage), Ok(Epoch::Context("context".into())));
    assert_eq!(read("src", stage), Ok(Epoch::Context("src".into())));
    let Ok(Epoch::Added(add)) = read("WHEN", stage) else { panic!("{:?}", read("when", stage)) };
    assert_eq!(add.source, CopySource::Http("https://h/2".into()));
    assert_eq!(add.checksum.as_deref(), Some("sha256:0"));
    for (value, file) in [
        ("img", stage),
        ("x", stage),
        ("when", "FROM busybox AS when\nADD https://h/x /\nFROM scratch"),
        ("when", "FROM scratch AS when\nADD https://h/x https://h/y /\nFROM scratch"),
        ("when", "FROM scratch AS when\nADD https://h/x /\nADD https://h/x /\nFROM scratch"),
        ("when", "FROM scratch AS when\nADD https://h/x /\nENV a=b\nFROM scratch"),
    ] {
        assert_eq!(read(value, file), Err(format!("invalid SOURCE_DATE_EPOCH: {value}")), "{file}");
    }
}

#[test]
fn unneeded_stages_cannot_fail() {
    for file in [
        "FROM nowhere AS unused\nCOPY https://x/ y\nFROM busybox",
        "FROM busybox AS unused\nENV A=${B:?no}\nFROM busybox",
    ] {
        assert!(planned(file).steps.is_empty());
    }
}

#[test]
fn violations_are_errors_if_asked_for() {
    let error =
        try_plan("# check=error=true\nFROM busybox AS A\nMAINTAINER x", &options()).map(|_| ()).unwrap_err();
    assert_eq!(error.message, "lint violation found for rules: MaintainerDeprecated, StageNameCasing");
    assert_eq!(error.warnings.len(), 2);
}

#[test]
fn too_much_text_is_reported_once() {
    let doubling = "ENV A=$A$A\n".repeat(40);
    let file =
        format!("FROM busybox AS a\nENV A=0123456789\n{doubling}WORKDIR /$A\nLABEL a=$A\nFROM a\nENV b=$A");
    let error = try_plan(&file, &options()).map(|_| ()).unwrap_err();
    assert!(error.message.ends_with("variables expand to too much text"), "{}", error.message.len());
    assert_eq!(error.others.len(), 0);
}

#[test]
fn a_base_that_is_blank_by_default_is_warned_of_too() {
    let error = try_plan("ARG IMAGE\nFROM $IMAGE", &options()).map(|_| ()).unwrap_err();
    assert_eq!(error.message, "base name ($IMAGE) should not be blank");
    let rules: Vec<_> = error.warnings.iter().map(|warning| warning.rule.name()).collect();
    assert_eq!(rules, ["InvalidDefaultArgInFrom"]);
}
