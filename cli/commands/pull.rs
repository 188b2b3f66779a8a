//! `rbuild pull`, `rbuild image pull`.

use rbuild_image::reference::Reference;
use rbuild_image::registry::{Pulled, Registry};
use rbuild_image::store::Store;
use serde_json::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::settings::PullSettings;
use crate::ui::{self, Direction, Transfer};

/// Fetches an image, or all images of a repository.
pub(crate) fn run(settings: &PullSettings, registry: &Registry, store: &Store) -> Outcome {
    let name = &settings.name;
    let talk = |text: String| if settings.quiet { Ok(()) } else { ui::print(&text) };
    if settings.default_tag {
        talk("Using default tag: latest\n".to_owned())?;
    }
    let mut any_new = false;
    for one in names(settings, registry)? {
        talk(format!("{}: Pulling from {}\n", version(&one), repository(&one)))?;
        let pulled = pull(settings, &one, registry, store)?;
        any_new |= pulled.is_new;
        talk(format!("Digest: {}\n", pulled.digest))?;
    }
    let shown = if settings.all_tags { name.familiar_repository() } else { name.familiar() };
    talk(if any_new {
        format!("Status: Downloaded newer image for {shown}\n")
    } else {
        format!("Status: Image is up to date for {shown}\n")
    })?;
    ui::print(&format!("{}\n", name.canonical()))?;
    Ok(Exit::OK)
}

/// What is asked for; for a whole repository its tags.
fn names(settings: &PullSettings, registry: &Registry) -> Result<Vec<Reference>, Failure> {
    if !settings.all_tags {
        return Ok(vec![settings.name.clone()]);
    }
    let repository = settings.name.canonical();
    let view = Transfer::new(Direction::Pull, settings.progress, &repository);
    let mut names = Vec::new();
    for tag in registry.tags(&settings.name, &view).map_err(|error| view.failed(error.into()))? {
        let name = format!("{repository}:{tag}");
        names.push(name.parse().map_err(|e| Failure::new(format!("the registry has a tag {tag:?}: {e}")))?);
    }
    if names.is_empty() {
        return Err(Failure::new(format!("{repository}: the repository has no tags")));
    }
    Ok(names)
}

fn pull(
    settings: &PullSettings,
    name: &Reference,
    registry: &Registry,
    store: &Store,
) -> Result<Pulled, Failure> {
    let view = Transfer::new(Direction::Pull, settings.progress, &name.canonical());
    let pull = || {
        let mut all: Option<Pulled> = None;
        for options in &settings.options {
            // The first one takes the place of what the name meant.
            let pulled = match all {
                None => registry.pull(store, name, options, &view)?,
                Some(_) => registry.pull_beside(store, name, options, &view)?,
            };
            all = Some(Pulled { is_new: pulled.is_new || all.is_some_and(|all| all.is_new), ..pulled });
        }
        all.ok_or_else(|| Failure::new("no platform was asked for"))
    };
    let pulled = pull().map_err(|failure| view.failed(failure))?;
    view.done(json!({"digest": pulled.digest.to_string(), "new": pulled.is_new}));
    Ok(pulled)
}

/// The tag or digest, as docker's first line shows it.
fn version(name: &Reference) -> String {
    match name.digest() {
        Some(digest) => digest.to_string(),
        None => name.tag().unwrap_or("latest").to_owned(),
    }
}

/// As docker's first line shows it: Docker Hub's by its path, others with the domain left out as well.
fn repository(name: &Reference) -> &str {
    name.path()
}
