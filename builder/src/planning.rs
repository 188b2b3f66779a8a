//! From the Dockerfile's text to the plan, with everything that is wrong in it reported at once.

use std::sync::Arc;

use rbuild_parser::Diagnostic;
use rbuild_parser::plan::{self, Plan};

use crate::bases::StoreBases;
use crate::error::{BuildError, Located, Problem, SourceFile};
use crate::event::{Event, Observer};
use crate::inputs::Inputs;
use crate::request::Request;

/// Parses and plans.
pub(crate) fn plan(
    inputs: &Inputs,
    request: &Request,
    bases: &mut StoreBases<'_>,
    observer: &dyn Observer,
) -> Result<Plan, BuildError> {
    let parsed = rbuild_parser::parse(&inputs.file.text);
    if !parsed.errors.is_empty() {
        return Err(problems(&inputs.file, parsed.errors.iter().map(problem).collect()));
    }
    let options = inputs.options(request);
    match plan::plan(&parsed.dockerfile, &options, bases) {
        Ok(planned) => {
            for warning in &planned.warnings {
                observer.on(Event::Warning(warning));
            }
            Ok(planned.plan)
        }
        Err(error) => {
            for warning in &error.warnings {
                observer.on(Event::Warning(warning));
            }
            let problem = Problem { message: error.message, lines: error.lines, span: None, help: None };
            Err(problems(&inputs.file, vec![problem]))
        }
    }
}

pub(crate) fn problems(file: &Arc<SourceFile>, problems: Vec<Problem>) -> BuildError {
    BuildError::Dockerfile(Box::new(Located { file: Arc::clone(file), problems, step: None }))
}

pub(crate) fn problem(diagnostic: &Diagnostic) -> Problem {
    Problem {
        message: diagnostic.message.clone(),
        lines: diagnostic.lines,
        span: diagnostic.span,
        help: diagnostic.help.clone(),
    }
}
