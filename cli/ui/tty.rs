//! `--progress=tty`: a live view. Each running step has one line with its time and the last line of its output;
//! a step that is done becomes a line of the terminal's history.
//!
//! The build's threads only note what happened. A thread of the view draws, ten times a second. The cursor is
//! never hidden and the terminal never put into another mode, so there is nothing that a kill could leave behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rbuild_builder::event::{Event, Observer, StepInfo, StepRef};

use super::fit;
use super::log::{LastLine, visible};
use super::plain::{cache, waiting, warning_text};
use super::print::to_stderr;
use super::progress::{Progress, lock};
use super::transfer::{self, Sum};
use super::{Report, Style};

/// Pictures a second.
const HERTZ: u8 = 10;
/// Columns of `DONE`, `CACHED` and so on, with spaces.
const LABEL: usize = 6;

/// The view.
pub(super) struct Tty {
    shared: Arc<Shared>,
    drawing: Mutex<Option<JoinHandle<()>>>,
    style: Style,
}

struct Shared {
    bars: MultiProgress,
    state: Mutex<State>,
    stop: AtomicBool,
}

struct State {
    begun: Instant,
    steps: Vec<StepInfo>,
    runs: Vec<Run>,
    summary: ProgressBar,
    ended: usize,
    cached: usize,
    exporting: Option<ProgressBar>,
    /// By image.
    pulling: BTreeMap<String, Pulling>,
}

/// A base image on its way.
struct Pulling {
    bar: ProgressBar,
    sum: Sum,
}

#[derive(Default)]
struct Run {
    last: LastLine,
    /// The step's line, and when it began.
    live: Option<(ProgressBar, Instant)>,
}

impl Tty {
    /// A view on standard error.
    pub(super) fn new(style: Style) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ));
        let summary = bars.add(line());
        let state = State {
            begun: Instant::now(),
            steps: Vec::new(),
            runs: Vec::new(),
            summary,
            ended: 0,
            cached: 0,
            exporting: None,
            pulling: BTreeMap::new(),
        };
        let shared = Arc::new(Shared { bars, state: Mutex::new(state), stop: AtomicBool::new(false) });
        let of_thread = Arc::clone(&shared);
        let drawing = std::thread::Builder::new().name("progress".into()).spawn(move || of_thread.draw());
        Self { shared, drawing: Mutex::new(drawing.ok()), style }
    }

    /// Ends the thread and wipes the live lines.
    fn leave(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = lock(&self.drawing).take() {
            thread.thread().unpark();
            // It has no result; if it panicked, the view is gone anyway.
            let _ = thread.join();
        }
        let _ = self.shared.bars.clear();
    }

    fn history(&self, text: String) {
        // Above the live lines.
        let _ = self.shared.bars.println(text);
    }
}

/// A line of the live view; its text is made by us, so that the steps' output cannot be taken for a template.
fn line() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

impl Shared {
    fn draw(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            {
                let columns = fit::columns();
                let state = lock(&self.state);
                for (run, info) in state.runs.iter().zip(&state.steps) {
                    if let Some((bar, since)) = &run.live {
                        let seconds = since.elapsed().as_secs_f64();
                        bar.set_message(fit::running(&info.title, seconds, &run.last.text(), columns));
                    }
                }
                state.summary.set_message(state.summary_text());
            }
            std::thread::park_timeout(Duration::from_millis(1000 / u64::from(HERTZ)));
        }
    }
}

impl State {
    fn summary_text(&self) -> String {
        let cached = if self.cached > 0 { format!(", {} cached", self.cached) } else { String::new() };
        let time = self.begun.elapsed().as_secs_f64();
        format!("[+] Building {time:.1}s ({}/{} steps{cached})", self.ended, self.steps.len())
    }

    /// Ends a step's live line; returns its title.
    fn end(&mut self, step: StepRef) -> String {
        self.ended += 1;
        if let Some(run) = self.runs.get_mut(step)
            && let Some((bar, _)) = run.live.take()
        {
            bar.finish_and_clear();
        }
        self.steps.get(step).map(|i| i.title.clone()).unwrap_or_default()
    }
}

/// The line of the terminal's history about a step.
fn ended(label: &str, title: &str, tail: &str) -> String {
    fit::ended(label, LABEL, title, tail, fit::columns())
}

fn time(duration: Duration) -> String {
    format!(" {:.1}s", duration.as_secs_f64())
}

impl Observer for Tty {
    fn on(&self, event: Event<'_>) {
        let mut history = None;
        let state = &mut *lock(&self.shared.state);
        match event {
            Event::Pulling { image } => {
                let bar = self.shared.bars.insert_before(&state.summary, line());
                bar.set_message(format!("=> pulling {image}"));
                state.pulling.insert(image.to_owned(), Pulling { bar, sum: Sum::default() });
            }
            Event::Pull { image, event } => {
                if let Some(pulling) = state.pulling.get_mut(image)
                    && pulling.sum.add(event)
                {
                    pulling.bar.set_message(format!("=> pulling {image}  {}", pulling.sum.text()));
                }
                if let Some(line) = transfer::remark(event) {
                    history = Some(format!("{} {line}", self.style.warning("WARNING:")));
                }
            }
            Event::Pulled { image, duration } => {
                if let Some(pulling) = state.pulling.remove(image) {
                    pulling.bar.finish_and_clear();
                }
                let done = self.style.good("DONE  ");
                history = Some(format!("{done} pulling {image} {:.1}s", duration.as_secs_f64()));
            }
            Event::Planned(steps) => {
                // A Dockerfile may hold anything, too.
                let shown =
                    |info: &StepInfo| StepInfo { title: visible(info.title.as_bytes()), ..info.clone() };
                state.steps = steps.iter().map(shown).collect();
                state.runs = steps.iter().map(|_| Run::default()).collect();
            }
            Event::Started(step) => {
                if let Some(run) = state.runs.get_mut(step) {
                    let bar = self.shared.bars.insert_before(&state.summary, line());
                    run.live = Some((bar, Instant::now()));
                }
            }
            Event::Log { step, bytes, .. } => {
                if let Some(run) = state.runs.get_mut(step) {
                    run.last.feed(bytes);
                }
            }
            Event::Cached(step) => {
                state.cached += 1;
                let title = state.end(step);
                history = Some(ended(&self.style.faint("CACHED"), &title, ""));
            }
            Event::Done { step, duration } => {
                let title = state.end(step);
                history = Some(ended(&self.style.good("DONE  "), &title, &time(duration)));
            }
            Event::Failed { step, duration } => {
                let title = state.end(step);
                history = Some(ended(&self.style.error("FAILED"), &title, &time(duration)));
            }
            Event::Warning(warning) => {
                history = Some(format!("{} {}", self.style.warning("WARNING:"), warning_text(warning)));
            }
            Event::Notice(notice) => {
                history = Some(format!("{} {notice}", self.style.warning("WARNING:")));
            }
            Event::Cache(event) => {
                history = Some(format!("{} {}", self.style.faint("CACHE "), cache(&event).trim_end()));
            }
            Event::Waiting { step, awaited, holder } => {
                let title = state.steps.get(step).map_or("", |i| i.title.as_str());
                let tail = format!(" {}", waiting(awaited, holder));
                history = Some(ended(&self.style.faint("WAIT  "), title, &tail));
            }
            Event::Cancelled(step) => {
                let title = state.end(step);
                history = Some(fit::ended(&self.style.faint("CANCELED"), 8, &title, "", fit::columns()));
            }
            Event::Exporting { what } => {
                let bar = self.shared.bars.insert_before(&state.summary, line());
                bar.set_message(format!("=> exporting {what}"));
                state.exporting = Some(bar);
            }
            Event::Exported { what, duration } => {
                if let Some(bar) = state.exporting.take() {
                    bar.finish_and_clear();
                }
                let done = self.style.good("DONE  ");
                history = Some(format!("{done} exporting {what} {:.1}s", duration.as_secs_f64()));
            }
        }
        if let Some(text) = history {
            self.history(text);
        }
    }
}

impl Progress for Tty {
    fn failed(&self, report: &Report) {
        self.leave();
        to_stderr(report.text(self.style).as_bytes());
    }

    fn finished(&self) {
        self.leave();
        let text = lock(&self.shared.state).summary_text();
        to_stderr(format!("{text} FINISHED\n").as_bytes());
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.leave();
    }
}

impl std::fmt::Debug for Tty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tty")
    }
}
