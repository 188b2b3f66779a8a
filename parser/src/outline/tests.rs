use super::*;
use crate::parse;
use crate::plan::Options;

const FILE: &str = "# GO the version\n# of Go\nARG GO=1.21\nARG UNUSED=1\n# build compiles\nFROM golang:$GO AS build\n\
    # TAGS build tags\nARG TAGS=x OTHER\nARG GO\nRUN --mount=type=cache,target=/root/.cache \\\n \
    --mount=type=secret,id=token,required go build\nFROM busybox AS tool\nARG TOOL=1\n\
    FROM scratch AS Release\nCOPY --from=build /x /y\nRUN --mount=type=ssh y\n";

#[test]
fn lists_targets() {
    let targets = targets(&parse(FILE.as_bytes()).dockerfile);
    assert_eq!(
        targets.to_string(),
        "TARGET              DESCRIPTION\nbuild               compiles\ntool                \nrelease (default)   \n"
    );
    let json = serde_json::to_value(&targets).unwrap();
    assert_eq!(
        json["targets"][0],
        serde_json::json!({"name": "build", "description": "compiles", "base": "golang:$GO",
            "location": {"ranges": [{"start": {"line": 6}, "end": {"line": 6}}]}})
    );
    assert_eq!(
        super::targets(&parse(b"FROM a\n").dockerfile).to_string(),
        "TARGET      DESCRIPTION\n(default)   \n"
    );
}

#[test]
fn finds_what_a_target_takes() {
    let file = parse(FILE.as_bytes()).dockerfile;
    let mut options = Options::default();
    options.build_args.insert("OTHER".into(), "given".into());
    assert_eq!(
        outline(&file, &options).unwrap().to_string(),
        "TARGET:   release\n\n\
         BUILD ARG   VALUE   DESCRIPTION\nGO          1.21    the version\nTAGS        x       build tags\nOTHER       given   \n\n\
         SECRET   REQUIRED\ntoken    true\n\nSSH       REQUIRED\ndefault   \n\nCACHE\n/root/.cache\n\n"
    );
    options.target = Some("tool".into());
    let names = |outline: Outline| outline.args.into_iter().map(|arg| arg.name).collect::<Vec<_>>();
    assert_eq!(names(outline(&file, &options).unwrap()), ["TOOL"]);
    options.target = Some("relase".into());
    let error = outline(&file, &options).unwrap_err();
    assert_eq!(error, "target stage \"relase\" could not be found (did you mean release?)");
}
