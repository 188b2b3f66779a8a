//! `--progress=plain`: lines for logs, in BuildKit's form.
//!
//! ```text
//! #2 [build 2/5] RUN make
//! #2 0.123 cc -c main.c
//! #2 DONE 0.4s
//!
//! #3 [build 3/5] COPY --from=x a b
//! #3 CACHED
//! ```
//!
//! Of a step that says very much only the beginning is shown; `rbuild logs` has everything.
//!
//! Base images on their way come before all steps, as number 0. Steps that run at the same time take turns: whoever has something to say says first who it is.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rbuild_builder::event::{Awaited, CacheEvent, Event, Observer, StepInfo, StepRef};
use rbuild_parser::lint::Warning;

use super::log::Lines;
use super::progress::{Progress, lock};
use super::{Direction, Report, Style, transfer};
use crate::format::human;

/// The view.
pub(super) struct Plain<W> {
    state: Mutex<State<W>>,
    style: Style,
}

struct State<W> {
    out: W,
    steps: Vec<StepInfo>,
    runs: Vec<Run>,
    /// The step that the last line was about.
    speaking: Option<StepRef>,
    exports: usize,
    /// Base images on their way.
    pulling: usize,
    /// One of them began while others were.
    several: bool,
    /// So many bytes of each step's output are shown; None for all.
    limit: Option<u64>,
}

/// A step that has been heard of.
#[derive(Default)]
struct Run {
    started: Option<Instant>,
    lines: Lines,
    /// Bytes of its output that were shown.
    shown: u64,
    clipped: bool,
}

impl<W: Write> Plain<W> {
    /// Lines to `out`.
    pub(super) fn new(out: W, limit: Option<u64>, style: Style) -> Self {
        let state = State {
            out,
            steps: Vec::new(),
            runs: Vec::new(),
            speaking: None,
            exports: 0,
            pulling: 0,
            several: false,
            limit,
        };
        Self { state: Mutex::new(state), style }
    }
}

impl<W: Write> State<W> {
    fn number(step: StepRef) -> usize {
        step + 1
    }

    /// Writes that `step` speaks, unless it did so last.
    fn turn(&mut self, step: StepRef, text: &mut String) {
        if self.speaking == Some(step) {
            return;
        }
        if self.speaking.is_some() {
            text.push('\n');
        }
        self.speaking = Some(step);
        let title = self.steps.get(step).map_or("", |i| i.title.as_str());
        let _ = writeln!(text, "#{} {title}", Self::number(step));
    }

    fn end(&mut self, step: StepRef, how: &str) {
        let mut text = String::new();
        self.log(step, None, &mut text);
        self.turn(step, &mut text);
        let _ = writeln!(text, "#{} {how}\n", Self::number(step));
        self.speaking = None;
        self.write(&text);
    }

    /// Adds the lines that `bytes` complete, or with None those that the end of the step completes.
    fn log(&mut self, step: StepRef, bytes: Option<&[u8]>, text: &mut String) {
        let Some(run) = self.runs.get_mut(step).filter(|run| !run.clipped) else { return };
        let time = run.started.map_or(Duration::ZERO, |s| s.elapsed()).as_secs_f64();
        let mut lines = String::new();
        let limit = self.limit.unwrap_or(u64::MAX);
        let (mut shown, mut clipped) = (run.shown, false);
        let mut each = |line: &[u8]| {
            if shown >= limit {
                clipped = true;
                return;
            }
            shown += line.len() as u64 + 1;
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
            let _ = writeln!(lines, "#{} {time:.3} {line}", Self::number(step));
        };
        match bytes {
            Some(bytes) => run.lines.feed(bytes, &mut each),
            None => run.lines.finish(&mut each),
        }
        (run.shown, run.clipped) = (shown, clipped);
        if clipped {
            let number = Self::number(step);
            let limit = human::size(limit);
            let _ = writeln!(
                lines,
                "#{number} [output clipped, log limit {limit} reached: rbuild logs --step {number} shows all of it]"
            );
        }
        if !lines.is_empty() {
            self.turn(step, text);
            text.push_str(&lines);
        }
    }

    fn write(&mut self, text: &str) {
        // Nobody is left to be told that standard error is gone.
        let _ = self.out.write_all(text.as_bytes());
    }
}

impl<W: Write + Send> Observer for Plain<W> {
    fn on(&self, event: Event<'_>) {
        let state = &mut *lock(&self.state);
        let mut text = String::new();
        match event {
            Event::Pulling { image } => {
                state.speaking = None;
                state.several = state.pulling > 0;
                state.pulling += 1;
                let _ = writeln!(text, "#0 pulling {image}");
            }
            Event::Pull { event, .. } => {
                if let Some(line) = transfer::line(Direction::Pull, event) {
                    let _ = writeln!(text, "#0 {line}");
                }
            }
            Event::Pulled { image, duration } => {
                state.pulling = state.pulling.saturating_sub(1);
                let which = if state.several { format!(" {image}") } else { String::new() };
                let blank = if state.pulling == 0 { "\n" } else { "" };
                let _ = writeln!(text, "#0 DONE{which} {:.1}s{blank}", duration.as_secs_f64());
            }
            Event::Planned(steps) => {
                state.steps = steps.to_vec();
                state.runs = steps.iter().map(|_| Run::default()).collect();
            }
            Event::Started(step) => {
                if let Some(run) = state.runs.get_mut(step) {
                    run.started = Some(Instant::now());
                }
                state.turn(step, &mut text);
            }
            Event::Log { step, bytes, .. } => state.log(step, Some(bytes), &mut text),
            Event::Cached(step) => state.end(step, "CACHED"),
            Event::Done { step, duration } => {
                state.end(step, &format!("DONE {:.1}s", duration.as_secs_f64()));
            }
            Event::Failed { step, duration } => {
                state.end(step, &format!("ERROR after {:.1}s", duration.as_secs_f64()));
            }
            Event::Warning(warning) => {
                state.speaking = None;
                let _ = writeln!(text, "{} {}\n", self.style.warning("WARNING:"), warning_text(warning));
            }
            Event::Notice(notice) => {
                state.speaking = None;
                let _ = writeln!(text, "{} {notice}\n", self.style.warning("WARNING:"));
            }
            Event::Cache(event) => {
                state.speaking = None;
                let _ = writeln!(text, "#0 {}", cache(&event));
            }
            Event::Waiting { step, awaited, holder } => {
                state.turn(step, &mut text);
                let _ = writeln!(text, "#{} {}", step + 1, waiting(awaited, holder));
            }
            Event::Cancelled(step) => state.end(step, "CANCELED"),
            Event::Exporting { what } => {
                state.exports += 1;
                state.speaking = None;
                let _ = writeln!(text, "#{} exporting {what}", state.steps.len() + state.exports);
            }
            Event::Exported { duration, .. } => {
                let number = state.steps.len() + state.exports;
                let _ = writeln!(text, "#{number} DONE {:.1}s\n", duration.as_secs_f64());
            }
        }
        state.write(&text);
    }
}

impl<W: Write + Send> Progress for Plain<W> {
    fn failed(&self, report: &Report) {
        lock(&self.state).write(&report.text(self.style));
    }

    fn finished(&self) {}
}

/// What is said of a warning, in BuildKit's form (spec 9.4).
pub(super) fn warning_text(warning: &Warning) -> String {
    format!("{}: {} (line {})", warning.rule.name(), warning.message, warning.lines.first)
}

/// What is said of a cache from elsewhere.
pub(super) fn cache(event: &CacheEvent<'_>) -> String {
    match event {
        CacheEvent::Importing { from } => format!("importing the cache from {from}"),
        CacheEvent::Imported { steps, layers, duration, .. } => {
            format!("DONE {:.1}s: {steps} steps, {layers} layers\n", duration.as_secs_f64())
        }
        CacheEvent::Fetched { from, size, duration, .. } => {
            let (size, seconds) = (human::size(*size), duration.as_secs_f64());
            format!("fetched a layer of {size} from {from} in {seconds:.1}s")
        }
    }
}

/// What is said of a step that another process runs.
pub(super) fn waiting(awaited: Awaited<'_>, holder: Option<u32>) -> String {
    let who = match holder {
        Some(pid) if pid == std::process::id() => "another step".to_owned(),
        Some(pid) => format!("rbuild process {pid}"),
        None => "another rbuild".to_owned(),
    };
    match awaited {
        Awaited::Step => format!("waiting for {who}, which runs the same step"),
        Awaited::Cache(id) => format!("waiting for {who}, which uses the cache {id}"),
    }
}

impl<W> std::fmt::Debug for Plain<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plain")
    }
}

#[cfg(test)]
mod tests;
