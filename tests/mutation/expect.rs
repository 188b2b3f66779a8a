//! What `rbuild explain` has to say of a build.

use serde_json::Value;

/// Which steps may run, and why.
#[derive(Debug)]
pub(super) enum Expected {
    /// None.
    Nothing,
    /// The first is the one whose instruction has this text, because of this and nothing else.
    Miss(&'static str, Cause),
    /// If any: the project may have looked like that before. The first runs because of this and nothing else.
    Perhaps(Cause),
    /// Some of this stage, since the cache was not to be asked, and no others.
    Forced(&'static str),
}

/// Why a step runs.
#[derive(Debug)]
pub(super) enum Cause {
    /// This variable is that now.
    Variable(&'static str, String),
    /// A flag or another part of the instruction.
    Value(&'static str),
    /// A member of a mount.
    Mount(&'static str),
    /// One file, and what happened to it.
    File { mount: Option<&'static str>, path: String, change: &'static str },
    /// Files, whichever.
    Files,
    /// The base image, which may show in several ways.
    Base,
}

impl Cause {
    fn is_all_of(&self, changes: &[Value]) -> bool {
        match (self, changes) {
            (Self::Base, _) => true,
            (_, [change]) => self.is(change),
            _ => false,
        }
    }

    fn is(&self, change: &Value) -> bool {
        match self {
            Self::Variable(name, to) => change["name"] == *name && change["to"] == to.as_str(),
            Self::Value(name) => change["field"] == "value" && change["name"] == *name,
            Self::Mount(member) => change["field"] == "mount" && change["member"] == *member,
            Self::Files | Self::Base => change["field"] == "files",
            Self::File { mount, path, change: what } => {
                let files = change["files"]["changes"].as_array().map_or(&[][..], Vec::as_slice);
                change["field"] == "files"
                    && change["mount"].as_str() == *mount
                    && matches!(files, [file] if file["path"] == path.as_str() && file["change"] == *what)
            }
        }
    }
}

impl Expected {
    /// Compares with what `rbuild explain --format=json` printed. The error says what is wrong.
    pub(super) fn check(&self, explained: &Value) -> Result<(), String> {
        let steps = explained["steps"].as_array().expect("steps");
        let missed: Vec<&Value> = steps.iter().filter(|step| step["status"] != "cached").collect();
        let first = match (self, missed.first()) {
            (Self::Forced(stage), Some(_)) => {
                let forced = |step: &&Value| step["reason"] == "no_cache" && step["stage"] == *stage;
                return match missed.into_iter().find(|step| !forced(step)) {
                    Some(step) => Err(format!("ran without being asked to: {step}")),
                    None => Ok(()),
                };
            }
            (Self::Miss(..) | Self::Forced(_), None) => return Err("nothing ran".to_owned()),
            (Self::Nothing | Self::Perhaps(_), None) => return Ok(()),
            (Self::Nothing, Some(step)) => return Err(format!("this ran: {step}")),
            (Self::Miss(..) | Self::Perhaps(_), Some(step)) => step,
        };
        let (text, cause) = match self {
            Self::Miss(text, cause) => (*text, cause),
            Self::Perhaps(cause) => ("", cause),
            Self::Nothing | Self::Forced(_) => unreachable!("they were dealt with"),
        };
        let changes = first["changes"].as_array().map_or(&[][..], Vec::as_slice);
        let right = first["instruction"].as_str().is_some_and(|it| it.contains(text));
        if !right || !cause.is_all_of(changes) {
            return Err(format!("explained as {first}"));
        }
        let unexplained = |step: &&&Value| {
            let changes = step["changes"].as_array().map_or(&[][..], Vec::as_slice);
            changes.is_empty() || changes.iter().any(|change| change["because"]["cause"] == "unknown")
        };
        match missed.iter().skip(1).find(unexplained) {
            // Another base may bring steps with it that there were not before.
            Some(step) if !matches!(cause, Cause::Base) => Err(format!("not explained: {step}")),
            _ => Ok(()),
        }
    }
}
