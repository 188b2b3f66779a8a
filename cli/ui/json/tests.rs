use rbuild_parser::lint::{Rule, Warning};
use rbuild_parser::source::LineRange;

use super::*;

fn objects(events: impl FnOnce(&Json<&mut Vec<u8>>)) -> Vec<Value> {
    let mut out = Vec::new();
    events(&Json::new(&mut out));
    let text = String::from_utf8(out).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is an object")).collect()
}

fn steps() -> [StepInfo; 1] {
    [StepInfo {
        stage: "build".into(),
        platform: "linux/amd64".into(),
        title: "[build 1/1] RUN make".into(),
        instruction: "RUN make".into(),
        lines: LineRange::line(3),
    }]
}

#[test]
fn every_step_ends_with_its_object() {
    for (event, status, duration) in [
        (Event::Done { step: 0, duration: Duration::from_millis(1500) }, "done", 1.5),
        (Event::Cached(0), "cached", 0.0),
        (Event::Failed { step: 0, duration: Duration::from_millis(250) }, "failed", 0.25),
        (Event::Cancelled(0), "canceled", 0.0),
    ] {
        let got = objects(|view| {
            view.on(Event::Planned(&steps()));
            view.on(event);
        });
        let plan = json!({"step": 0, "stage": "build", "platform": "linux/amd64", "title": "[build 1/1] RUN make", "instruction": "RUN make",
                          "line": 3});
        assert_eq!(got[0], json!({"type": "plan", "steps": [plan]}));
        assert_eq!(
            got[1],
            json!({"type": "step", "step": 0, "stage": "build", "platform": "linux/amd64", "title": "[build 1/1] RUN make",
                   "instruction": "RUN make", "line": 3, "status": status, "duration": duration})
        );
        assert_eq!(got.len(), 2);
    }
}

#[test]
fn logs_are_whole_lines_and_come_before_the_end() {
    let log = |bytes| Event::Log { step: 0, bytes };
    let got = objects(|view| {
        view.on(Event::Planned(&steps()));
        view.on(Event::Started(0));
        view.on(log(b"a\nb\nc"));
        view.on(log(b"\xffx\nd"));
        view.on(Event::Done { step: 0, duration: Duration::ZERO });
    });
    let logs: Vec<_> = got.iter().filter(|o| o["type"] == "log").collect();
    let texts: Vec<_> = logs.iter().map(|o| o["text"].as_str()).collect();
    assert_eq!(texts, [Some("a\nb"), Some("c\u{fffd}x"), Some("d")]);
    assert!(logs.iter().all(|o| o["step"] == 0 && o["time"].is_number()));
    assert_eq!(got[1]["type"], "start");
    assert_eq!(got.last().map(|o| &o["type"]), Some(&json!("step")));
}

#[test]
fn the_rest() {
    let lines = LineRange { first: 1, last: 2 };
    let warning = Warning { rule: Rule::StageNameCasing, message: "m".into(), lines };
    let got = objects(|view| {
        view.on(Event::Warning(&warning));
        view.on(Event::Exporting { what: "docker archive to a.tar" });
        view.on(Event::Exported { what: "docker archive to a.tar", duration: Duration::from_secs(1) });
        view.failed(&Report::new("no"));
    });
    assert_eq!(
        got,
        [
            json!({"type": "warning", "rule": "StageNameCasing", "message": "m", "line": 1, "end_line": 2}),
            json!({"type": "export", "what": "docker archive to a.tar"}),
            json!({"type": "exported", "what": "docker archive to a.tar", "duration": 1.0}),
            json!({"type": "error", "message": "failed to solve: no"}),
        ]
    );
}
