//! `rbuild manifest`: manifests, and lists of them in the making.

mod annotate;
mod create;
mod indent;
mod inspect;
mod push;

use rbuild_image::reference::Reference;
use rbuild_image::registry::{Registry, RegistryError, Settings};
use rbuild_image::store::{ManifestList, Store};

use crate::args::{ManifestCommand, ManifestRmArgs};
use crate::exit::{Exit, FAILURE, Failure, Outcome};
use crate::ui::{self, Style};

/// Does what the command says.
pub(crate) fn run(command: &ManifestCommand, settings: Settings, store: &Store, style: Style) -> Outcome {
    match command {
        ManifestCommand::Annotate(args) => annotate::run(args, store),
        ManifestCommand::Create(args) => create::run(args, settings, store),
        ManifestCommand::Inspect(args) => inspect::run(args, settings, store),
        ManifestCommand::Push(args) => push::run(args, settings, store),
        ManifestCommand::Rm(args) => rm(args, store, style),
    }
}

/// Forgets lists. One that is not there does not keep the others.
fn rm(args: &ManifestRmArgs, store: &Store, style: Style) -> Outcome {
    let mut exit = Exit::OK;
    for text in &args.lists {
        if !store.remove_list(&name(text)?)? {
            ui::complain(&missing(text), style);
            exit = Exit(FAILURE);
        }
    }
    Ok(exit)
}

/// A name as typed, with its tag.
fn name(text: &str) -> Result<Reference, Failure> {
    let name: Reference =
        text.parse().map_err(|e| Failure::new(format!("invalid reference format: {text:?}: {e}")))?;
    Ok(name.with_default_tag())
}

/// The name of a list: digests name what is finished.
fn list_name(text: &str) -> Result<Reference, Failure> {
    let name = name(text)?;
    if name.digest().is_some() {
        return Err(Failure::new(format!("{text}: a manifest list has a tag and no digest")));
    }
    Ok(name)
}

fn list(text: &str, store: &Store) -> Result<ManifestList, Failure> {
    store.list(&list_name(text)?)?.ok_or_else(|| missing(text))
}

fn missing(text: &str) -> Failure {
    Failure::new(format!("No such manifest: {text}"))
}

/// In docker's words, if a registry has nothing of that name.
fn missing_in_registry(name: &Reference, error: RegistryError) -> Failure {
    match error {
        RegistryError::NotFound(_) => Failure::new(format!("no such manifest: {}", name.canonical())),
        error => error.into(),
    }
}

/// A client; with `insecure` one that trusts the registries of these names as it trusts loopback.
fn registry(mut settings: Settings, insecure: bool, names: &[&Reference]) -> Registry {
    if insecure {
        settings.insecure.extend(names.iter().map(|name| name.domain().to_owned()));
    }
    Registry::new(settings)
}
