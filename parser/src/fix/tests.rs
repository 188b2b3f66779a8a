use proptest::prelude::*;

use super::*;
use crate::parse;
use crate::plan::{self, Base, BaseId, BaseRequest, Bases, Config, Options};

/// Every image is there, and empty.
struct AnyImage;

impl Bases for AnyImage {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        let platform = request.platform.to_owned();
        Ok(Base { id: BaseId(0), config: Config::default(), author: None, platform, empty: false })
    }
}

fn options() -> Options {
    Options { build_platform: "linux/amd64".into(), ..Options::default() }
}

/// The file after `--fix`; None if nothing is to be changed.
fn fixed(file: &str) -> Option<String> {
    let parsed = parse(file.as_bytes());
    let checked = plan::check(&parsed.dockerfile, &options(), &mut AnyImage);
    fix(file.as_bytes(), &checked.warnings).map(|fixed| fixed.text)
}

#[test]
fn writes_what_there_is_one_way_to_write() {
    for (before, after) in [
        ("FROM a\nrun x\n", "FROM a\nRUN x\n"),
        ("from a\nRun x\ncopy b c\n", "from a\nrun x\ncopy b c\n"),
        ("FROM a as b\n", "FROM a AS b\n"),
        ("from a AS b\nRUN x\nRUN y\n", "FROM a AS b\nRUN x\nRUN y\n"),
        ("from a as b\nRUN x\nRUN y\n", "FROM a AS b\nRUN x\nRUN y\n"),
        (
            "FROM a AS Bin\nFROM Bin\nCOPY --from=BIN /a /b\nRUN --mount=type=bind,from=Bin,target=/x y Bin\n",
            "FROM a AS bin\nFROM bin\nCOPY --from=bin /a /b\nRUN --mount=type=bind,from=bin,target=/x y Bin\n",
        ),
        ("FROM a\nENV b c\n", "FROM a\nENV b=c\n"),
        ("FROM a\nENV b   c  d \nLABEL e \"f g\"\n", "FROM a\nENV b=\"c  d\" \nLABEL e \"f g\"\n"),
        ("FROM a\nLABEL e 'f'\n", "FROM a\nLABEL e='f'\n"),
        ("FROM a\nENV b \\\n  c d\\\n e\n", "FROM a\nENV b=\"c d\\\n e\"\n"),
        (
            "FROM a\nMAINTAINER A \"B\" $5 <a@b>\n",
            "FROM a\nLABEL org.opencontainers.image.authors=\"A \\\"B\\\" \\$5 <a@b>\"\n",
        ),
        ("FROM a\nEXPOSE 80/TCP $x 1-2/Udp\n", "FROM a\nEXPOSE 80/tcp $x 1-2/udp\n"),
        ("FROM a\r\nRUN a \\\r\n\r\n # c\r\n\t\r\n  b\r\n", "FROM a\r\nRUN a \\\r\n # c\r\n  b\r\n"),
        ("FROM a\nRUN a \\\n\n <<E\n\nE\n", "FROM a\nRUN a \\\n <<E\n\nE\n"),
        ("FROM --platform=$TARGETPLATFORM  a\n", "FROM a\n"),
        ("FROM --platform=${TARGETPLATFORM} a AS b\n", "FROM a AS b\n"),
        (
            "FROM a\nCMD python3 -m http.server  80\n",
            "FROM a\nCMD [\"python3\", \"-m\", \"http.server\", \"80\"]\n",
        ),
        ("\u{feff}FROM a\nrun x", "\u{feff}FROM a\nRUN x"),
    ] {
        assert_eq!(fixed(before).as_deref(), Some(after), "{before:?}");
    }
}

#[test]
fn leaves_what_there_is_a_choice_in() {
    for file in [
        "FROM a\nRUN b\n",
        "FROM a\nLABEL e \"f g\"\n",
        "FROM a\nENV b c\\ d\n",
        "FROM a\nENV b \\\n# why\n c\n",
        "FROM a\nCMD x $y\n",
        "FROM a\nCMD x && y\n",
        "FROM a\nCMD exec x\n",
        "FROM a\nCMD X=1 y\n",
        "FROM a\nENTRYPOINT x y\nCMD a\n",
        "# check=skip=all\nFROM a\nrun x\nMAINTAINER y\n",
        "FROM a\n# check=skip=MaintainerDeprecated\nMAINTAINER y\n",
        "FROM a\nFROOM b\n",
    ] {
        assert_eq!(fixed(file), None, "{file:?}");
    }
}

/// What comes out of a build, but for what a fix is meant to change.
fn outcome(file: &str) -> Option<serde_json::Value> {
    let parsed = parse(file.as_bytes());
    let plan = plan::plan(&parsed.dockerfile, &options(), &mut AnyImage).ok()?.plan;
    let mut target = serde_json::to_value(&plan.target).expect("a plan is plain data");
    for meant in ["author", "history"] {
        target.as_object_mut().expect("an object").remove(meant);
    }
    let config = target["config"].as_object_mut().expect("an object");
    for meant in ["cmd", "entrypoint", "args_escaped"] {
        config.remove(meant);
    }
    let labels = config["labels"].as_object_mut().expect("an object");
    labels.remove("org.opencontainers.image.authors");
    let steps: Vec<_> = plan.steps.iter().map(|step| (&step.op, &step.parent, &step.stage)).collect();
    Some(serde_json::json!([target, steps]))
}

fn line() -> impl Strategy<Value = String> {
    let parts =
        ["a", "B", "$v", "\"x y\"", "'z'", "\\ ", " ", "  ", "=", "80/TCP", "\\\n", "\\\n\n ", "# ", "é"];
    let keywords = [
        "RUN",
        "run",
        "Env",
        "ENV",
        "LABEL",
        "CMD",
        "cmd",
        "ENTRYPOINT",
        "EXPOSE",
        "MAINTAINER",
        "maintainer",
        "COPY --from=One",
        "WORKDIR",
        "FROM",
        "ONBUILD ENV",
        "RUN --mount=from=ONE,target=/x",
    ];
    let words = prop::collection::vec(prop::sample::select(parts.to_vec()), 1..6);
    (prop::sample::select(keywords.to_vec()), words)
        .prop_map(|(keyword, words)| format!("{keyword} {}", words.concat()))
}

proptest! {
    #[test]
    fn fixing_changes_no_build_and_needs_no_second_time(lines in prop::collection::vec(line(), 1..7)) {
        let file = format!("FROM --platform=$TARGETPLATFORM x as One\n{}\n", lines.join("\n"));
        if let Some(after) = fixed(&file) {
            prop_assert_eq!(parse(after.as_bytes()).errors, []);
            prop_assert_eq!(outcome(&file), outcome(&after), "{:?}", after);
            prop_assert_eq!(fixed(&after), None, "{:?}", after);
        }
    }
}
