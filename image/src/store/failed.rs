//! What failed steps leave behind to be looked at.
//!
//! `failed/<name>/` holds `fs` (what the step had changed), `layers` (what it stood on, one LayerId a line: they stay
//! as long as this does) and `step.json`, which belongs to the builder. Who looks around in one holds the lock on its
//! folder; what nobody holds goes after a day, or when room is made.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{self, FlockOperation, Mode};
use rustix::io::Errno;

use super::disk::Meter;
use super::{Store, StoreError, TempDir};
use crate::digest::LayerId;

/// Where they are, relative to the store.
pub(super) const FAILED: &str = "failed";
const ABOUT: &str = "step.json";

/// How long a failed step is kept when nobody asks for its room.
pub const FAILED_STEPS_STAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A kept failed step that nobody else enters or removes as long as this lives.
#[derive(Debug)]
pub struct HeldStep {
    path: PathBuf,
    _lock: OwnedFd,
}

impl HeldStep {
    /// What the step had changed: the upper folder of an overlay.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.path.join("fs")
    }

    /// An empty folder beside it, emptied if it is there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join(name);
        crate::layer::remove_tree(fs::CWD, path.as_path()).map_err(StoreError::io("empty", &path))?;
        fs::mkdirat(fs::CWD, &path, Mode::RWXU).map_err(StoreError::io("create", &path))?;
        Ok(path)
    }
}

impl Store {
    /// Keeps the folder `fs` of `temp`, where there is one, under a name that sorts after those of earlier steps.
    ///
    /// # Errors
    /// When it cannot be moved or described.
    pub fn keep_failed_step(
        &self,
        name: &str,
        temp: Option<TempDir>,
        layers: &[LayerId],
        about: &[u8],
    ) -> Result<(), StoreError> {
        let kept = self.temp()?;
        match &temp {
            Some(temp) => fs::renameat(temp.dir(), "fs", kept.dir(), "fs")
                .map_err(StoreError::io("move", temp.path().join("fs")))?,
            None => drop(kept.make_dir("fs", 0o755)?),
        }
        let lines: String = layers.iter().map(|id| format!("{id}\n")).collect();
        self.write_small(&format!("{}/layers", kept.name()), lines.as_bytes())?;
        self.write_small(&format!("{}/{ABOUT}", kept.name()), about)?;
        let path = format!("{FAILED}/{name}");
        let give_place = || fs::renameat(self.dir(), kept.name(), self.dir(), &path);
        match give_place() {
            Err(Errno::NOENT) => {
                // Another process may be as quick; a real failure is met by the second attempt.
                let _ = fs::mkdirat(self.dir(), FAILED, Mode::RWXU);
                give_place()
            }
            other => other,
        }
        .map_err(StoreError::io("keep", &path))
    }

    /// The names of all kept failed steps, the oldest first.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn failed_steps(&self) -> Result<Vec<String>, StoreError> {
        self.names_in(FAILED)
    }

    /// What was written down about one; None when it is gone.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn failed_step(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read_small(&format!("{FAILED}/{name}/{ABOUT}"))
    }

    /// Takes one for oneself; None when somebody else has it, or it is gone.
    ///
    /// # Errors
    /// When it cannot be locked.
    pub fn hold_failed_step(&self, name: &str) -> Result<Option<HeldStep>, StoreError> {
        let path = format!("{FAILED}/{name}");
        let lock = self.lock_temp(&path, FlockOperation::NonBlockingLockExclusive)?;
        Ok(lock.map(|lock| HeldStep { path: self.path().join(path), _lock: lock }))
    }

    /// Removes the kept failed steps that `unwanted` says (of a name and of what was written down about it), but for
    /// those that somebody holds. Returns how many went, and how many bytes of the disk.
    ///
    /// # Errors
    /// When they cannot be listed or moved.
    pub fn remove_failed_steps(
        &self,
        unwanted: &dyn Fn(&str, &[u8]) -> bool,
    ) -> Result<(u64, u64), StoreError> {
        let (mut count, mut bytes) = (0, 0);
        for name in self.failed_steps()? {
            let about = self.failed_step(&name)?.unwrap_or_default();
            if !unwanted(&name, &about) {
                continue;
            }
            let Some(held) = self.hold_failed_step(&name)? else { continue };
            let trash = self.temp()?;
            bytes += self.measure(&mut Meter::default(), &format!("{FAILED}/{name}"))?;
            fs::renameat(fs::CWD, &held.path, trash.dir(), "step")
                .map_err(StoreError::io("remove", &held.path))?;
            count += 1;
        }
        Ok((count, bytes))
    }

    /// The same by age: what `prune` and every collection call.
    ///
    /// # Errors
    /// As [`Store::remove_failed_steps`].
    pub fn expire_failed_steps(&self, min_age: Duration) -> Result<(u64, u64), StoreError> {
        self.remove_failed_steps(&|name, _| {
            self.is_old(&format!("{FAILED}/{name}/{ABOUT}"), min_age).unwrap_or(false)
        })
    }

    /// Where the folder of a kept failed step is.
    #[must_use]
    pub fn failed_step_path(&self, name: &str) -> PathBuf {
        self.path().join(Path::new(FAILED)).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::LayerUser;
    use super::*;
    use crate::layer::Flavour;

    #[test]
    fn what_is_held_stays_and_the_rest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let temp = store.temp().unwrap();
        temp.make_dir("fs", 0o755).unwrap();
        std::fs::write(temp.path().join("fs/file"), "left").unwrap();
        store.keep_failed_step("1", Some(temp), &[LayerId([7; 32])], b"one").unwrap();
        store.keep_failed_step("2", None, &[], b"two").unwrap();
        assert_eq!(store.failed_steps().unwrap(), ["1", "2"]);
        let user = LayerUser::FailedStep("1".to_owned());
        assert!(store.layers_in_use().unwrap()[&LayerId([7; 32])].contains(&user));
        let held = store.hold_failed_step("1").unwrap().unwrap();
        assert!(store.hold_failed_step("1").unwrap().is_none());
        assert_eq!(std::fs::read(held.upper().join("file")).unwrap(), b"left");
        held.scratch("work").unwrap();
        held.scratch("work").unwrap();
        assert_eq!(store.expire_failed_steps(FAILED_STEPS_STAY).unwrap().0, 0);
        assert_eq!(store.expire_failed_steps(Duration::ZERO).unwrap().0, 1);
        assert_eq!(store.failed_steps().unwrap(), ["1"]);
        drop(held);
        assert_eq!(store.remove_failed_steps(&|_, about| about == b"two").unwrap().0, 0);
        assert_eq!(store.remove_failed_steps(&|_, about| about == b"one").unwrap().0, 1);
        assert_eq!(store.names_in("tmp").unwrap(), [""; 0]);
    }
}
