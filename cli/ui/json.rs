//! `--progress=json` of builds, pulls and pushes: one object a line on standard error.
//!
//! Every object has `type`; members that a reader does not know are to be skipped. Steps have the numbers that
//! `plan` gave them; times are seconds.
//!
//! | `type` | members | when |
//! |---|---|---|
//! | `pull` | `image` | a registry is asked for an image; base images come before the plan, several at once |
//! | `push` | `image` | an image is about to be sent |
//! | `layer` | `image`, `digest`, `size` in bytes, `state`: `waiting`, `exists`, `transferring`, `done`; of a push `exists`, `mounted`, `compressing`, `transferring`, `pushed` | a layer of it got further; while it is being compressed, `digest` is its DiffID and `size` 0 |
//! | `bytes` | `image`, `digest`, `done`, `total` | so much of a layer went over the line; five times a second, and at the end |
//! | `pulled` | `image`, `duration`; of `rbuild pull` also `digest`, `new` | it is in the store |
//! | `pushed` | `image`, `digest` and `size` of its manifest, `sent`: bytes that went over the line, `duration` | the registry has it |
//! | `plan` | `steps`: a list of `{step, stage, platform, title, instruction, line}` | once, before all steps |
//! | `start` | `step`, `stage`, `platform`, `title`, `instruction`, `line` | a step is not in the cache and begins |
//! | `log` | `step`, `time` since the start, `text`: whole lines without the last line end, bytes that are no UTF-8 as U+FFFD | a step wrote something, to standard output or standard error |
//! | `waiting` | the same and `holder`: process id or null; `cache`: its id, where it is one | another rbuild runs the step and its result is awaited, or it has a cache that only one step may use |
//! | `step` | `step`, `stage`, `platform`, `title`, `instruction`, `line`, `status` (`done`, `cached`, `failed`, `canceled`), `duration` | exactly once for each step that came to an end, as the last object about it |
//! | `warning` | `rule`, `message`, `line`, `end_line` | a build check found something |
//! | `notice` | `message`, and `image` if it is about one | something outside of the Dockerfile is not as it should be, and there is a way on |
//! | `cache` | `from`, for people; `state` (`importing`, `imported`, `fetched`); `steps` and `layers`: how many it has; `layer`, `size` in bytes; `duration` | a cache from elsewhere is read, or a layer of it is fetched |
//! | `export` | `what`, for people | a result is being written |
//! | `exported` | `what`, `duration` | it is there |
//! | `error` | `message`, and as far as known `image`, `file`, `line`, `end_line`, `help`; `log`: the end of the failed step's output | last, once for each mistake, if the build or the transfer failed |

use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rbuild_builder::event::{Awaited, CacheEvent, Event, Observer, StepInfo, StepRef};
use serde_json::{Value, json};

use super::log::Lines;
use super::progress::{Progress, lock};
use super::transfer::{self, Bytes};
use super::{Direction, Report};

/// The view.
pub(super) struct Json<W> {
    state: Mutex<State<W>>,
}

struct State<W> {
    out: W,
    steps: Vec<StepInfo>,
    runs: Vec<Run>,
    bytes: Bytes,
}

/// A step that has been heard of.
#[derive(Default)]
struct Run {
    started: Option<Instant>,
    lines: Lines,
}

impl<W: Write> Json<W> {
    /// Objects to `out`.
    pub(super) fn new(out: W) -> Self {
        let state = State { out, steps: Vec::new(), runs: Vec::new(), bytes: Bytes::default() };
        Self { state: Mutex::new(state) }
    }
}

impl<W: Write> State<W> {
    fn write(&mut self, object: &Value) {
        // One write a line, so that lines of several processes do not mix. Nobody is left to be told of a failure.
        let _ = self.out.write_all(format!("{object}\n").as_bytes());
    }

    fn about(&self, step: StepRef, kind: &str) -> Value {
        let mut object = json!({"type": kind, "step": step});
        if let Some(info) = self.steps.get(step) {
            object["stage"] = info.stage.clone().into();
            object["platform"] = info.platform.clone().into();
            object["title"] = info.title.clone().into();
            object["instruction"] = info.instruction.clone().into();
            object["line"] = info.lines.first.into();
        }
        object
    }

    /// One object for the lines that `bytes` complete, or with None for what the end of the step completes.
    fn log(&mut self, step: StepRef, bytes: Option<&[u8]>) {
        let Some(run) = self.runs.get_mut(step) else { return };
        let mut whole: Vec<String> = Vec::new();
        let each = |line: &[u8]| whole.push(String::from_utf8_lossy(line).into_owned());
        match bytes {
            Some(bytes) => run.lines.feed(bytes, each),
            None => run.lines.finish(each),
        }
        if whole.is_empty() {
            return;
        }
        let time = seconds(run.started.map_or(Duration::ZERO, |s| s.elapsed()));
        self.write(&json!({"type": "log", "step": step, "time": time, "text": whole.join("\n")}));
    }

    fn end(&mut self, step: StepRef, status: &str, duration: Duration) {
        self.log(step, None);
        let mut object = self.about(step, "step");
        object["status"] = status.into();
        object["duration"] = seconds(duration).into();
        self.write(&object);
    }
}

impl<W: Write + Send> Observer for Json<W> {
    fn on(&self, event: Event<'_>) {
        let state = &mut *lock(&self.state);
        match event {
            Event::Pulling { image } => state.write(&json!({"type": "pull", "image": image})),
            Event::Pull { image, event } => {
                if let Some(object) = transfer::object(Direction::Pull, image, event, &mut state.bytes) {
                    state.write(&object);
                }
            }
            Event::Pulled { image, duration } => {
                state.write(&json!({"type": "pulled", "image": image, "duration": seconds(duration)}));
            }
            Event::Planned(steps) => {
                state.steps = steps.to_vec();
                state.runs = steps.iter().map(|_| Run::default()).collect();
                let list: Vec<Value> = steps.iter().enumerate().map(plan_entry).collect();
                state.write(&json!({"type": "plan", "steps": list}));
            }
            Event::Started(step) => {
                if let Some(run) = state.runs.get_mut(step) {
                    run.started = Some(Instant::now());
                }
                let object = state.about(step, "start");
                state.write(&object);
            }
            Event::Log { step, bytes } => state.log(step, Some(bytes)),
            Event::Cached(step) => state.end(step, "cached", Duration::ZERO),
            Event::Done { step, duration } => state.end(step, "done", duration),
            Event::Failed { step, duration } => state.end(step, "failed", duration),
            Event::Warning(warning) => state.write(&json!({
                "type": "warning",
                "rule": warning.rule.name(),
                "message": warning.message,
                "line": warning.lines.first,
                "end_line": warning.lines.last,
            })),
            Event::Notice(notice) => state.write(&json!({"type": "notice", "message": notice})),
            Event::Cache(event) => state.write(&cache(&event)),
            Event::Waiting { step, awaited, holder } => {
                let mut object = state.about(step, "waiting");
                if let Awaited::Cache(id) = awaited {
                    object["cache"] = id.into();
                }
                object["holder"] = holder.into();
                state.write(&object);
            }
            Event::Cancelled(step) => state.end(step, "canceled", Duration::ZERO),
            Event::Exporting { what } => state.write(&json!({"type": "export", "what": what})),
            Event::Exported { what, duration } => {
                state.write(&json!({"type": "exported", "what": what, "duration": seconds(duration)}));
            }
        }
    }
}

impl<W: Write + Send> Progress for Json<W> {
    fn failed(&self, report: &Report) {
        let state = &mut *lock(&self.state);
        for object in report.objects() {
            state.write(&object);
        }
    }

    fn finished(&self) {}
}

fn plan_entry((step, info): (StepRef, &StepInfo)) -> Value {
    json!({
        "step": step,
        "stage": info.stage,
        "platform": info.platform,
        "title": info.title,
        "instruction": info.instruction,
        "line": info.lines.first,
    })
}

/// What happened to a cache from elsewhere.
fn cache(event: &CacheEvent<'_>) -> Value {
    match event {
        CacheEvent::Importing { from } => json!({"type": "cache", "from": from, "state": "importing"}),
        CacheEvent::Imported { from, steps, layers, duration } => json!({
            "type": "cache", "from": from, "state": "imported", "steps": steps, "layers": layers,
            "duration": seconds(*duration),
        }),
        CacheEvent::Fetched { layer, from, size, duration } => json!({
            "type": "cache", "from": from, "state": "fetched", "layer": layer.to_string(), "size": size,
            "duration": seconds(*duration),
        }),
    }
}

/// Seconds, to the microsecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

impl<W> std::fmt::Debug for Json<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Json")
    }
}

#[cfg(test)]
mod tests;
