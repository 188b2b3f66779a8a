//! From the Dockerfile's text to the plans, with everything that is wrong in it reported at once.

use std::sync::Arc;

use rbuild_parser::lint::Warning;
use rbuild_parser::plan::{self, CopySource, Options, RemoteAdd};
use rbuild_parser::{Diagnostic, Dockerfile, Stage, with_suggestion};

use crate::bases::StoreBases;
use crate::copy::{CopyError, Fetch};
use crate::error::{BuildError, Located, Problem, SourceFile};
use crate::event::{Event, Observer};
use crate::inputs::{EPOCH, Inputs};
use crate::request::{NoCache, Request};
use crate::work::Work;

/// Parses, and plans for all platforms; says with which options for the first, now that every time in them is known.
pub(crate) fn plan(
    inputs: &Inputs,
    request: &Request,
    bases: &mut StoreBases<'_>,
    fetch: &dyn Fetch,
    observer: &dyn Observer,
) -> Result<(Work, Options), BuildError> {
    let parsed = rbuild_parser::parse(&inputs.file.text);
    if !parsed.errors.is_empty() {
        return Err(problems(&inputs.file, parsed.errors.iter().map(problem).collect()));
    }
    let mut options = inputs.options(request, &parsed.dockerfile);
    if let Ok(plan::Epoch::Added(add)) = plan::epoch(&parsed.dockerfile, &options) {
        let time = time_of(&add, fetch)
            .map_err(|cause| problems(&inputs.file, vec![Problem::new(cause.to_string())]))?;
        options.build_args.insert(EPOCH.to_owned(), time.to_string());
    }
    let mut told: Vec<Warning> = Vec::new();
    let mut tell = |warnings: Vec<Warning>| {
        for warning in warnings {
            if !told.contains(&warning) {
                observer.on(Event::Warning(&warning));
                told.push(warning);
            }
        }
    };
    let mut plans = Vec::new();
    let mut next = options.clone();
    loop {
        match plan::plan(&parsed.dockerfile, &next, bases) {
            Ok(planned) => {
                tell(planned.warnings);
                plans.push(planned.plan);
            }
            Err(error) => {
                tell(error.warnings.clone());
                return Err(problems(&inputs.file, Problem::of_plan(error)));
            }
        }
        match request.platforms.get(plans.len()) {
            Some(platform) => next.platform = Some(platform.clone()),
            None => {
                notice_unknown_stages(&parsed.dockerfile, request, observer);
                return Ok((Work::new(plans), options));
            }
        }
    }
}

/// When what an ADD fetches was made: the commit, or `Last-Modified`.
fn time_of(add: &RemoteAdd, fetch: &dyn Fetch) -> Result<i64, CopyError> {
    let checksum = add.checksum.as_deref();
    match &add.source {
        CopySource::Git(address) => Ok(fetch.checkout(address, checksum, add.keep_git_dir)?.time),
        CopySource::Http(address) => Ok(fetch.fetch(address, checksum)?.mtime.secs),
        CopySource::Path(_) | CopySource::Inline(_) => unreachable!("the parser gives remote sources only"),
    }
}

/// Docker passes over a `--no-cache-filter` that names no stage, and scripts use one list for many Dockerfiles; but
/// whoever mistypes a name wonders why nothing runs.
fn notice_unknown_stages(dockerfile: &Dockerfile, request: &Request, observer: &dyn Observer) {
    let NoCache::Stages(names) = &request.no_cache else { return };
    let name_of = |(number, stage): (usize, &Stage)| match &stage.from.kind.name {
        Some(name) => name.lower.to_string(),
        None => format!("stage-{number}"),
    };
    let known: Vec<String> = (0..).zip(&dockerfile.stages).map(name_of).collect();
    for name in names.iter().filter(|name| !known.contains(name)) {
        let message = format!("--no-cache-filter={name}: the Dockerfile has no stage of that name");
        observer.on(Event::Notice(&with_suggestion(message, name, known.iter().map(String::as_str), false)));
    }
}

pub(crate) fn problems(file: &Arc<SourceFile>, problems: Vec<Problem>) -> BuildError {
    BuildError::Dockerfile(Box::new(Located { file: Arc::clone(file), problems, step: None }))
}

pub(crate) fn problem(diagnostic: &Diagnostic) -> Problem {
    Problem {
        lines: diagnostic.lines,
        span: diagnostic.span,
        help: diagnostic.help.clone(),
        ..Problem::new(&diagnostic.message)
    }
}
