use serde_json::json;

use super::*;

#[test]
fn equal_images_do_not_differ() {
    let image = json!({
        "os": "linux", "config": {"Cmd": ["a"]}, "layers": [["a", "b"]],
        "history": [{"created_by": "x", "comment": "buildkit.dockerfile.v0"}],
        "rootfs": [{"path": "a", "type": "file", "mode": "0644", "uid": 0, "gid": 0}],
    });
    let mut ours = image.clone();
    ours["history"][0]["comment"] = "rbuild.dockerfile.v0".into();
    ours["layers"][0] = json!(["b", "a"]);
    assert_eq!(images(&image, &ours), Vec::<String>::new());
}

#[test]
fn every_member_is_compared() {
    let image = json!({
        "os": "linux", "architecture": "amd64", "author": "me", "base_layers": 4, "base_history": 6,
        "config": {"Cmd": ["a"]}, "tags": ["x:latest"], "layers": [["a"]], "removed": ["etc/group"],
        "history": [{"created_by": "x"}],
        "rootfs": [{"path": "a", "type": "file", "mode": "0644", "uid": 0, "gid": 0, "mtime": 5, "sha256": "1",
                    "text": "one\ntwo\n"}],
    });
    for (pointer, value, line) in [
        ("/os", json!("windows"), "os: expected"),
        ("/author", json!(null), "author: expected"),
        ("/base_layers", json!(3), "base_layers: expected 4, got 3"),
        ("/config/Cmd", json!(["b"]), "config.Cmd: expected"),
        ("/tags", json!([]), "tags: expected"),
        ("/layers/0", json!(["b"]), "layer +1: missing [\"a\"], unexpected [\"b\"]"),
        ("/layers", json!([]), "layers: expected 1 new, got 0"),
        ("/removed", json!([]), "removed from the base"),
        ("/history/0/created_by", json!("y"), "history +1: expected"),
        ("/history/0/comment", json!("something"), "history +1: expected"),
        ("/rootfs", json!([]), "/a: missing (file 0644 0 0)"),
        ("/rootfs/0/mode", json!("0600"), "/a: mode: expected"),
        ("/rootfs/0/mtime", json!(6), "/a: mtime: expected 5, got 6"),
        ("/rootfs/0/sha256", json!("2"), "/a: content"),
    ] {
        let mut other = image.clone();
        if pointer == "/history/0/comment" {
            other["history"][0]["comment"] = value;
        } else {
            *other.pointer_mut(pointer).unwrap() = value;
        }
        let found = images(&image, &other);
        assert!(found.iter().any(|found| found.starts_with(line)), "{pointer}: {found:?}");
    }
}

#[test]
fn content_is_shown_as_a_diff() {
    let entry = |text: &str| json!([{"path": "f", "type": "file", "sha256": text, "text": text}]);
    let mut out = Vec::new();
    files(list(&entry("a\nb\nc\n")), list(&entry("a\nx\nc\n")), &mut out);
    assert_eq!(out, ["/f: content (- expected, + got):", "  -\"b\"", "  +\"x\""]);
}

#[test]
fn errors_are_found_wherever_they_are_said() {
    let want = json!({"error": {"contains": ["Unknown flag"]}, "line": 3});
    for stderr in [
        "Dockerfile:3\nERROR: unknown flag: --x",
        "dockerfile parse error on line 3: unknown flag",
        r#"{"type":"error","message":"unknown flag: \"x\"","line":3}"#,
    ] {
        assert_eq!(errors(&want, stderr, "Dockerfile"), Vec::<String>::new(), "{stderr}");
    }
    for (stderr, lacking) in [
        ("Dockerfile:30\nunknown flag", "point at line 3"),
        ("Dockerfile:3\nunknown fla", "mention"),
        (r#"{"type":"step","status":"done","line":3}"#, "point at line 3"),
    ] {
        assert!(errors(&want, stderr, "Dockerfile").concat().contains(lacking), "{stderr}");
    }
}

#[test]
fn a_step_that_ran_once_did_not_come_from_the_cache() {
    let event = |status: &str| format!("{{\"type\":\"step\",\"line\":2,\"status\":\"{status}\"}}\n");
    let (cached, run) = (json!({"cached": [[2, "RUN x"]]}), json!({"not_cached": [[2, "RUN x"]]}));
    assert!(steps(&cached, &event("cached")).is_empty());
    assert!(steps(&run, &(event("cached") + &event("done"))).is_empty());
    assert_eq!(steps(&cached, &event("done")), ["line 2 (\"RUN x\"): expected cached, got done"]);
    assert_eq!(steps(&run, ""), ["line 2 (\"RUN x\"): expected not cached, got no event"]);
}

#[test]
fn warnings_are_counted() {
    let list = |lines: &[u64]| lines.iter().map(|line| json!({"rule": "R", "line": line})).collect::<Value>();
    assert!(warnings(&list(&[1, 2, 2]), &list(&[2, 1, 2])).is_empty());
    assert_eq!(
        warnings(&list(&[1, 2]), &list(&[2, 2])),
        ["missing warning \"R\" at line 1", "unexpected warning \"R\" at line 2"]
    );
}
