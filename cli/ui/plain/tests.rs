use rbuild_parser::source::LineRange;

use super::*;

fn info(title: &str) -> StepInfo {
    StepInfo {
        stage: "build".into(),
        platform: "linux/amd64".into(),
        title: title.into(),
        instruction: "RUN x".into(),
        lines: LineRange::line(2),
    }
}

/// What the view writes; times are replaced, since they are never the same.
fn written(events: impl FnOnce(&Plain<&mut Vec<u8>>)) -> String {
    let mut out = Vec::new();
    events(&Plain::new(&mut out, Some(100), Style::new(false)));
    let text = String::from_utf8(out).expect("text");
    let words = text.split(' ').map(|w| if w.len() == 5 && w.starts_with("0.") { "TIME" } else { w });
    words.collect::<Vec<_>>().join(" ")
}

fn log(step: usize, text: &str) -> Event<'_> {
    Event::Log { step, bytes: text.as_bytes() }
}

#[test]
fn steps_take_turns() {
    let steps = [info("[build 1/3] RUN a"), info("[build 2/3] RUN b"), info("[build 3/3] RUN c")];
    let text = written(|view| {
        view.on(Event::Planned(&steps));
        view.on(Event::Cached(0));
        view.on(Event::Started(1));
        view.on(log(1, "one\ntw"));
        view.on(Event::Started(2));
        view.on(log(2, "three\n"));
        view.on(log(1, "o\n"));
        view.on(log(1, "rest"));
        view.on(Event::Done { step: 1, duration: Duration::from_millis(1260) });
        view.on(Event::Done { step: 2, duration: Duration::from_millis(40) });
    });
    assert_eq!(
        text,
        "#1 [build 1/3] RUN a\n#1 CACHED\n\n\
         #2 [build 2/3] RUN b\n#2 TIME one\n\n\
         #3 [build 3/3] RUN c\n#3 TIME three\n\n\
         #2 [build 2/3] RUN b\n#2 TIME two\n#2 TIME rest\n#2 DONE 1.3s\n\n\
         #3 [build 3/3] RUN c\n#3 DONE 0.0s\n\n"
    );
}

#[test]
fn a_failure_repeats_the_output_before_the_error() {
    let steps = [info("[build 1/1] RUN a")];
    let text = written(|view| {
        view.on(Event::Planned(&steps));
        view.on(Event::Started(0));
        view.on(log(0, "broken"));
        view.on(Event::Failed { step: 0, duration: Duration::from_secs(2) });
        view.failed(&Report {
            step: Some(("[build 1/1] RUN a".into(), b"broken\n".to_vec())),
            ..Report::new("exit code: 1")
        });
    });
    assert_eq!(
        text,
        "#1 [build 1/1] RUN a\n#1 TIME broken\n#1 ERROR after 2.0s\n\n\
         ------\n > [build 1/1] RUN a:\nbroken\n------\nERROR: failed to solve: exit code: 1\n"
    );
}

#[test]
fn a_step_that_says_very_much_is_clipped_once() {
    let steps = [info("RUN yes"), info("RUN no")];
    let text = written(|view| {
        view.on(Event::Planned(&steps));
        view.on(Event::Started(0));
        for _ in 0..1000 {
            view.on(log(0, "yes yes yes\n"));
        }
        view.on(Event::Done { step: 0, duration: Duration::ZERO });
        view.on(Event::Started(1));
        view.on(log(1, "no\n"));
        view.on(Event::Done { step: 1, duration: Duration::ZERO });
    });
    assert_eq!(text.matches("yes yes yes").count(), 9, "{text}");
    assert_eq!(text.matches("rbuild logs --step 1 shows all of it").count(), 1, "{text}");
    assert!(text.contains("#2 TIME no\n") && text.contains("#1 DONE"), "{text}");
}
