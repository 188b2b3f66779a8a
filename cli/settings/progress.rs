//! `--progress`.

use super::Environment;
use crate::args::Progress;
use crate::exit::Failure;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressMode {
    /// A live view.
    Tty,
    /// Lines.
    Plain,
    /// Objects.
    Json,
    /// Nothing but errors.
    Quiet,
}

/// That of a build, for which the environment can say it, too.
pub(super) fn of_build(
    typed: Option<Progress>,
    quiet: bool,
    environment: &Environment,
) -> Result<ProgressMode, Failure> {
    let from_environment = || match environment.value("BUILDKIT_PROGRESS").as_deref() {
        None | Some("" | "auto") => Ok(Progress::Auto),
        Some("tty") => Ok(Progress::Tty),
        Some("plain") => Ok(Progress::Plain),
        Some("rawjson" | "json") => Ok(Progress::Json),
        Some("quiet") => Ok(Progress::Quiet),
        Some(other) => {
            Err(Failure::usage(format!("BUILDKIT_PROGRESS={other}: auto, tty, plain, json or quiet")))
        }
    };
    let wanted = match typed {
        Some(typed) => typed,
        None if quiet => Progress::Quiet,
        None => from_environment()?,
    };
    mode(wanted, environment)
}

/// That of a transfer.
pub(super) fn of_transfer(
    typed: Option<Progress>,
    quiet: bool,
    environment: &Environment,
) -> Result<ProgressMode, Failure> {
    mode(typed.unwrap_or(if quiet { Progress::Quiet } else { Progress::Auto }), environment)
}

fn mode(wanted: Progress, environment: &Environment) -> Result<ProgressMode, Failure> {
    Ok(match wanted {
        Progress::Plain => ProgressMode::Plain,
        Progress::Json => ProgressMode::Json,
        Progress::Quiet => ProgressMode::Quiet,
        Progress::Tty if !environment.stderr_is_terminal => {
            return Err(Failure::new("--progress=tty: standard error is not a terminal"));
        }
        Progress::Tty => ProgressMode::Tty,
        Progress::Auto if environment.live_terminal() => ProgressMode::Tty,
        Progress::Auto => ProgressMode::Plain,
    })
}
