//! How much text variables may become.

use std::cell::Cell;

use super::error::Problem;

/// What the variables of one file may cost, in bytes that are written and steps that patterns take. `ENV A=$A$A`
/// doubles a value, so that thirty such lines would fill the memory of any machine.
#[derive(Debug)]
pub struct Budget {
    left: Cell<usize>,
    is_spent: Cell<bool>,
}

/// Far more than a process can be given as its environment.
const WHOLE: usize = 1 << 26;

impl Default for Budget {
    fn default() -> Self {
        Self { left: Cell::new(WHOLE), is_spent: Cell::new(false) }
    }
}

impl Budget {
    /// What has been spent.
    #[must_use]
    pub fn spent(&self) -> usize {
        WHOLE - self.left.get()
    }

    /// True once something had to be refused: whatever follows is not what anybody wanted to see.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    pub(super) fn spend(&self, cost: usize) -> Result<(), Problem> {
        let left = self.left.get().checked_sub(cost);
        self.is_spent.set(self.is_spent.get() || left.is_none());
        self.left.set(left.ok_or(Problem::TooMuch)?);
        Ok(())
    }
}
