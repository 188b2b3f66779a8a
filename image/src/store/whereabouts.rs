//! Noticing that a store was copied.
//!
//! What copied it may have left things out: `cp -r` and a plain `tar` lose owners, times and extended attributes, and
//! with them file capabilities. A layer that needed no proof where it was made needs one here. So the file `place`
//! says which folder the store was made in: its inode and when that was created. In any other folder the store is
//! in another *life*, which is part of what a layer says about when it was written and made durable; layers of an
//! earlier life have to prove themselves once. Moving the folder on its file system changes nothing.

use rustix::fs::{self, AtFlags, StatxFlags};

use super::{Store, StoreError};

const FILE: &str = "place";

impl Store {
    /// Empty in the folder that the store was made in, else a word for the folder that it is in now.
    pub(super) fn find_life(&self) -> Result<String, StoreError> {
        let here = self.whereabouts()?;
        let made_in = self.read_small(FILE)?.unwrap_or_default();
        let made_in = String::from_utf8(made_in).unwrap_or_default();
        match made_in.trim() {
            // New, or of an earlier version. A lower store is taken as it is.
            "" => {
                if let Err(error) = self.write_place(&here)
                    && !error.is_refused()
                {
                    return Err(error);
                }
                Ok(String::new())
            }
            place if place == here => Ok(String::new()),
            _ => Ok(here),
        }
    }

    fn write_place(&self, here: &str) -> Result<(), StoreError> {
        if self.is_read_only() { Ok(()) } else { self.write_small(FILE, format!("{here}\n").as_bytes()) }
    }

    fn whereabouts(&self) -> Result<String, StoreError> {
        let mask = StatxFlags::INO | StatxFlags::BTIME;
        let stat =
            fs::statx(self.dir(), c"", AtFlags::EMPTY_PATH, mask).map_err(StoreError::io("stat", "."))?;
        // File systems that keep no time of creation leave it zero.
        Ok(format!("{}-{}.{:09}", stat.stx_ino, stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec))
    }
}
