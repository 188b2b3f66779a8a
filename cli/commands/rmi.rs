//! `rbuild rmi`, `rbuild image rm`.

use rbuild_image::reference::Reference;
use rbuild_image::store::{Named, ResolveError, Store};
use rbuild_runtime::container::{self, State};

use super::find;
use crate::args::RmiArgs;
use crate::exit::{Exit, FAILURE, Failure, Outcome};
use crate::ui::{self, Style};

/// Removes names, and images that have none left. One that fails does not keep the others.
pub(crate) fn run(args: &RmiArgs, store: &Store, style: Style) -> Outcome {
    let mut exit = Exit::OK;
    for text in &args.images {
        match remove(text, args.force, store) {
            Ok(done) => ui::print(&done)?,
            Err(failure) if args.force && failure.code == FAILURE && is_missing(text, store) => {}
            Err(failure) => {
                ui::complain(&failure, style);
                exit = Exit(failure.code);
            }
        }
    }
    Ok(exit)
}

/// `rmi -f` of what is not there is no failure (docker).
fn is_missing(text: &str, store: &Store) -> bool {
    matches!(store.resolve(text), Err(ResolveError::NotFound(_)))
}

/// What was done, in docker's words.
fn remove(text: &str, force: bool, store: &Store) -> Result<String, Failure> {
    let found = find::meaning(store, text)?;
    let names = find::names_by_meaning(store)?.remove(&found).unwrap_or_default();
    match named(text, &names) {
        Some(name) if names.len() > 1 => untag(name, store),
        Some(name) => {
            refuse_if_used(found, Some(name), force, store)?;
            Ok(untag(name, store)? + &delete(found, store)?)
        }
        None => {
            let mut repositories: Vec<_> = names.iter().map(Reference::familiar_repository).collect();
            repositories.dedup();
            let id = find::short_hex(found);
            if repositories.len() > 1 && !force {
                return Err(Failure::new(format!(
                    "conflict: unable to delete {id} (must be forced) - image is referenced in multiple repositories"
                )));
            }
            if let (Named::Image(_), Some(name)) = (found, of_index(found, store)?) {
                return Err(Failure::new(format!(
                    "conflict: unable to delete {id} - it is one of the images of {}",
                    name.familiar()
                )));
            }
            refuse_if_used(found, None, force, store)?;
            let mut done = String::new();
            for name in &names {
                done += &untag(name, store)?;
            }
            Ok(done + &delete(found, store)?)
        }
    }
}

/// A name of an index that an image belongs to.
fn of_index(image: Named, store: &Store) -> Result<Option<Reference>, Failure> {
    let Named::Image(id) = image else { return Ok(None) };
    for (name, meaning) in store.names()? {
        if matches!(meaning, Named::Index(_)) && store.images_of(meaning)?.contains(&id) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The one of the names that was typed; None if it was an ID.
fn named<'a>(text: &str, names: &'a [Reference]) -> Option<&'a Reference> {
    let typed = text.parse::<Reference>().ok()?.with_default_tag().canonical();
    names.iter().find(|n| n.canonical() == typed)
}

fn untag(name: &Reference, store: &Store) -> Result<String, Failure> {
    if !store.remove_name(name)? && store.named(name)?.is_some() {
        return Err(Failure::new(format!(
            "{} is an image of the lower store, which is only read",
            name.familiar()
        )));
    }
    Ok(format!("Untagged: {}\n", name.familiar()))
}

/// An image, or an index with those of its images that have no other name.
fn delete(what: Named, store: &Store) -> Result<String, Failure> {
    let images = store.images_of(what)?;
    let mut done = String::new();
    if let Named::Index(id) = what {
        store.remove_index(id)?;
        done += &format!("Deleted: {id}\n");
    }
    let mut needed = Vec::new();
    for (_, meaning) in store.names()? {
        needed.extend(store.images_of(meaning)?);
    }
    let mut gone = Vec::new();
    for id in images.into_iter().filter(|id| !needed.contains(id)) {
        if store.remove_image(id)? || !store.is_below(id)? {
            done += &format!("Deleted: {id}\n");
            gone.push(id);
        }
    }
    store.forget_manifests(&gone)?;
    Ok(done)
}

/// Fails if a container stands on the image: by force only one that has ended loses it (docker).
fn refuse_if_used(what: Named, name: Option<&Reference>, force: bool, store: &Store) -> Result<(), Failure> {
    let containers = container::list(store).map_err(|error| Failure::new(error.to_string()))?;
    let images = store.images_of(what)?;
    let mut users = containers.iter().filter(|c| images.contains(&c.image) && !(c.remove && has_ended(c)));
    let running = |c: &&container::Listed| matches!(c.state, State::Running { .. });
    let short = find::short_hex(what);
    if let Some(user) = users.clone().find(running) {
        return Err(Failure::new(format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container {}",
            user.id.short()
        )));
    }
    let Some(user) = users.next().filter(|_| !force) else { return Ok(()) };
    let message = match name {
        Some(name) => format!(
            "conflict: unable to remove repository reference {:?} (must force) - container {} is using its referenced \
             image {short}",
            name.familiar(),
            user.id.short()
        ),
        None => format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container {}",
            user.id.short()
        ),
    };
    Err(Failure::new(message)
        .with_hint("rbuild system prune removes stopped containers; --force does not wait for it"))
}

fn has_ended(container: &container::Listed) -> bool {
    !matches!(container.state, State::Running { .. })
}
