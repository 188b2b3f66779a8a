//! The merged tree of a chain of layers as a source: `COPY --from`.

use std::os::fd::BorrowedFd;

use rbuild_image::layer::{DirNode, Follow, LayerError, Node, View};

use super::error::ContextError;
use super::meta::{Kind, Meta};
use super::path::show;
use super::source::Found;

/// A chain of layers. Owners and everything else stay as they are.
#[derive(Debug)]
pub(crate) struct Layers {
    view: View,
}

impl Layers {
    pub(crate) fn new(view: View) -> Self {
        Self { view }
    }

    pub(crate) fn root_of(&self, layer: u32) -> Option<BorrowedFd<'_>> {
        self.view.layer(layer as usize)
    }

    /// The directory at a path without links; `node` is the entry of that path if it is at hand.
    pub(crate) fn dir_of(&self, path: &[u8], node: Option<&Node>) -> Result<Option<DirNode>, ContextError> {
        match node {
            Some(node) => node.dir(),
            None => self.view.dir(path),
        }
        .map_err(failed(path))
    }

    pub(crate) fn list(dir: &DirNode) -> Result<Vec<Found>, ContextError> {
        let nodes = dir.children().map_err(failed(dir.path()))?;
        nodes.into_iter().map(found).collect()
    }

    pub(crate) fn stat(&self, path: &[u8]) -> Result<Option<Found>, ContextError> {
        match self.view.lookup(path, Follow::Never) {
            Ok(node) => node.map(found).transpose(),
            Err(LayerError::NotADirectory { .. }) => Ok(None),
            Err(cause) => Err(failed(path)(cause)),
        }
    }
}

/// The entry behind a node of a view.
pub(crate) fn found(node: Node) -> Result<Found, ContextError> {
    let name = node.name().to_vec();
    let Some((dir, file)) = node.place() else {
        return Ok(Found { name, layer: 0, meta: Meta::of_nothing(), link: None, node: Some(node) });
    };
    let meta = Meta::at(dir, file.to_bytes()).map_err(|cause| ContextError::io("stat", &name, cause))?;
    // The view knows where owners are kept.
    let meta = Meta { uid: node.metadata().uid, gid: node.metadata().gid, ..meta };
    let link = match meta.kind {
        Kind::Symlink => Some(node.read_link().map_err(failed(&name))?),
        _ => None,
    };
    let layer = node.layer().and_then(|number| u32::try_from(number).ok()).unwrap_or(u32::MAX);
    Ok(Found { name, layer, meta, link, node: Some(node) })
}

fn failed(path: &[u8]) -> impl FnOnce(LayerError) -> ContextError {
    let path = show(path);
    move |cause| ContextError::Layers { path, cause: cause.to_string() }
}
