//! How far a container's life has come.

use rbuild_image::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The code of a program that ended together with the rbuild that ran it: the kernel killed it.
const KILLED: i32 = 137;

/// A container's state, as in its `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum State {
    /// Its program has never run.
    Created {
        /// Why not, where it was tried.
        error: Option<String>,
    },
    /// Its program runs.
    Running {
        /// Process id of the container's process 1, in the pid namespace of the rbuild that runs it.
        pid: u32,
        /// Since when.
        started: Timestamp,
    },
    /// Its program has ended.
    Exited {
        /// As docker counts: 128 + signal for a program that a signal ended.
        code: i32,
        /// When it began.
        started: Timestamp,
        /// When it ended; None when nobody was there to see it.
        finished: Option<Timestamp>,
    },
}

impl State {
    /// What is true, given what was written last and whether an rbuild still holds the container: one that was
    /// killed could not write that its program died with it.
    pub(super) fn corrected(self, is_held: bool) -> Self {
        match self {
            Self::Running { started, .. } if !is_held => {
                Self::Exited { code: KILLED, started, finished: None }
            }
            state => state,
        }
    }

    /// From `state.json`; a file that is missing or damaged says that nothing has happened.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes).unwrap_or(Self::Created { error: None })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers can be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_and_are_corrected() {
        let started = Timestamp::new(1, 2);
        let running = State::Running { pid: 3, started };
        let exited = State::Exited { code: 4, started, finished: Some(Timestamp::new(5, 6)) };
        let created = State::Created { error: Some("no".into()) };
        for state in [&running, &exited, &created] {
            assert_eq!(&State::parse(&state.to_bytes()), state);
            assert_eq!(&state.clone().corrected(true), state);
        }
        assert_eq!(State::parse(b""), State::Created { error: None });
        assert_eq!(running.corrected(false), State::Exited { code: 137, started, finished: None });
        assert_eq!(exited.clone().corrected(false), exited);
    }
}
