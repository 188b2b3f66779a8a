//! `rbuild manifest annotate`.

use rbuild_image::platform::Platform;
use rbuild_image::store::Store;

use super::{list, name};
use crate::args::ManifestAnnotateArgs;
use crate::exit::{Exit, Failure, Outcome};

/// Changes what a list says of a manifest.
pub(super) fn run(args: &ManifestAnnotateArgs, store: &Store) -> Outcome {
    let mut list = list(&args.list, store)?;
    let wanted = name(&args.manifest)?;
    let listed = list.name.familiar();
    let entry = list.entries.iter_mut().find(|entry| entry.name == wanted).ok_or_else(|| {
        Failure::new(format!("manifest for image {} does not exist in {listed}", wanted.familiar()))
    })?;
    let old = entry.descriptor.platform.take();
    let mut platform = old.unwrap_or_else(|| Platform {
        architecture: String::new(),
        os: String::new(),
        os_version: None,
        os_features: Vec::new(),
        variant: None,
    });
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    set(&mut platform.architecture, &args.arch);
    set(&mut platform.os, &args.os);
    for feature in &args.os_features {
        if !platform.os_features.contains(feature) {
            platform.os_features.push(feature.clone());
        }
    }
    if args.os_version.is_some() {
        platform.os_version.clone_from(&args.os_version);
    }
    if args.variant.is_some() {
        platform.variant.clone_from(&args.variant);
    }
    if !platform.is_known() {
        return Err(Failure::new(format!(
            "manifest entry for image has unsupported os/arch combination: {}/{}",
            platform.os, platform.architecture
        )));
    }
    entry.descriptor.platform = Some(platform);
    store.put_list(&list)?;
    Ok(Exit::OK)
}
