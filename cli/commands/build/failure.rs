//! From the builder's error to what is shown.

use rbuild_builder::error::{BuildError, Located, Problem};

use crate::exit::{chain, help};
use crate::ui::{self, Place, Report};

/// What is shown of a failed build.
pub(super) fn report(error: &BuildError) -> Report {
    match error {
        BuildError::Dockerfile(located) => self::located(located),
        other => {
            let mut report = Report::new(chain(other));
            report.problems[0].help = help(other);
            report
        }
    }
}

/// What is shown of mistakes in a Dockerfile.
pub(super) fn located(located: &Located) -> Report {
    Report {
        problems: located.problems.iter().map(|p| problem(p, located)).collect(),
        step: located.step.as_ref().map(|s| (s.info.title.clone(), s.log_tail.clone())),
    }
}

fn problem(problem: &Problem, located: &Located) -> ui::Problem {
    let place = problem.lines.map(|lines| Place {
        file: located.file.name.clone(),
        text: String::from_utf8_lossy(&located.file.text).into_owned(),
        lines: (lines.first, lines.last),
        also: problem.also.iter().map(|lines| (lines.first, lines.last)).collect(),
        span: problem.span.map(|s| s.start as usize..s.end as usize),
    });
    ui::Problem { message: problem.message.clone(), place, help: problem.help.clone() }
}
