//! `--chown` and the owner of WORKDIR's directories.

use std::fs::File;
use std::io::Read;

pub use rbuild_image::layer::Owner;
use rbuild_image::layer::{Follow, NodeKind, View};
use rbuild_runtime::users::{self, MAX_FILE_SIZE};

use super::error::CopyError;

/// Resolves `user[:group]` with the names of a file system (spec 3.3). `names` is None where there are none: on
/// `scratch`, and with `--link`.
///
/// # Errors
/// A name where there are no names; a `passwd` or `group` that cannot be read.
pub(crate) fn resolve(spec: &str, names: Option<&View>) -> Result<Owner, CopyError> {
    let (mut passwd, mut group) = (None, None);
    if users::owner_needs_files(spec) {
        let Some(view) = names else { return Err(CopyError::NoNames { owner: spec.to_owned() }) };
        passwd = read(view, b"etc/passwd")?;
        group = read(view, b"etc/group")?;
    }
    let owner = users::owner(spec, passwd.as_deref(), group.as_deref())?;
    Ok(Owner { uid: owner.uid, gid: owner.gid })
}

fn read(view: &View, path: &[u8]) -> Result<Option<Vec<u8>>, CopyError> {
    let Some(node) = view.lookup(path, Follow::Last)? else { return Ok(None) };
    let name = crate::context::path::show(path);
    if node.metadata().kind != NodeKind::File {
        return Err(CopyError::Unsupported(format!("{name} is not a regular file")));
    }
    let mut bytes = Vec::new();
    // One byte more than allowed, so that what is too large is refused and not cut off.
    File::from(node.open()?).take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(|cause| {
        CopyError::Unsupported(format!("failed to read {name} of the destination: {cause}"))
    })?;
    Ok(Some(bytes))
}
