//! Base images that are files: `--build-context name=oci-layout://PATH[:TAG][@DIGEST]`, or an archive.

use std::path::Path;

use rbuild_image::archive::load_nameless;
use rbuild_image::platform::Platform;
use rbuild_image::store::{Image, Store};

/// What a [`NamedContext::Image`](rbuild_parser::plan::NamedContext::Image) begins with when it is an archive.
pub(crate) const ARCHIVE: &str = "archive://";
const LAYOUT: &str = "oci-layout://";

/// Whether an image's text means a file of this machine.
pub(crate) fn is_local(name: &str) -> bool {
    name.starts_with(ARCHIVE) || name.starts_with(LAYOUT)
}

/// Loads an image of an archive or a layout into the store, without giving it a name.
pub(crate) fn load(store: &Store, name: &str, platform: &str) -> Result<Image, String> {
    let failed = |cause: &dyn std::fmt::Display| format!("failed to load {name}: {cause}");
    let (path, only) = match name.strip_prefix(ARCHIVE) {
        Some(path) => (path, None),
        None => layout_parts(name.strip_prefix(LAYOUT).unwrap_or(name)),
    };
    let platform: Platform = platform.parse().map_err(|cause| failed(&cause))?;
    let loaded =
        load_nameless(store, Path::new(path), Some(&platform), only).map_err(|cause| failed(&cause))?;
    let found = match (loaded.as_slice(), only) {
        ([one], _) => one.id,
        ([], _) => return Err(failed(&"no image in it")),
        // As with image names; an archive has no tags to choose by here.
        (_, None) if name.starts_with(LAYOUT) => {
            let latest = load_nameless(store, Path::new(path), Some(&platform), Some("latest"));
            latest.map_err(|cause| failed(&cause))?.first().ok_or_else(|| failed(&"no image in it"))?.id
        }
        (several, _) => {
            return Err(failed(&format_args!("{} images in it, and one is needed", several.len())));
        }
    };
    let image = store.image_here(found).map_err(|cause| failed(&cause))?;
    image.ok_or_else(|| failed(&"it vanished from the store"))
}

/// `PATH[:TAG][@DIGEST]`; the digest counts.
fn layout_parts(text: &str) -> (&str, Option<&str>) {
    let (rest, digest) = match text.rsplit_once('@') {
        Some((rest, digest)) if digest.starts_with("sha256:") => (rest, Some(digest)),
        _ => (text, None),
    };
    match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, digest.or(Some(tag))),
        _ => (rest, digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (text, want) in [
            ("/a/b", ("/a/b", None)),
            ("/a/b:v1", ("/a/b", Some("v1"))),
            ("/a:b/c", ("/a:b/c", None)),
            ("/a/b@sha256:12", ("/a/b", Some("sha256:12"))),
            ("/a/b:v1@sha256:12", ("/a/b", Some("sha256:12"))),
        ] {
            assert_eq!(layout_parts(text), want, "{text}");
        }
    }
}
