//! A manifest list to a name in a registry, with what it leads to: from the store, or from where the manifests were
//! found.

use std::io::{self, Read};

use super::super::auth::Scope;
use super::super::client::{Registry, Repository};
use super::super::error::RegistryError;
use super::super::progress::{Event, LayerState, Progress};
use super::super::retry::Retry;
use super::blob::BlobStream;
use super::make;
use super::pack::Compression;
use super::push::{Push, Pushed};
use super::send::{Reached, reach, upload};
use crate::digest::{BlobDigest, ImageId, ManifestDigest};
use crate::manifest::{Descriptor, Kind, Manifest, RawManifest};
use crate::reference::Reference;
use crate::store::{ListEntry, ManifestList, Store};

impl ManifestList {
    /// The index that is pushed: of docker's type if all manifests are.
    #[must_use]
    pub fn index(&self) -> RawManifest {
        make::index(self.entries.iter().map(|entry| entry.descriptor.clone()).collect())
    }
}

impl Registry {
    /// Sends a list to the registry of its name. Manifests that the repository lacks are sent first, with their blobs:
    /// those of images of the store from there, others from where they were found.
    ///
    /// # Errors
    /// When a manifest is to be found nowhere, or the registry does not take it.
    pub fn push_list(
        &self,
        store: &Store,
        list: &ManifestList,
        progress: &dyn Progress,
    ) -> Result<Pushed, RegistryError> {
        let name = list.name.clone().with_default_tag();
        let tag = name.tag().unwrap_or("latest");
        let mut scope = Scope::push(name.path());
        for entry in list.entries.iter().filter(|entry| entry.name.domain() == name.domain()) {
            if entry.name.path() != name.path() {
                scope = scope.with(Scope::pull(entry.name.path()));
            }
        }
        let retry = Retry::new(self.settings(), progress);
        let repository = self.repository(self.endpoint(name.domain())?, name.path(), scope, &retry);
        progress.event(Event::Resolving { image: &name.familiar(), host: repository.endpoint.host() });
        let push =
            Push { store, repository: &repository, reference: &name, compression: Compression::default() };
        let mut sent = 0;
        for entry in &list.entries {
            if !repository.has_manifest(entry.descriptor.digest.0)? {
                sent += self.send_entry(&push, entry)?;
            }
        }
        push.put(tag, &list.index(), sent)
    }

    fn send_entry(&self, push: &Push<'_>, entry: &ListEntry) -> Result<u64, RegistryError> {
        let digest = ManifestDigest(entry.descriptor.digest.0);
        let source = entry.name.clone().at(digest.0);
        let raw = match push.store.kept_manifest(digest)? {
            Some(raw) => raw,
            None => self.manifest(&source, push.repository.retry.progress)?,
        };
        let Some(Kind::Manifest(manifest)) = raw.read() else {
            return Err(RegistryError::document(&source.familiar(), "this is no manifest of an image"));
        };
        let sent = match self.send_from_store(push, &manifest, digest)? {
            Some(sent) => sent,
            None => self.pass_on(push, &manifest, &source)?,
        };
        Ok(push.put(&digest.to_string(), &raw, sent)?.sent)
    }

    /// None if the store does not have the image, or its layers otherwise.
    fn send_from_store(
        &self,
        push: &Push<'_>,
        manifest: &Manifest,
        digest: ManifestDigest,
    ) -> Result<Option<u64>, RegistryError> {
        let Some(image) = push.store.image(ImageId(manifest.config.digest.0))? else { return Ok(None) };
        match push.store.as_it_came(&image, Some(digest))? {
            Some(kept) if kept.raw.digest == digest => push.as_it_came(&image.bytes, &kept),
            _ => Ok(None),
        }
    }

    fn pass_on(
        &self,
        push: &Push<'_>,
        manifest: &Manifest,
        source: &Reference,
    ) -> Result<u64, RegistryError> {
        let Push { repository, reference, .. } = *push;
        let retry = Retry::new(self.settings(), repository.retry.progress);
        let endpoint = self.endpoint(source.domain())?;
        let from = self.repository(endpoint, source.path(), Scope::pull(source.path()), &retry);
        let mounts = match source.domain() == reference.domain() && source.path() != reference.path() {
            true => vec![source.path().to_owned()],
            false => Vec::new(),
        };
        let mut sent = 0;
        for Descriptor { digest, size, .. } in manifest.layers.iter().chain([&manifest.config]) {
            let (digest, size) = (*digest, *size);
            let say = |state| retry.progress.event(Event::Layer { digest, size, state });
            let Reached::Missing(session) = reach(repository, (digest, size), &mounts)? else { continue };
            say(LayerState::Transferring);
            upload(repository, digest, size, session, || Ok(Box::new(Passing::new(&from, digest, size))))?;
            say(LayerState::Done);
            sent += size;
        }
        Ok(sent)
    }
}

/// A blob on its way from one registry to the other; what is wrong with it the other one finds out.
struct Passing<'a>(BlobStream<'a>);

impl<'a> Passing<'a> {
    fn new(from: &'a Repository<'a>, digest: BlobDigest, size: u64) -> Self {
        Self(BlobStream::new(from, digest, size))
    }
}

impl Read for Passing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(io::Error::other)
    }
}
