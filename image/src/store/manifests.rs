//! Manifests and indexes as they came.
//!
//! An image is its config and its layers, and many manifests can say that: with other media types, annotations, or
//! blanks. What came from a registry or a layout goes out again as it came, with the same digest, so its manifest is
//! kept, and so is the index that led to it. A file of `manifests/` is one line with the media type, and then the
//! document; it is called after the document's SHA-256, so every read proves it whole. Which of them a name came as is
//! said where names are.
//!
//! Nothing depends on them: where one is missing, or leads to a blob that is not here, another manifest of the same
//! image is made.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Image, Layer, Store, StoreError, disk};
use crate::digest::{DiffId, Digest, ImageId, ManifestDigest};
use crate::manifest::{Descriptor, Kind, Manifest, RawManifest};

const FOLDER: &str = "manifests";
/// How deep indexes may lie in indexes.
const MAX_NESTING: usize = 3;

/// The manifest that an image came with, and where its blobs are.
#[derive(Debug)]
pub struct KeptManifest {
    /// As it came.
    pub raw: RawManifest,
    /// What it says.
    pub manifest: Manifest,
    /// Its layers, lowest first.
    pub blobs: Vec<KeptBlob>,
}

/// A layer as a manifest has it.
#[derive(Debug)]
pub struct KeptBlob {
    /// The layer of the store.
    pub layer: Layer,
    /// Its DiffID.
    pub diff_id: DiffId,
    /// What the manifest says of the blob.
    pub descriptor: Descriptor,
    /// Exactly these bytes, if the store has them: the layer may be known from elsewhere, compressed otherwise.
    pub file: Option<PathBuf>,
}

impl KeptManifest {
    /// Whether the store has every blob.
    pub fn is_whole(&self) -> bool {
        self.blobs.iter().all(|blob| blob.file.is_some())
    }
}

impl Store {
    /// Keeps a manifest or an index. What is neither by its type is not kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_manifest(&self, raw: &RawManifest) -> Result<(), StoreError> {
        if raw.read().is_none() || self.kept_manifest(raw.digest)?.is_some() {
            return Ok(());
        }
        let file = [raw.media_type.as_bytes(), b"\n", &raw.bytes].concat();
        self.put_in(FOLDER, &raw.digest.0.hex(), &file)
    }

    /// A manifest or an index by its digest; `None` when it is not there or its file is not whole.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn kept_manifest(&self, digest: ManifestDigest) -> Result<Option<RawManifest>, StoreError> {
        let own = self.read_small(&path(digest))?.and_then(|file| parse(digest, &file));
        match (own, self.lower()) {
            (None, Some(lower)) => lower.kept_manifest(digest),
            (own, _) => Ok(own),
        }
    }

    /// The manifest of an image that `document` is or leads to; without one that leads there, the last that came.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn manifest_of(
        &self,
        image: ImageId,
        document: Option<ManifestDigest>,
    ) -> Result<Option<RawManifest>, StoreError> {
        if let Some(document) = document
            && let Some(found) = self.leads_to(document, image, MAX_NESTING)?
        {
            return Ok(Some(found));
        }
        self.last_manifest_of(image)
    }

    /// The same with the image's layers; `None` too if it does not fit them.
    ///
    /// # Errors
    /// When the store cannot be read, or a layer is not there.
    pub fn as_it_came(
        &self,
        image: &Image,
        document: Option<ManifestDigest>,
    ) -> Result<Option<KeptManifest>, StoreError> {
        let Some(raw) = self.manifest_of(image.id, document)? else { return Ok(None) };
        let Some(Kind::Manifest(manifest)) = raw.read() else { return Ok(None) };
        if manifest.layers.len() != image.layers.len() {
            return Ok(None);
        }
        let mut blobs = Vec::with_capacity(manifest.layers.len());
        let diff_ids = image.config.rootfs.diff_ids.iter();
        for ((id, diff_id), descriptor) in image.layers.iter().zip(diff_ids).zip(&manifest.layers) {
            let layer = self.layer(*id)?.ok_or(StoreError::NoLayer(*id))?;
            let file = layer.blob_file(descriptor.digest, descriptor.size)?;
            blobs.push(KeptBlob { layer, diff_id: *diff_id, descriptor: descriptor.clone(), file });
        }
        Ok(Some(KeptManifest { raw, manifest, blobs }))
    }

    /// Forgets the manifests of images that are gone, and the indexes that led to nothing else. Those of lists stay.
    ///
    /// # Errors
    /// When they cannot be read or removed.
    pub fn forget_manifests(&self, gone: &[ImageId]) -> Result<(), StoreError> {
        let listed = self.listed_manifests()?;
        let mut removed = BTreeSet::new();
        let mut indexes = Vec::new();
        for raw in self.own_manifests()?.into_iter().filter(|raw| !listed.contains(&raw.digest)) {
            match raw.read() {
                Some(Kind::Manifest(manifest)) if gone.contains(&ImageId(manifest.config.digest.0)) => {
                    self.remove_small(&path(raw.digest))?;
                    removed.insert(raw.digest);
                }
                Some(Kind::Index(index)) => indexes.push((raw.digest, index)),
                _ => {}
            }
        }
        let named = self.named_documents()?;
        for (digest, index) in indexes.into_iter().filter(|(digest, _)| !named.contains(digest)) {
            let mut parts = index.manifests.iter().map(|entry| ManifestDigest(entry.digest.0));
            if parts.clone().any(|part| removed.contains(&part)) && !parts.any(|part| self.has_manifest(part))
            {
                self.remove_small(&path(digest))?;
            }
        }
        Ok(())
    }

    /// The files of manifests and indexes that nothing needs: neither image, nor name, nor list.
    pub(super) fn unneeded_manifests(&self) -> Result<Vec<String>, StoreError> {
        let images: BTreeSet<ImageId> = self.own_image_ids()?.into_iter().collect();
        let mut needed = self.named_documents()?;
        needed.extend(self.listed_manifests()?);
        let mut unneeded = Vec::new();
        for name in self.names_in(FOLDER)? {
            let file = format!("{FOLDER}/{name}");
            let digest = Digest::from_hex(&name).ok().map(ManifestDigest);
            let raw = match digest {
                Some(digest) => self.read_small(&file)?.and_then(|bytes| parse(digest, &bytes)),
                None => None,
            };
            let is_needed = raw.is_some_and(|raw| {
                needed.contains(&raw.digest)
                    || matches!(raw.read(), Some(Kind::Manifest(manifest))
                        if images.contains(&ImageId(manifest.config.digest.0)))
            });
            if !is_needed {
                unneeded.push(file);
            }
        }
        Ok(unneeded)
    }

    /// Digests of files that are not what they are called after.
    pub(super) fn damaged_manifests(&self) -> Result<Vec<String>, StoreError> {
        let names = self.names_in(FOLDER)?;
        let is_damaged = |name: &String| {
            let digest = Digest::from_hex(name).ok().map(ManifestDigest);
            let whole = digest.map(|digest| {
                Ok(self.read_small(&path(digest))?.is_none_or(|file| parse(digest, &file).is_some()))
            });
            whole.unwrap_or(Ok(false)).map(|whole: bool| !whole)
        };
        names
            .into_iter()
            .filter_map(|name| match is_damaged(&name) {
                Ok(damaged) => damaged.then_some(Ok(name)),
                Err(error) => Some(Err(error)),
            })
            .collect()
    }

    fn has_manifest(&self, digest: ManifestDigest) -> bool {
        self.exists(&path(digest))
    }

    fn leads_to(
        &self,
        document: ManifestDigest,
        image: ImageId,
        depth: usize,
    ) -> Result<Option<RawManifest>, StoreError> {
        let Some(raw) = self.kept_manifest(document)? else { return Ok(None) };
        match raw.read() {
            Some(Kind::Manifest(manifest)) if manifest.config.digest.0 == image.0 => return Ok(Some(raw)),
            Some(Kind::Index(index)) if depth > 0 => {
                for entry in index.manifests {
                    let found = self.leads_to(ManifestDigest(entry.digest.0), image, depth - 1)?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
            }
            _ => {}
        }
        Ok(None)
    }

    fn last_manifest_of(&self, image: ImageId) -> Result<Option<RawManifest>, StoreError> {
        let mut last = None;
        for raw in self.own_manifests()? {
            let is_its =
                matches!(raw.read(), Some(Kind::Manifest(manifest)) if manifest.config.digest.0 == image.0);
            if !is_its {
                continue;
            }
            let file = path(raw.digest);
            let came = disk::modified(self.dir(), &file).map_err(StoreError::io("stat", &file))?;
            if last.as_ref().is_none_or(|(other, _)| *other < came) {
                last = Some((came, raw));
            }
        }
        match (last, self.lower()) {
            (Some((_, raw)), _) => Ok(Some(raw)),
            (None, Some(lower)) => lower.last_manifest_of(image),
            (None, None) => Ok(None),
        }
    }

    fn own_manifests(&self) -> Result<Vec<RawManifest>, StoreError> {
        let mut found = Vec::new();
        for name in self.names_in(FOLDER)? {
            let Ok(digest) = Digest::from_hex(&name).map(ManifestDigest) else { continue };
            found.extend(self.read_small(&path(digest))?.and_then(|file| parse(digest, &file)));
        }
        Ok(found)
    }
}

fn path(digest: ManifestDigest) -> String {
    format!("{FOLDER}/{}", digest.0.hex())
}

fn parse(digest: ManifestDigest, file: &[u8]) -> Option<RawManifest> {
    let end = file.iter().position(|byte| *byte == b'\n')?;
    let raw = RawManifest::new(std::str::from_utf8(&file[..end]).ok()?, file[end + 1..].to_vec());
    (raw.digest == digest).then_some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ImageConfig;
    use crate::digest::BlobDigest;
    use crate::json::to_vec_go;
    use crate::layer::Flavour;
    use crate::manifest::{Index, media_type};
    use crate::reference::Reference;

    fn manifest(config: ImageId, mark: &str) -> RawManifest {
        let manifest = Manifest {
            schema_version: 2,
            media_type: String::new(),
            config: Descriptor::new(media_type::OCI_CONFIG, BlobDigest(config.0), 1),
            layers: Vec::new(),
            annotations: [("mark".to_owned(), mark.to_owned())].into(),
        };
        RawManifest::new(media_type::OCI_MANIFEST, to_vec_go(&manifest))
    }

    #[test]
    fn a_name_leads_to_the_manifest_that_it_came_as_and_ids_to_one_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let image = store.put_image(&ImageConfig::default().to_bytes(), &[]).unwrap();
        let (one, two) = (manifest(image, "one"), manifest(image, "two"));
        let list = Index {
            schema_version: 2,
            media_type: String::new(),
            manifests: vec![one.descriptor()],
            annotations: Default::default(),
        };
        let index = RawManifest::new(media_type::OCI_INDEX, to_vec_go(&list));
        for raw in [&one, &two, &index] {
            store.keep_manifest(raw).unwrap();
        }
        let names = ["a", "b", "c"].map(|name| name.parse::<Reference>().unwrap());
        for (name, document) in names.iter().zip([Some(index.digest), Some(two.digest), None]) {
            store.set_name_as(name, image, document).unwrap();
            assert_eq!(store.document(name).unwrap(), document);
            assert_eq!(store.named(name).unwrap(), Some(image));
        }
        for (document, want) in [(Some(index.digest), &one), (Some(two.digest), &two)] {
            assert_eq!(store.manifest_of(image, document).unwrap().as_ref(), Some(want));
        }
        assert!(store.manifest_of(image, None).unwrap().is_some());
        assert!(store.unneeded_manifests().unwrap().is_empty());

        names.iter().for_each(|name| assert!(store.remove_name(name).unwrap()));
        assert_eq!(store.unneeded_manifests().unwrap(), [path(index.digest)], "no name leads to it");
        store.remove_image(image).unwrap();
        store.forget_manifests(&[image]).unwrap();
        assert!(store.names_in(FOLDER).unwrap().is_empty());
    }

    #[test]
    fn what_is_damaged_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let raw = manifest(ImageId(Digest::of(b"x")), "");
        store.keep_manifest(&raw).unwrap();
        assert!(store.damaged_manifests().unwrap().is_empty());
        store.write_small(&path(raw.digest), b"application/json\n{}").unwrap();
        assert_eq!(store.kept_manifest(raw.digest).unwrap(), None);
        assert_eq!(store.damaged_manifests().unwrap(), [raw.digest.0.hex()]);
        store.keep_manifest(&raw).unwrap();
        assert_eq!(store.kept_manifest(raw.digest).unwrap(), Some(raw));
    }
}
