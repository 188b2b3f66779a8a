//! `rbuild push`, `rbuild image push`, and the pushing that `build --push` asks for.

use rbuild_image::reference::Reference;
use rbuild_image::registry::{PushOptions, Pushed, Registry};
use rbuild_image::store::Store;
use serde_json::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::settings::{ProgressMode, PushSettings};
use crate::ui::{self, Direction, Transfer};

/// Sends images to their registries. What is not in the store is found out before anything is sent.
pub(crate) fn run(settings: &PushSettings, registry: &Registry, store: &Store) -> Outcome {
    let names = if settings.all_tags { all_tags(&settings.names, store)? } else { settings.names.clone() };
    for name in &names {
        if store.meaning(name)?.is_none() {
            return Err(missing(&name.canonical()));
        }
    }
    for name in &names {
        if !settings.quiet {
            ui::print(&format!("The push refers to repository [{}]\n", canonical_repository(name)))?;
        }
        let pushed = push(name, &settings.options, registry, store, settings.progress)?;
        if settings.quiet {
            ui::print(&format!("{}\n", name.canonical()))?;
        } else {
            let tag = name.tag().unwrap_or("latest");
            ui::print(&format!("{tag}: digest: {} size: {}\n", pushed.digest, pushed.size))?;
        }
    }
    Ok(Exit::OK)
}

/// Sends one image.
pub(super) fn push(
    name: &Reference,
    options: &PushOptions,
    registry: &Registry,
    store: &Store,
    progress: ProgressMode,
) -> Result<Pushed, Failure> {
    let image = store.meaning(name)?.ok_or_else(|| missing(&name.canonical()))?;
    let view = Transfer::new(Direction::Push, progress, &name.canonical());
    let pushed = registry.push(store, image, name, options, &view);
    let pushed = pushed.map_err(|error| view.failed(error.into()))?;
    let Pushed { digest, size, sent } = pushed;
    view.done(json!({"digest": digest.to_string(), "size": size, "sent": sent}));
    Ok(pushed)
}

/// Every name that the store has in the repositories.
fn all_tags(repositories: &[Reference], store: &Store) -> Result<Vec<Reference>, Failure> {
    let known: Vec<Reference> = store.names()?.into_iter().map(|(name, _)| name).collect();
    let mut found = Vec::new();
    for repository in repositories {
        let canonical = canonical_repository(repository);
        let before = found.len();
        found.extend(
            known.iter().filter(|n| n.digest().is_none() && canonical_repository(n) == canonical).cloned(),
        );
        if found.len() == before {
            return Err(missing(&canonical));
        }
    }
    Ok(found)
}

fn canonical_repository(name: &Reference) -> String {
    name.clone().without_suffix().canonical()
}

fn missing(name: &str) -> Failure {
    Failure::new(format!("an image does not exist locally with the tag: {name}"))
}
