//! A tag of a repository as a place where a cache travels: see [`crate::place`].

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::auth::Scope;
use super::client::{Registry, Repository};
use super::error::RegistryError;
use super::platforms;
use super::progress::Silent;
use super::retry::Retry;
use super::transfer::{BlobStream, upload};
use crate::digest::{BlobDigest, Digest, ManifestDigest};
use crate::manifest::{Descriptor, Kind, media_type};
use crate::place::{self, Address, CACHE_CONFIG, CACHE_PREVIOUS, Head, PlaceError, Stored};
use crate::platform::Platform;
use crate::reference::Reference;

/// A tag of a repository. Its manifest is the head; where the tag names an index, it is the one for the platform.
#[derive(Debug)]
pub struct Place {
    registry: Registry,
    reference: Reference,
    platform: Platform,
}

impl Place {
    /// The artifact that `reference` names; `latest` without a tag. Opens no connection.
    #[must_use]
    pub fn new(registry: Registry, reference: Reference, platform: Platform) -> Self {
        Self { registry, reference: reference.with_default_tag(), platform }
    }

    fn with<T>(
        &self,
        writes: Access,
        work: impl FnOnce(&Repository<'_>) -> Result<T, RegistryError>,
    ) -> Result<T, PlaceError> {
        let retry = Retry::new(self.registry.settings(), &Silent);
        let path = self.reference.path();
        let scope = match writes {
            Access::Read => Scope::pull(path),
            Access::Write => Scope::push(path),
            Access::Delete => Scope::delete(path),
        };
        let endpoint = self.registry.endpoint(self.reference.domain())?;
        Ok(work(&self.registry.repository(endpoint, path, scope, &retry))?)
    }
}

/// What a token has to allow.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
    Delete,
}

impl place::Place for Place {
    fn name(&self) -> String {
        format!("registry {}", self.reference.familiar())
    }

    fn address(&self) -> Address {
        Address::Registry { reference: self.reference.canonical() }
    }

    fn head(&self) -> Result<Option<Vec<u8>>, PlaceError> {
        let asked = match self.reference.digest() {
            Some(digest) => digest.to_string(),
            None => self.reference.tag().unwrap_or("latest").to_owned(),
        };
        self.with(Access::Read, |repository| {
            let found = match repository.manifest(&asked, self.reference.digest()) {
                Err(RegistryError::NotFound(_)) => return Ok(None),
                found => found?,
            };
            let Kind::Index(index) = &found.kind else { return Ok(Some(found.raw.bytes)) };
            let chosen = platforms::choose(index, &self.platform).ok_or_else(|| {
                RegistryError::NoPlatform { what: repository.name(), wanted: Box::new(self.platform.clone()) }
            })?;
            let found = repository.manifest(&chosen.digest.to_string(), Some(chosen.digest.0))?;
            Ok(Some(found.raw.bytes))
        })
    }

    fn read(&self, blob: &Descriptor, out: &mut dyn Write) -> Result<(), PlaceError> {
        self.with(Access::Read, |repository| {
            let mut stream = BlobStream::new(repository, blob.digest, blob.size);
            let mut piece = vec![0; 256 << 10];
            loop {
                let count = stream.read(&mut piece)?;
                if count == 0 {
                    return Ok(());
                }
                out.write_all(&piece[..count])
                    .map_err(RegistryError::file("write", format!("blob {}", blob.digest)))?;
            }
        })
    }

    fn has(&self, blob: &Descriptor) -> Result<bool, PlaceError> {
        self.with(Access::Write, |repository| repository.has_blob(blob.digest))
    }

    fn write(&self, blob: &Descriptor, file: &Path) -> Result<(), PlaceError> {
        self.with(Access::Write, |repository| {
            upload(repository, blob.digest, blob.size, None, || {
                let file = File::open(file).map_err(RegistryError::file("open", file))?;
                Ok(Box::new(file))
            })
        })
    }

    fn switch(&self, manifest: &[u8]) -> Result<(), PlaceError> {
        let tag = self.reference.tag().unwrap_or("latest");
        self.with(Access::Write, |repository| {
            repository.put_manifest(tag, media_type::OCI_MANIFEST, manifest)
        })
    }

    /// The artifacts under all tags, and those whose place they took.
    fn heads(&self) -> Result<Vec<Head>, PlaceError> {
        let tags = self.registry.tags(&self.reference, &Silent)?;
        self.with(Access::Read, |repository| {
            let (mut heads, mut seen) = (Vec::new(), BTreeSet::new());
            for tag in tags {
                let found = match repository.manifest(&tag, None) {
                    Err(RegistryError::NotFound(_)) => continue,
                    found => found?,
                };
                // Images have lives of their own.
                let Some(mut previous) = previous(&found.kind) else { continue };
                seen.insert(found.raw.digest);
                heads.push(Head { name: tag, manifest: found.raw.bytes, replaced: false });
                while let Some(digest) = previous.take().filter(|digest| seen.insert(*digest)) {
                    match repository.manifest(&digest.to_string(), Some(digest.0)) {
                        Err(RegistryError::NotFound(_)) => {}
                        found => {
                            let found = found?;
                            previous = self::previous(&found.kind).flatten();
                            heads.push(Head {
                                name: format!("@{digest}"),
                                manifest: found.raw.bytes,
                                replaced: true,
                            });
                        }
                    }
                }
            }
            Ok(heads)
        })
    }

    fn remove_head(&self, head: &Head) -> Result<(), PlaceError> {
        self.with(Access::Delete, |repository| repository.delete_manifest(Digest::of(&head.manifest)))
    }

    fn blobs(&self) -> Result<Vec<Stored>, PlaceError> {
        Ok(Vec::new())
    }

    fn remove_blob(&self, _digest: BlobDigest) -> Result<(), PlaceError> {
        Ok(())
    }
}

/// For a cache, the manifest whose place it took; None for anything else.
fn previous(kind: &Kind) -> Option<Option<ManifestDigest>> {
    let Kind::Manifest(manifest) = kind else { return None };
    let is_cache = manifest.config.media_type == CACHE_CONFIG;
    is_cache.then(|| manifest.annotations.get(CACHE_PREVIOUS).and_then(|text| text.parse().ok()))
}
