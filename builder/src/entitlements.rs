//! What a Dockerfile may ask for only if the command line allows it: before anything runs, as BuildKit has it (spec
//! 3.2, `--network`, `--security`).

use std::collections::BTreeSet;
use std::sync::Arc;

use rbuild_parser::plan::{Op, Run, RunNetwork};

use crate::error::{BuildError, Located, Problem, SourceFile};
use crate::request::Allow;
use crate::work::Work;

/// Fails if a step asks for more than `allow`; all such steps are reported.
pub(crate) fn check(work: &Work, allow: Allow, file: &Arc<SourceFile>) -> Result<(), BuildError> {
    // The same instruction is a step of several platforms.
    let mut all = BTreeSet::new();
    for step in &work.steps {
        let Op::Run(run) = &step.op else { continue };
        all.extend(missing(run, allow).into_iter().map(|entitlement| (step.lines, entitlement)));
    }
    let problem = |(lines, entitlement)| {
        let message = format!("failed to load LLB: {entitlement} is not allowed");
        let help = Some(format!("allow it with --allow {entitlement}"));
        Problem { lines: Some(lines), help, ..Problem::new(message) }
    };
    let problems: Vec<Problem> = all.into_iter().map(problem).collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(BuildError::Dockerfile(Box::new(Located { file: Arc::clone(file), problems, step: None })))
}

fn missing(run: &Run, allow: Allow) -> Vec<&'static str> {
    let insecure = (run.insecure && !allow.insecure).then_some("security.insecure");
    let host = (run.network == RunNetwork::Host && !allow.network_host).then_some("network.host");
    insecure.into_iter().chain(host).collect()
}
