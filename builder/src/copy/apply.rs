//! COPY and ADD, done.

use std::os::fd::BorrowedFd;

use rbuild_image::layer::{Flavour, Owners, View};

use super::error::CopyError;
use super::merge;
use super::reuse::Links;
use super::select::Selection;
use super::write::{self, Written};

/// Writes the layer that a selection makes of a destination into `upper`, an empty directory, in the form that
/// overlayfs mounts. Nothing is written if the rules of COPY forbid it.
///
/// `owners` says where the owners of the new files are kept. `upper` itself gets the attributes of the destination's root, as overlayfs would show them. What need
/// not be read of the layer to name it is returned.
///
/// # Errors
/// Directories and files in each other's way, a source that changed since it was selected, or a failing write;
/// `upper` is then of no use any more.
pub fn apply(
    selection: &Selection,
    dest: &View,
    upper: BorrowedFd<'_>,
    owners: Owners,
    links: Links<'_>,
) -> Result<Written, CopyError> {
    if selection.copy.link {
        // Made on nothing: such a layer does not depend on what is below it.
        let nothing = View::new(Vec::new(), Flavour::Trusted);
        let tree = merge::plan(selection, &nothing, upper)?;
        return write::write(tree, Some(selection), upper, owners, links);
    }
    let tree = merge::plan(selection, dest, upper)?;
    write::write(tree, Some(selection), upper, owners, links)
}
