//! `rbuild save`.

use std::io;
use std::path::Path;

use rbuild_image::archive::{self, Format, Selection};
use rbuild_image::reference::Reference;
use rbuild_image::store::Store;

use super::find;
use crate::args::SaveArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::Environment;

/// Writes images as one archive that docker, podman and readers of OCI layouts take.
pub(crate) fn run(args: &SaveArgs, store: &Store, environment: &Environment) -> Outcome {
    let images = args.images.iter().map(|text| wanted(text, store)).collect::<Result<Vec<_>, _>>()?;
    match &args.output {
        Some(path) => to_file(path, &images, store)?,
        None if environment.stdout_is_terminal => {
            return Err(Failure::new("cowardly refusing to save to a terminal")
                .with_hint("use the -o flag or redirect the output"));
        }
        None => archive::save(store, &images, io::stdout().lock(), Format::Docker)?,
    }
    Ok(Exit::OK)
}

/// An image and the names that go with it: the one typed, or for an ID all that it has, as docker does it.
fn wanted(text: &str, store: &Store) -> Result<Selection, Failure> {
    let image = find::image(store, text)?;
    let names = find::names_by_image(store)?.remove(&image.id).unwrap_or_default();
    let typed = text.parse::<Reference>().ok().map(|r| r.with_default_tag().canonical());
    let one = names.iter().find(|n| Some(n.canonical()) == typed).cloned();
    Ok(Selection { id: image.id, names: one.map_or(names, |name| vec![name]) })
}

/// Beside the target first, so that a failure leaves what was there.
fn to_file(path: &Path, images: &[Selection], store: &Store) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(format!("write {}: {e}", path.display()));
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    let file = std::fs::File::create(partial).map_err(failed)?;
    let written = archive::save(store, images, file, Format::Docker).map_err(Failure::from);
    let written = written.and_then(|()| std::fs::rename(partial, path).map_err(failed));
    if written.is_err() {
        // The first failure is the one to report.
        let _ = std::fs::remove_file(partial);
    }
    written
}
