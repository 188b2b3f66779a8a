//! Writing images: docker's format and an OCI layout over the same blobs (spec 8.8).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;

use serde::Serialize;

use super::begun::Led;
use super::error::ArchiveError;
use super::tarball;
use crate::digest::{BlobDigest, DiffId, Digest, Hasher, ImageId, ManifestDigest};
use crate::json::{to_vec_go, to_vec_go_pretty};
use crate::layer;
use crate::manifest::{Descriptor, Index, Kind, Manifest, annotation, media_type};
use crate::reference::Reference;
use crate::store::{
    Image, ImageIndex, KeptBlob, KeptManifest, Layer, Named, Store, StoreError, side_by_side,
};

const BUFFER: usize = 1 << 20;

/// What the archive is to be for its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `docker load` and every OCI reader.
    Docker,
    /// OCI readers alone: without `manifest.json`.
    Oci,
}

/// What is to be saved, and the names that it is to have in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The image, or the index with all its images.
    pub id: Named,
    /// Its names; may be none.
    pub names: Vec<Reference>,
}

/// Writes the images as one tar to `out`, which need not be seekable. Every layer's digest is verified, in this
/// process before or on the way: after an error what was written is not an archive. In [`Format::Oci`] an image that
/// came from elsewhere has the manifest and the blobs that it came with.
///
/// # Errors
/// When an image or layer is not in the store or not what its digest says, or `out` does not take it.
pub fn save(
    store: &Store,
    images: &[Selection],
    out: impl Write,
    format: Format,
) -> Result<(), ArchiveError> {
    write_without(store, images, &BTreeSet::new(), out, format)
}

/// The same for one image, after `led`. False if its archive does not begin with that layer; nothing was written then.
///
/// # Errors
/// As [`save()`].
pub fn save_led(store: &Store, image: &Selection, led: Led, format: Format) -> Result<bool, ArchiveError> {
    let mut archive = Archive::new(format);
    archive.add(store, image)?;
    if archive.lead != Some(led.diff_id.0) {
        return Ok(false);
    }
    let mut out = BufWriter::with_capacity(BUFFER, led.file);
    archive.write_rest(store, &mut out)?;
    out.flush().map_err(ArchiveError::Write)?;
    Ok(true)
}

/// Leaves out the bytes of layers; everything else speaks of them all the same.
pub(super) fn write_without(
    store: &Store,
    images: &[Selection],
    left_out: &BTreeSet<DiffId>,
    out: impl Write,
    format: Format,
) -> Result<(), ArchiveError> {
    let mut archive = Archive::new(format);
    for selection in images {
        archive.add(store, selection)?;
    }
    archive.blobs.retain(|digest, _| !left_out.contains(&DiffId(*digest)));
    let mut out = BufWriter::with_capacity(BUFFER, out);
    archive.write(store, &mut out)?;
    out.flush().map_err(ArchiveError::Write)
}

/// The manifest of an image, or the index of several with what it leads to, as [`save()`] writes it: layers are not
/// compressed. Returns the media type, too.
///
/// # Errors
/// As [`save()`].
pub fn manifest(store: &Store, what: Named) -> Result<(String, Vec<u8>), ArchiveError> {
    let mut archive = Archive::new(Format::Docker);
    archive.add(store, &Selection { id: what, names: Vec::new() })?;
    let descriptor = archive.index.pop().expect("something was added");
    match archive.blobs.remove(&descriptor.digest.0) {
        Some(Blob::Bytes(bytes)) => Ok((descriptor.media_type, bytes)),
        _ => unreachable!("a manifest is at hand"),
    }
}

struct Archive {
    format: Format,
    blobs: BTreeMap<Digest, Blob>,
    /// The uppermost layer of the first image, which comes before all others.
    lead: Option<Digest>,
    index: Vec<Descriptor>,
    docker: Vec<DockerImage>,
}

#[derive(Clone)]
enum Blob {
    Bytes(Vec<u8>),
    Layer {
        layer: Layer,
        diff_id: DiffId,
        size: u64,
    },
    /// A layer as it came.
    File {
        path: PathBuf,
        size: u64,
    },
}

impl Blob {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Layer { size, .. } | Self::File { size, .. } => *size,
        }
    }
}

/// One image in docker's `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    /// `null` when there are none.
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Archive {
    fn new(format: Format) -> Self {
        Self { format, blobs: BTreeMap::new(), lead: None, index: Vec::new(), docker: Vec::new() }
    }

    fn add(&mut self, store: &Store, selection: &Selection) -> Result<(), ArchiveError> {
        let tags: Vec<&Reference> = selection.names.iter().filter(|name| name.tag().is_some()).collect();
        let missing = || ArchiveError::NoImage(selection.id);
        let document = selection.names.first().map_or(Ok(None), |name| store.document(name))?;
        let descriptor = match selection.id {
            Named::Image(id) => self.add_image(store, id, document, Some(&tags))?,
            Named::Index(id) => {
                let index = store.index(id)?.ok_or_else(missing)?;
                self.add_images(store, &index, document, &tags)?
            }
        };
        self.add_to_index(&descriptor, &tags);
        Ok(())
    }

    /// Docker's format has one image for a name: that for this machine, as containerd exports it.
    fn add_images(
        &mut self,
        store: &Store,
        index: &ImageIndex,
        document: Option<ManifestDigest>,
        tags: &[&Reference],
    ) -> Result<Descriptor, ArchiveError> {
        let here = index.here();
        let manifests = index
            .images
            .iter()
            .map(|(_, id)| self.add_image(store, *id, document, (*id == here).then_some(tags)))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(document) = document.map_or(Ok(None), |digest| store.kept_manifest(digest))?
            && let Some(Kind::Index(kept)) = document.read()
            && kept.manifests.len() == manifests.len()
            && manifests.iter().all(|one| kept.manifests.iter().any(|entry| entry.digest == one.digest))
        {
            let bytes = Blob::Bytes(document.bytes);
            return Ok(self.put(document.digest.0, bytes, &document.media_type));
        }
        let bytes = to_vec_go_pretty(&Index {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.to_owned(),
            manifests,
            annotations: BTreeMap::new(),
        });
        Ok(self.put(Digest::of(&bytes), Blob::Bytes(bytes), media_type::OCI_INDEX))
    }

    /// Returns the manifest's descriptor. With `tags` the image is in docker's list, too.
    fn add_image(
        &mut self,
        store: &Store,
        id: ImageId,
        document: Option<ManifestDigest>,
        tags: Option<&[&Reference]>,
    ) -> Result<Descriptor, ArchiveError> {
        let image = store.image(id)?.ok_or(ArchiveError::NoImage(id.into()))?;
        // Docker's list wants layers that are not compressed.
        if self.format == Format::Oci
            && let Some(kept) = store.as_it_came(&image, document)?.filter(KeptManifest::is_whole)
        {
            return Ok(self.add_kept(&image, kept));
        }
        // Where DiffIDs or sizes are not known yet, all layers are hashed at once.
        let diff_ids = &image.config.rootfs.diff_ids;
        let wanted: Vec<_> = image.layers.iter().zip(diff_ids).collect();
        let layers = side_by_side(&wanted, |&(id, diff_id)| {
            let layer = store.layer(*id)?.ok_or(StoreError::NoLayer(*id))?;
            let size = measure(store, &layer, *diff_id)?;
            Ok::<_, ArchiveError>(Blob::Layer { layer, diff_id: *diff_id, size })
        })?;
        let config =
            self.put(Digest::of(&image.bytes), Blob::Bytes(image.bytes.clone()), media_type::OCI_CONFIG);
        let layers: Vec<Descriptor> = layers
            .into_iter()
            .zip(diff_ids)
            .map(|(blob, diff_id)| self.put(diff_id.0, blob, media_type::OCI_LAYER))
            .collect();
        self.lead = self.lead.or(layers.last().map(|layer| layer.digest.0));
        if let Some(tags) = tags {
            self.add_docker(&config, &layers, tags);
        }
        let manifest = to_vec_go_pretty(&Manifest {
            schema_version: 2,
            media_type: media_type::OCI_MANIFEST.to_owned(),
            config,
            layers,
            annotations: BTreeMap::new(),
        });
        let mut descriptor = self.put(Digest::of(&manifest), Blob::Bytes(manifest), media_type::OCI_MANIFEST);
        descriptor.platform = Some(image.config.platform());
        Ok(descriptor)
    }

    fn add_kept(&mut self, image: &Image, kept: KeptManifest) -> Descriptor {
        self.put(image.id.0, Blob::Bytes(image.bytes.clone()), media_type::OCI_CONFIG);
        self.lead = self.lead.or(kept.blobs.last().map(|blob| blob.descriptor.digest.0));
        for KeptBlob { descriptor, file, .. } in kept.blobs {
            if let Some(path) = file {
                let blob = Blob::File { path, size: descriptor.size };
                self.put(descriptor.digest.0, blob, &descriptor.media_type);
            }
        }
        let mut descriptor = self.put(kept.raw.digest.0, Blob::Bytes(kept.raw.bytes), &kept.raw.media_type);
        descriptor.platform = Some(image.config.platform());
        descriptor
    }

    fn put(&mut self, digest: Digest, blob: Blob, media_type: &str) -> Descriptor {
        let descriptor = Descriptor::new(media_type, BlobDigest(digest), blob.size());
        self.blobs.insert(digest, blob);
        descriptor
    }

    fn add_docker(&mut self, config: &Descriptor, layers: &[Descriptor], tags: &[&Reference]) {
        let tags: Vec<String> = tags.iter().map(|name| name.familiar()).collect();
        self.docker.push(DockerImage {
            config: blob_name(config.digest.0),
            repo_tags: (!tags.is_empty()).then_some(tags),
            layers: layers.iter().map(|layer| blob_name(layer.digest.0)).collect(),
        });
    }

    fn add_to_index(&mut self, descriptor: &Descriptor, tags: &[&Reference]) {
        if tags.is_empty() {
            self.index.push(descriptor.clone());
        }
        for name in tags {
            let mut descriptor = descriptor.clone();
            let tag = name.tag().unwrap_or_default().to_owned();
            descriptor.annotations.insert(annotation::IMAGE_NAME.to_owned(), name.canonical());
            descriptor.annotations.insert(annotation::REF_NAME.to_owned(), tag);
            self.index.push(descriptor);
        }
    }

    fn write(&self, store: &Store, out: &mut impl Write) -> Result<(), ArchiveError> {
        begin_blobs(out).map_err(ArchiveError::Write)?;
        if let Some((digest, blob)) = self.lead.and_then(|lead| self.blobs.get_key_value(&lead)) {
            write_blob(store, *digest, blob, out)?;
        }
        self.write_rest(store, out)
    }

    /// What follows on the first layer.
    fn write_rest(&self, store: &Store, out: &mut impl Write) -> Result<(), ArchiveError> {
        let index = to_vec_go(&Index {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.to_owned(),
            manifests: self.index.clone(),
            annotations: BTreeMap::new(),
        });
        for (digest, blob) in self.blobs.iter().filter(|(digest, _)| Some(**digest) != self.lead) {
            write_blob(store, *digest, blob, out)?;
        }
        tarball::file(out, "index.json", 0o644, &index).map_err(ArchiveError::Write)?;
        if self.format == Format::Docker {
            tarball::file(out, "manifest.json", 0o644, &to_vec_go(&self.docker))
                .map_err(ArchiveError::Write)?;
        }
        tarball::file(out, "oci-layout", 0o444, br#"{"imageLayoutVersion":"1.0.0"}"#)
            .and_then(|()| tarball::finish(out))
            .map_err(ArchiveError::Write)
    }
}

/// Begins an archive.
pub(super) fn begin_blobs(out: &mut impl Write) -> std::io::Result<()> {
    tarball::folder(out, "blobs/")?;
    tarball::folder(out, "blobs/sha256/")
}

pub(super) fn blob_name(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn write_blob(store: &Store, digest: Digest, blob: &Blob, out: &mut impl Write) -> Result<(), ArchiveError> {
    let name = blob_name(digest);
    match blob {
        Blob::Bytes(bytes) => tarball::file(out, &name, 0o444, bytes).map_err(ArchiveError::Write),
        Blob::Layer { layer, diff_id, size } => {
            tarball::begin_file(out, &name, 0o444, *size).map_err(ArchiveError::Write)?;
            let (found, written) = write_layer(store, layer, *diff_id, out)?;
            if found != *diff_id || written != *size {
                return Err(ArchiveError::CorruptLayer { member: name, expected: *diff_id, found });
            }
            tarball::end_file(out, *size).map_err(ArchiveError::Write)
        }
        Blob::File { path, size } => {
            tarball::begin_file(out, &name, 0o444, *size).map_err(ArchiveError::Write)?;
            let open = |source| ArchiveError::Temp { action: "open", path: path.clone(), source };
            let (DiffId(found), found_size) = copy(File::open(path).map_err(open)?, out)?;
            let (expected, found) = (BlobDigest(digest), BlobDigest(found));
            if found != expected || found_size != *size {
                let expected_size = *size;
                return Err(ArchiveError::CorruptBlob {
                    member: name,
                    expected,
                    expected_size,
                    found,
                    found_size,
                });
            }
            tarball::end_file(out, *size).map_err(ArchiveError::Write)
        }
    }
}

/// The length of the layer's tar in bytes.
fn measure(store: &Store, layer: &Layer, diff_id: DiffId) -> Result<u64, ArchiveError> {
    match layer.foreign_blob() {
        None => Ok(layer.tar()?.size),
        Some(blob) if blob.digest.0 == diff_id.0 => Ok(blob.size),
        Some(_) => Ok(write_layer(store, layer, diff_id, &mut std::io::sink())?.1),
    }
}

/// Writes the layer's tar: as it came, if it came from elsewhere. Returns what was written. A layer that this process
/// has just read for its digest is not hashed a second time.
fn write_layer(
    store: &Store,
    layer: &Layer,
    diff_id: DiffId,
    out: &mut impl Write,
) -> Result<(DiffId, u64), ArchiveError> {
    let failed = |source| ArchiveError::Layer { member: diff_id.to_string(), source };
    let (Some(blob), Some(path)) = (layer.foreign_blob(), layer.blob_path()) else {
        let folders = layer.open_fs()?;
        if layer.has_own_tar() {
            let size = layer::write_known_tar(folders.as_folders(), store.flavour(), out).map_err(failed)?;
            return Ok((layer.diff_id()?, size));
        }
        let tar = layer::write_tar(folders.as_folders(), store.flavour(), out).map_err(failed)?;
        return Ok((tar.diff_id, tar.size));
    };
    let open = |source| ArchiveError::Temp { action: "open", path: path.clone(), source };
    let file = File::open(&path).map_err(open)?;
    if blob.digest.0 == diff_id.0 {
        return copy(file, out);
    }
    let (_, inflated) = layer::decoder(file).map_err(open)?;
    copy(inflated, out)
}

fn copy(mut from: impl Read, out: &mut impl Write) -> Result<(DiffId, u64), ArchiveError> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let count = from.read(&mut buffer).map_err(ArchiveError::Read)?;
        if count == 0 {
            return Ok((DiffId(hasher.finish()), size));
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count]).map_err(ArchiveError::Write)?;
        size += count as u64;
    }
}
