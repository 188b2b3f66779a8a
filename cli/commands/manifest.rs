//! `rbuild manifest inspect`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rbuild_image::archive;
use rbuild_image::digest::BlobDigest;
use rbuild_image::manifest::{Descriptor, Manifest, media_type};
use rbuild_image::reference::Reference;
use rbuild_image::registry::{ImageManifest, Registry, RegistryError};
use rbuild_image::store::{Named, Store};
use serde::Serialize;

use crate::args::ManifestInspectArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::ui::{self, Direction, Transfer};

/// Prints what a name leads to. What was built here is as `save` and `type=oci` write it; of what came from elsewhere
/// the registry has the manifest, and the store what it is about.
pub(crate) fn inspect(args: &ManifestInspectArgs, registry: &Registry, store: &Store) -> Outcome {
    let name: Reference = args
        .name
        .parse()
        .map_err(|e| Failure::new(format!("invalid reference format: {:?}: {e}", args.name)))?;
    let name = name.with_default_tag();
    let here = store.meaning(&name)?;
    if args.verbose {
        return verbose(&name, registry);
    }
    let bytes = match here {
        Some(what) if was_built(what, store)? => archive::manifest(store, what)?.1,
        here => from_registry(&name, here, registry, store)?,
    };
    ui::print_raw(&if args.raw { bytes } else { indented(&bytes) })?;
    Ok(Exit::OK)
}

/// A registry that has nothing of that name is no reason not to show what the store has.
fn from_registry(
    name: &Reference,
    here: Option<Named>,
    registry: &Registry,
    store: &Store,
) -> Result<Vec<u8>, Failure> {
    let view = Transfer::new(Direction::Pull, false, true);
    let found = registry.manifest(name, &view);
    view.leave();
    match (found, here) {
        (Ok(found), _) => Ok(found.bytes),
        (Err(RegistryError::NotFound(_) | RegistryError::Denied { .. }), Some(what)) => {
            Ok(archive::manifest(store, what)?.1)
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Whether a layer of it was made here: no registry has a manifest for that unless it was pushed.
fn was_built(what: Named, store: &Store) -> Result<bool, Failure> {
    for id in store.images_of(what)? {
        for layer in store.image(id)?.into_iter().flat_map(|image| image.layers) {
            if store.layer(layer)?.is_some_and(|layer| layer.foreign_blob().is_none()) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// As docker shows it: an object for an image, a list of them for an index.
fn verbose(name: &Reference, registry: &Registry) -> Outcome {
    let view = Transfer::new(Direction::Pull, false, true);
    let (is_list, images) = registry.image_manifests(name, &view)?;
    view.leave();
    let shown: Vec<Described<'_>> = images.iter().map(|image| Described::new(name, image)).collect();
    let bytes = match &shown[..] {
        [only] if !is_list => serde_json::to_vec(only)?,
        all => serde_json::to_vec(all)?,
    };
    ui::print_raw(&indented(&bytes))?;
    Ok(Exit::OK)
}

/// One image, in the order of docker.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described<'a> {
    r#ref: String,
    descriptor: Descriptor,
    /// In base 64.
    raw: String,
    #[serde(rename = "SchemaV2Manifest", skip_serializing_if = "Option::is_none")]
    docker: Option<&'a Manifest>,
    #[serde(rename = "OCIManifest", skip_serializing_if = "Option::is_none")]
    oci: Option<&'a Manifest>,
}

impl<'a> Described<'a> {
    fn new(name: &Reference, image: &'a ImageManifest) -> Self {
        let ImageManifest { raw, platform, manifest } = image;
        let is_docker = raw.media_type == media_type::DOCKER_MANIFEST;
        let descriptor = Descriptor::new(&raw.media_type, BlobDigest(raw.digest.0), raw.bytes.len() as u64);
        Self {
            r#ref: format!("{}@{}", name.clone().without_suffix().canonical(), raw.digest),
            descriptor: Descriptor { platform: platform.clone(), ..descriptor },
            raw: STANDARD.encode(&raw.bytes),
            docker: is_docker.then_some(manifest),
            oci: (!is_docker).then_some(manifest),
        }
    }
}

/// The same JSON with tabs, as docker shows it: members stay in their order, and numbers and texts as they are.
fn indented(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    let mut rest = json.iter().copied().filter(|byte| !byte.is_ascii_control()).peekable();
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b'\t', depth));
    };
    while let Some(byte) = rest.next() {
        if in_text {
            out.push(byte);
            in_text = is_escaped || byte != b'"';
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b' ' => {}
            b'{' | b'[' => {
                out.push(byte);
                while rest.next_if_eq(&b' ').is_some() {}
                match rest.next_if(|next| matches!(next, b'}' | b']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            _ => {
                in_text = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_nothing_else() {
        let text = "{ \"z\":[1 , 2],\n \"a\": { },\"b\":\"x, {\\\"}: y\" }";
        let want = "{\n\t\"z\": [\n\t\t1,\n\t\t2\n\t],\n\t\"a\": {},\n\t\"b\": \"x, {\\\"}: y\"\n}\n";
        assert_eq!(String::from_utf8_lossy(&indented(text.as_bytes())), want);
    }
}
