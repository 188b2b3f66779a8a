//! The bytes in which a layer is pushed: as it came, or compressed once and kept beside the layer.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::super::error::RegistryError;
use super::gzip::ParallelGzip;
use crate::digest::{BlobDigest, DiffId, HashingWriter};
use crate::layer::{self, TarSummary};
use crate::manifest::{Descriptor, media_type};
use crate::store::{Layer, PACKED, Store};

/// How layers that rbuild made are compressed. Layers from elsewhere stay as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// With a level from 1 to 9: what every registry and engine takes.
    Gzip(u32),
    /// With a level from 1 to 22: smaller and faster, and not read by engines before 2023.
    Zstd(i32),
    /// Not at all.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Self::Gzip(6)
    }
}

impl Compression {
    /// What files of it are called: `gzip-6`, `zstd-3`, `tar`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Gzip(level) => format!("gzip-{level}"),
            Self::Zstd(level) => format!("zstd-{level}"),
            Self::None => "tar".to_owned(),
        }
    }

    /// What [`Compression::name`] gave; None for anything else.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name.split_once('-') {
            None if name == "tar" => Some(Self::None),
            Some(("gzip", level)) => level.parse().ok().map(Self::Gzip),
            Some(("zstd", level)) => level.parse().ok().map(Self::Zstd),
            _ => None,
        }
        .filter(|found: &Self| found.name() == name)
    }
}

/// How a blob is compressed, as media types say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not compressed.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// A blob that can be sent.
#[derive(Debug)]
pub struct Packed {
    /// Its name.
    pub digest: BlobDigest,
    /// Its length in bytes.
    pub size: u64,
    /// How it is compressed.
    pub encoding: Encoding,
    /// It came with one of docker's media types.
    pub is_docker: bool,
    /// Where it lies in the store.
    pub file: PathBuf,
}

impl Packed {
    /// As a manifest of OCI's types has it.
    pub fn descriptor(&self) -> Descriptor {
        let media_type = match self.encoding {
            Encoding::Plain => media_type::OCI_LAYER,
            Encoding::Gzip => media_type::OCI_LAYER_GZIP,
            Encoding::Zstd => media_type::OCI_LAYER_ZSTD,
        };
        Descriptor::new(media_type, self.digest, self.size)
    }
}

/// The blob of a layer, if it needs no work.
pub(super) fn packed(
    store: &Store,
    layer: &Layer,
    compression: Compression,
) -> Result<Option<Packed>, RegistryError> {
    if let (Some(blob), Some(file)) = (layer.foreign_blob(), layer.blob_path()) {
        let is_there = fs::metadata(&file).is_ok_and(|found| found.len() == blob.size);
        let encoding = match blob.media_type.as_str() {
            name if name.ends_with("gzip") => Encoding::Gzip,
            name if name.ends_with("zstd") => Encoding::Zstd,
            _ => Encoding::Plain,
        };
        let is_docker = blob.media_type.starts_with("application/vnd.docker.");
        let (digest, size) = (blob.digest, blob.size);
        return Ok(is_there.then_some(Packed { digest, size, encoding, is_docker, file }));
    }
    let name = kept_name(layer, compression);
    let text = store.read_small(&name)?.unwrap_or_default();
    let text = String::from_utf8(text).unwrap_or_default();
    // Without the line end it was cut off.
    let Some((digest, size)) = text.strip_suffix('\n').and_then(|line| line.split_once(' ')) else {
        return Ok(None);
    };
    let (Ok(digest), Ok(size)) = (digest.parse(), size.parse()) else { return Ok(None) };
    let file = store.path().join(format!("{name}.blob"));
    if !fs::metadata(&file).is_ok_and(|found| found.len() == size) {
        return Ok(None);
    }
    Ok(Some(Packed { digest, size, encoding: encoding(compression), is_docker: false, file }))
}

/// The blob of a layer, compressed now if it must be. Its tar must be `diff_id`.
///
/// # Errors
/// When the layer cannot be read, or is not what it should be.
pub fn pack(
    store: &Store,
    layer: &Layer,
    diff_id: DiffId,
    compression: Compression,
) -> Result<Packed, RegistryError> {
    if let Some(packed) = packed(store, layer, compression)? {
        return Ok(packed);
    }
    let temp = store.temp()?;
    let path = temp.path().join("blob");
    let file = File::create_new(&path).map_err(RegistryError::file("create", &path))?;
    let out = HashingWriter::new(BufWriter::with_capacity(1 << 20, file));
    let (tar, out) = write(store, layer, compression, out)
        .map_err(|source| RegistryError::Layer { blob: diff_id.to_string(), source })?;
    let (mut file, digest, size) = out.finish();
    file.flush().map_err(RegistryError::file("write", &path))?;
    if tar.diff_id != diff_id {
        let (expected, found) = (BlobDigest(diff_id.0), BlobDigest(tar.diff_id.0));
        return Err(RegistryError::Corrupt {
            what: format!("layer {} of the store", layer.id()),
            expected,
            found,
        });
    }
    keep_packed(store, layer, compression, &path, (BlobDigest(digest), size))
}

/// Keeps a blob that is known to be the layer's, compressed that way, so that it need not be compressed again. `file`
/// lies on the store's file system, and is moved.
///
/// # Errors
/// When it cannot be moved.
pub fn keep_packed(
    store: &Store,
    layer: &Layer,
    compression: Compression,
    file: &Path,
    (digest, size): (BlobDigest, u64),
) -> Result<Packed, RegistryError> {
    let name = kept_name(layer, compression);
    let kept = store.path().join(format!("{name}.blob"));
    let folder = kept.parent().unwrap_or(store.path());
    fs::create_dir_all(folder).map_err(RegistryError::file("create", folder))?;
    fs::rename(file, &kept).map_err(RegistryError::file("keep", &kept))?;
    store.write_small(&name, format!("{digest} {size}\n").as_bytes())?;
    Ok(Packed { digest, size, encoding: encoding(compression), is_docker: false, file: kept })
}

fn write<W: Write + Send>(
    store: &Store,
    layer: &Layer,
    compression: Compression,
    mut out: W,
) -> Result<(TarSummary, W), layer::LayerError> {
    let folders = layer.open_fs().map_err(|error| layer::LayerError::Write(io::Error::other(error)))?;
    let failed = layer::LayerError::Write;
    Ok(match compression {
        Compression::None => (layer::write_tar(folders.as_folders(), store.flavour(), &mut out)?, out),
        Compression::Gzip(level) => {
            let mut gzip = ParallelGzip::new(out, level).map_err(failed)?;
            let tar = layer::write_tar(folders.as_folders(), store.flavour(), &mut gzip)?;
            (tar, gzip.finish().map_err(failed)?)
        }
        Compression::Zstd(level) => {
            let mut zstd = zstd::stream::write::Encoder::new(out, level).map_err(failed)?;
            let tar = layer::write_tar(folders.as_folders(), store.flavour(), &mut zstd)?;
            (tar, zstd.finish().map_err(failed)?)
        }
    })
}

fn encoding(compression: Compression) -> Encoding {
    match compression {
        Compression::Gzip(_) => Encoding::Gzip,
        Compression::Zstd(_) => Encoding::Zstd,
        Compression::None => Encoding::Plain,
    }
}

fn kept_name(layer: &Layer, compression: Compression) -> String {
    format!("{}{PACKED}{}", layer.notes_path(), compression.name())
}
