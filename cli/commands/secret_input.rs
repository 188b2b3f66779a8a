//! Typing what nobody else should see.

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::exit::Failure;
use crate::ui;

/// Reads with `read` while the terminal on standard input does not show what is typed.
pub(super) fn hidden(read: impl FnOnce() -> Result<String, Failure>) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).map_err(|e| Failure::new(format!("terminal: {e}")))?;
    let mut silent = before.clone();
    // Signals stay as they are: after Ctrl-C the shell puts its own modes back.
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(|e| Failure::new(format!("terminal: {e}")))?;
    let text = read();
    // The line end was not shown either.
    ui::note("\n");
    tcsetattr(&stdin, OptionalActions::Now, &before).map_err(|e| Failure::new(format!("terminal: {e}")))?;
    text
}
