//! Files that are there as a whole or not at all.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::exit::Failure;

/// Writes a file beside its target first, so that a failure leaves what was there.
pub(super) fn write(path: &Path, write: impl FnOnce(File) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(format!("write {}: {e}", path.display()));
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    let file = File::create(partial).map_err(failed)?;
    let written = write(file);
    let written = written.and_then(|()| std::fs::rename(partial, path).map_err(failed));
    if written.is_err() {
        // The first failure is the one to report.
        let _ = std::fs::remove_file(partial);
    }
    written
}
