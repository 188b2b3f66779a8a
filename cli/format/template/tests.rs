use serde_json::json;

use super::*;

fn render(template: &str) -> Result<String, TemplateError> {
    let data = json!({
        "Id": "sha256:01",
        "Size": 42,
        "RepoTags": ["a:1", "b:2"],
        "Config": {"Env": ["PATH=/bin", "A=b"], "Labels": {"x.y": "z"}, "Cmd": null, "User": ""},
    });
    Template::parse(template)?.render(&data)
}

#[test]
fn what_people_type() {
    for (template, want) in [
        ("{{.Id}}", "sha256:01"),
        ("{{ .Id }} {{.Size}}", "sha256:01 42"),
        ("{{json .RepoTags}}", r#"["a:1","b:2"]"#),
        ("{{.RepoTags}}", "[a:1 b:2]"),
        ("{{.Config.Labels}}", "map[x.y:z]"),
        ("{{index .RepoTags 1}}", "b:2"),
        (r#"{{index .Config.Labels "x.y"}}"#, "z"),
        (r#"{{index .Config.Labels "none"}}"#, "<no value>"),
        ("{{len .RepoTags}}", "2"),
        (r#"{{join .RepoTags ","}}"#, "a:1,b:2"),
        ("{{range .Config.Env}}{{println .}}{{end}}", "PATH=/bin\nA=b\n"),
        ("{{range $i, $e := .Config.Env}}{{$i}}={{$e}};{{end}}", "0=PATH=/bin;1=A=b;"),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        ("{{if .Config.User}}u{{else}}root{{end}}", "root"),
        (r#"{{if eq .Id "sha256:01"}}same{{end}}"#, "same"),
        ("{{.Id | upper}}", "SHA256:01"),
        ("{{(index .RepoTags 0) | json}}", "\"a:1\""),
        ("a {{- .Size -}} b", "a42b"),
        ("{{$.Size}}", "42"),
        ("{{not .Config.User}}", "true"),
    ] {
        assert_eq!(render(template).expect(template), want, "{template}");
    }
}

#[test]
fn mistakes_are_named() {
    for (template, says) in [
        ("{{.Id", "unclosed action"),
        ("{{.Nope}}", "can't evaluate field Nope"),
        ("{{shout .Id}}", "function \"shout\" not defined"),
        ("{{range .RepoTags}}", "missing {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{with .Id}}{{end}}", "{{with}} is not supported"),
        ("{{index .RepoTags 7}}", "out of range"),
        ("{{(.Id}}", "unclosed left paren"),
        ("{{.Id |}}", "missing value"),
        ("{{}}", "missing value"),
    ] {
        let error = render(template).expect_err(template).to_string();
        assert!(error.contains(says), "{template}: {error}");
    }
}
