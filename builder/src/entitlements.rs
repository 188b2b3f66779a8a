//! What a Dockerfile may ask for only if the command line allows it: before anything runs, as BuildKit has it (spec
//! 3.2, `--network`, `--security`).

use std::sync::Arc;

use rbuild_parser::plan::{Op, Plan, Run, RunNetwork};

use crate::error::{BuildError, Located, Problem, SourceFile};
use crate::request::Allow;

/// Fails if a step of the plan asks for more than `allow`; all such steps are reported.
pub(crate) fn check(plan: &Plan, allow: Allow, file: &Arc<SourceFile>) -> Result<(), BuildError> {
    let mut problems = Vec::new();
    for step in &plan.steps {
        let Op::Run(run) = &step.op else { continue };
        problems.extend(missing(run, allow).into_iter().map(|entitlement| {
            let message = format!("failed to load LLB: {entitlement} is not allowed");
            let help = Some(format!("allow it with --allow {entitlement}"));
            Problem { lines: Some(step.lines), help, ..Problem::new(message) }
        }));
    }
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
