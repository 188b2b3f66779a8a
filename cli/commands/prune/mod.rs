//! `rbuild system prune`, `rbuild image prune`, `rbuild cache prune`.

mod cache;
mod filter;
mod images;
mod remote;
mod system;

use std::io;

pub(crate) use cache::run as cache;
pub(crate) use images::run as images;
pub(crate) use remote::run as remote;
pub(crate) use system::run as system;

use crate::exit::Failure;
use crate::format::human;
use crate::ui::{self, Style};

/// Docker's question; anything but y is no.
fn confirmed(warning: &str, style: Style) -> Result<bool, Failure> {
    ui::warn(&format!("{warning}\nAre you sure you want to continue? [y/N]"), style);
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|e| Failure::new(format!("read standard input: {e}")))?;
    Ok(matches!(answer.trim(), "y" | "Y"))
}

fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("{title}\n{}\n\n", lines.join("\n")) }
}

fn reclaimed(before: u64, after: u64) -> String {
    format!("Total reclaimed space: {}\n", human::size(before.saturating_sub(after)))
}
