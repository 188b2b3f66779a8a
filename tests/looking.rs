//! Looking at a Dockerfile instead of building it: `--check`, `--fix`, `--print`, `--call`.

use serde_json::{Value, json};

use crate::support::Sandbox;

const UNTIDY: &str = "FROM scratch as Base\ncopy a /\nMAINTAINER me\nENV a b\nCMD x\n";

#[test]
fn checks_and_their_repair() {
    let sandbox = Sandbox::new();
    let json = ["--check", "--format", "json"];
    let found = sandbox.build(UNTIDY, &json).ended_with(1).stdout;
    let found: Value = serde_json::from_str(&found).expect("json");
    let warnings = found["warnings"].as_array().expect("a list");
    let rules: Vec<_> =
        warnings.iter().map(|w| (w["rule"].as_str().expect("a name"), w["line"].clone())).collect();
    let want = [
        ("FromAsCasing", 1),
        ("StageNameCasing", 1),
        ("ConsistentInstructionCasing", 2),
        ("MaintainerDeprecated", 3),
        ("LegacyKeyValueFormat", 4),
        ("JSONArgsRecommended", 5),
    ];
    assert_eq!(rules, want.map(|(rule, line)| (rule, json!(line))));

    let text = sandbox.build(UNTIDY, &["--check"]).ended_with(1).stdout;
    for part in [
        "WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/\n\
         Stage name 'Base' should be lowercase\nDockerfile:1\n--------------------\n   1 | >>> FROM scratch as Base\n",
        "6 warnings have been found!",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert_eq!(sandbox.build(UNTIDY, &["--call", "check,format=json"]).ended_with(1).stdout, {
        sandbox.build(UNTIDY, &json).stdout
    });
    sandbox.build(UNTIDY, &["--call", "check,ignorestatus"]).succeeded();

    sandbox.build(UNTIDY, &["--check", "--fix"]).succeeded();
    let fixed = std::fs::read_to_string(sandbox.path("Dockerfile")).expect("the file");
    assert!(fixed.starts_with("FROM scratch AS base\nCOPY a /\n"), "{fixed}");
    assert!(fixed.contains("ENV a=b\n"), "{fixed}");
    sandbox.build("FROM scratch\nLABEL a=b\n", &["--check"]).succeeded();

    let broken = "FROM scratch as x\nCOPY --frm=y a b\n";
    let outcome = sandbox.build(broken, &["--check"]).ended_with(1).stdout;
    for part in ["WARNING: FromAsCasing", "Dockerfile:2", "unknown flag: --frm"] {
        assert!(outcome.contains(part), "{part}\n{outcome}");
    }
}

#[test]
fn several_mistakes_are_reported_together() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.build("FROM scratch\nCOPY --frm=x a b\nRUNN x\nENV\n", &[]).ended_with(1);
    let outcome =
        outcome.saying("unknown flag: --frm").saying("unknown instruction: RUNN (did you mean RUN?)");
    outcome.saying("ENV requires at least one argument").saying("Dockerfile:2").saying("Dockerfile:4");

    let outcome = sandbox.build("FROM scratch\nEXPOSE abc\nLABEL a=b\nSTOPSIGNAL foo\n", &[]).ended_with(1);
    let outcome = outcome.saying("invalid containerPort: abc").saying("invalid signal: foo");
    outcome.saying("Dockerfile:2").saying("Dockerfile:4");
}

#[test]
fn a_cycle_is_marked_as_a_whole() {
    let sandbox = Sandbox::new();
    let cycle =
        "FROM scratch AS a\nCOPY --from=c / /x\nFROM a AS b\nLABEL x=y\nFROM b AS c\nCOPY --from=b / /\n";
    let outcome = sandbox.build(cycle, &[]).ended_with(1).saying("circular dependency detected on stage: a");
    let marked: Vec<&str> =
        outcome.stderr.lines().filter_map(|line| line.split_once(">>> ")).map(|(_, text)| text).collect();
    assert_eq!(
        marked,
        ["COPY --from=c / /x", "FROM a AS b", "FROM b AS c", "COPY --from=b / /"],
        "{outcome}"
    );
    let outcome = sandbox.build(cycle, &["--progress=json"]).ended_with(1);
    let error = outcome.events().pop().expect("an event");
    assert_eq!(
        (&error["line"], &error["also"][2]),
        (&json!(2), &json!({"line": 6, "end_line": 6})),
        "{outcome}"
    );
}

#[test]
fn drawings_and_trees() {
    let sandbox = Sandbox::with_busybox();
    let dockerfile = "FROM busybox AS base\nRUN echo one\nFROM base\nCOPY --from=base /etc /e\n";
    let print = |form: &str| sandbox.build(dockerfile, &["--print", form]).succeeded().stdout;
    let graph = print("graph");
    assert!(graph.starts_with("digraph"), "{graph}");
    assert!(graph.contains("RUN echo one") && graph.contains("->"), "{graph}");
    let mermaid = print("mermaid");
    assert!(mermaid.starts_with("flowchart") && mermaid.contains("-->"), "{mermaid}");
    let steps: Value = serde_json::from_str(&print("json")).expect("json");
    assert!(steps.to_string().contains("COPY --from=base /etc /e"), "{steps}");
    let tree: Value = serde_json::from_str(&print("ast")).expect("json");
    assert_eq!(tree["stages"].as_array().map(Vec::len), Some(2), "{tree}");
    sandbox
        .build("FROM scratch\nFOO\n", &["--print", "ast"])
        .ended_with(1)
        .saying("unknown instruction: FOO");
}

#[test]
fn outlines_and_targets() {
    let sandbox = Sandbox::new();
    let dockerfile = "ARG V=1\nFROM busybox AS base\n# A first arg\nARG A=x\nRUN --mount=type=secret,id=s,required \
         --mount=type=ssh --mount=type=cache,target=/c true\n# t the thing\nFROM base AS t\nARG V\n";
    let call = |method: &str| {
        sandbox.build(dockerfile, &["--call", method, "--build-arg", "A=y"]).succeeded().stdout
    };
    assert_eq!(
        call("outline"),
        "TARGET:        t\nDESCRIPTION:   the thing\n\nBUILD ARG   VALUE   DESCRIPTION\nA           y       first arg\nV           1       \n\n\
         SECRET   REQUIRED\ns        true\n\nSSH       REQUIRED\ndefault   \n\nCACHE\n/c\n\n"
    );
    assert_eq!(call("targets"), "TARGET        DESCRIPTION\nbase          \nt (default)   the thing\n");
    let outline: Value = serde_json::from_str(&call("outline,format=json")).expect("json");
    assert_eq!(
        (&outline["name"], &outline["args"][0]["name"], &outline["secrets"][0]["required"]),
        (&json!("t"), &json!("A"), &json!(true))
    );
    let targets: Value = serde_json::from_str(&call("targets,format=json")).expect("json");
    assert_eq!(
        (&targets["targets"][0]["base"], &targets["targets"][1]["default"]),
        (&json!("busybox"), &json!(true))
    );
    sandbox.build(dockerfile, &["--call", "dance"]).ended_with(125).saying("dance");
    sandbox
        .build(dockerfile, &["--call", "outline", "--target", "bse"])
        .ended_with(1)
        .saying("did you mean base?");
}
