//! How much text variables may become.

use std::cell::Cell;

use super::error::Problem;

/// What the variables of one file may cost, in bytes that are written and steps that patterns take. `ENV A=$A$A`
/// doubles a value, so that thirty such lines would fill the memory of any machine.
#[derive(Debug)]
pub struct Budget(Cell<usize>);

/// Far more than a process can be given as its environment.
const WHOLE: usize = 1 << 26;

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(WHOLE))
    }
}

impl Budget {
    /// What has been spent.
    #[must_use]
    pub fn spent(&self) -> usize {
        WHOLE - self.0.get()
    }

    pub(super) fn spend(&self, cost: usize) -> Result<(), Problem> {
        self.0.set(self.0.get().checked_sub(cost).ok_or(Problem::TooMuch)?);
        Ok(())
    }
}
