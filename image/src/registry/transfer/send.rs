//! One blob to a repository: there already, mounted, or sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::super::client::{Repository, Upload};
use super::super::error::RegistryError;
use super::super::progress::{Event, LayerState};
use crate::digest::BlobDigest;
use crate::manifest::Descriptor;

/// So many repositories are tried before a blob is sent.
pub(super) const MAX_MOUNTS: usize = 2;

/// Brings a layer's blob to the repository: from one of the repositories in `mounts`, else from `file`. Returns how
/// many bytes were sent.
pub(super) fn deliver(
    repository: &Repository<'_>,
    (digest, size): (BlobDigest, u64),
    mounts: &[String],
    file: &Path,
) -> Result<u64, RegistryError> {
    let say = |state| repository.retry.progress.event(Event::Layer { digest, size, state });
    let session = match reach(repository, (digest, size), mounts)? {
        Reached::There => return Ok(0),
        Reached::Missing(session) => session,
    };
    say(LayerState::Transferring);
    upload(repository, digest, size, session, || {
        let file = File::open(file).map_err(RegistryError::file("open", file))?;
        Ok(Box::new(file))
    })?;
    say(LayerState::Done);
    Ok(size)
}

/// Whether a blob is in the repository.
pub(super) enum Reached {
    /// It was, or it was mounted.
    There,
    /// It is not. The registry may have begun an upload in place of mounting it.
    Missing(Option<ureq::http::Uri>),
}

/// Looks for a layer's blob in the repository, and mounts it from one of those in `mounts`.
pub(super) fn reach(
    repository: &Repository<'_>,
    (digest, size): (BlobDigest, u64),
    mounts: &[String],
) -> Result<Reached, RegistryError> {
    let say = |state| repository.retry.progress.event(Event::Layer { digest, size, state });
    if repository.has_blob(digest)? {
        say(LayerState::Exists);
        return Ok(Reached::There);
    }
    let (is_mounted, session) = mount(repository, digest, mounts)?;
    if is_mounted {
        say(LayerState::Mounted);
        return Ok(Reached::There);
    }
    Ok(Reached::Missing(session))
}

/// Sends a config, unless the repository has it. Returns how many bytes were sent.
pub(super) fn deliver_config(
    repository: &Repository<'_>,
    config: &Descriptor,
    bytes: &[u8],
) -> Result<u64, RegistryError> {
    if repository.has_blob(config.digest)? {
        return Ok(0);
    }
    upload(repository, config.digest, config.size, None, || Ok(Box::new(bytes)))?;
    Ok(config.size)
}

/// Whether the blob could be had from another repository; if not, the upload that the registry began in its place.
fn mount(
    repository: &Repository<'_>,
    digest: BlobDigest,
    from: &[String],
) -> Result<(bool, Option<ureq::http::Uri>), RegistryError> {
    let mut session = None;
    for path in from {
        match repository.begin_upload(Some((digest, path))) {
            Ok(Upload::Mounted) => return Ok((true, None)),
            Ok(Upload::Session(uri)) => session = Some(uri),
            // Somebody else's repository, or one that is gone. Sending the blob will do.
            Err(RegistryError::Denied { .. } | RegistryError::NotFound(_) | RegistryError::Status { .. }) => {
            }
            Err(error) => return Err(error),
        }
    }
    Ok((false, session))
}

/// Sends a blob, from its start again when the line breaks. `open` gives its bytes.
pub(in super::super) fn upload<'a>(
    repository: &Repository<'_>,
    digest: BlobDigest,
    size: u64,
    session: Option<ureq::http::Uri>,
    open: impl Fn() -> Result<Box<dyn Read + 'a>, RegistryError>,
) -> Result<(), RegistryError> {
    let mut session = session;
    let mut tried = 0;
    loop {
        let begun = session.take();
        let result = open().and_then(|reader| upload_once(repository, digest, size, begun, reader));
        match result {
            Ok(()) => return Ok(()),
            Err(error) => repository.retry.again(&mut tried, error)?,
        }
        // The answer may have been lost, and not the blob.
        if repository.has_blob(digest)? {
            return Ok(());
        }
    }
}

fn upload_once(
    repository: &Repository<'_>,
    digest: BlobDigest,
    size: u64,
    session: Option<ureq::http::Uri>,
    reader: impl Read,
) -> Result<(), RegistryError> {
    let mut session = match session {
        Some(session) => session,
        None => match repository.begin_upload(None)? {
            Upload::Session(session) => session,
            Upload::Mounted => return Ok(()),
        },
    };
    let mut reader = Counted { inner: reader, repository, digest, size, done: 0 };
    let Some(chunk) = repository.settings().chunk.filter(|chunk| *chunk > 0 && *chunk < size) else {
        return repository.finish_upload(&session, digest, Some((&mut reader, size)));
    };
    let mut offset = 0;
    while offset < size {
        let length = chunk.min(size - offset);
        session = repository.send_chunk(&session, &mut reader.by_ref().take(length), offset, length)?;
        offset += length;
    }
    repository.finish_upload(&session, digest, None)
}

/// Tells how far an upload is, and ends it when another one has failed.
struct Counted<'a, R> {
    inner: R,
    repository: &'a Repository<'a>,
    digest: BlobDigest,
    size: u64,
    done: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let retry = self.repository.retry;
        retry.check().map_err(io::Error::other)?;
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        let (digest, done, total) = (self.digest, self.done, self.size);
        retry.progress.event(Event::Bytes { digest, done, total });
        Ok(count)
    }
}
