//! Words for what is in the cache.

use crate::key::{StepKey, StepKeyKind};

/// Something like the instruction that led to a key, for steps that no remembered build names.
pub(super) fn step(key: &StepKey) -> String {
    match &key.kind {
        StepKeyKind::Run(run) => match &run.argv[..] {
            [shell, flag, command] if shell == "/bin/sh" && flag == "-c" => format!("RUN {command}"),
            argv => format!("RUN {}", argv.join(" ")),
        },
        StepKeyKind::Copy(copy) if copy.add => format!("ADD … {}", copy.dest),
        StepKeyKind::Copy(copy) => format!("COPY … {}", copy.dest),
        StepKeyKind::Workdir(workdir) => format!("WORKDIR {}", workdir.path),
    }
}
