//! The bytes of a blob, as if the line never broke.

use std::io::{self, Read};

use ureq::BodyReader;

use super::super::client::Repository;
use super::super::error::RegistryError;
use super::super::progress::Event;
use crate::digest::BlobDigest;

/// Reads a blob of a known length. What breaks off is taken up where it broke; what goes on too long is an error.
pub(in super::super) struct BlobStream<'a> {
    repository: &'a Repository<'a>,
    digest: BlobDigest,
    size: u64,
    /// Bytes handed out.
    done: u64,
    body: Option<BodyReader<'static>>,
    tried: u32,
}

impl<'a> BlobStream<'a> {
    pub(in super::super) fn new(repository: &'a Repository<'a>, digest: BlobDigest, size: u64) -> Self {
        Self { repository, digest, size, done: 0, body: None, tried: 0 }
    }

    /// The next bytes; 0 at the end, which is only there after `size` bytes.
    pub(in super::super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        let retry = self.repository.retry;
        loop {
            retry.check()?;
            match self.try_read(buffer) {
                Ok(count) => {
                    if count > 0 {
                        self.tried = 0;
                    }
                    self.done += count as u64;
                    let (digest, done, total) = (self.digest, self.done, self.size);
                    retry.progress.event(Event::Bytes { digest, done, total });
                    return Ok(count);
                }
                Err(error) => {
                    self.body = None;
                    retry.again(&mut self.tried, error)?;
                }
            }
        }
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        if self.body.is_none() {
            self.body = Some(self.open()?);
        }
        let Some(body) = &mut self.body else { return Ok(0) };
        let count = match body.read(buffer) {
            Ok(count) => count,
            Err(error) => return Err(self.broken(error)),
        };
        let left = self.size - self.done;
        if count as u64 > left {
            let what = self.what();
            return Err(RegistryError::TooLarge { what, limit: self.size });
        }
        if count == 0 && left > 0 {
            return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(count)
    }

    fn open(&self) -> Result<BodyReader<'static>, RegistryError> {
        let mut body = self.repository.blob(self.digest, self.size, self.done)?;
        // A registry that cannot begin in the middle sends again what we have.
        let again = self.done - body.from;
        let skipped = io::copy(&mut body.reader.by_ref().take(again), &mut io::sink());
        match skipped {
            Ok(skipped) if skipped == again => Ok(body.reader),
            Ok(_) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn broken(&self, source: io::Error) -> RegistryError {
        RegistryError::Connection { method: "GET", url: self.what(), source, transient: true }
    }

    fn what(&self) -> String {
        format!("blob {} of {}", self.digest, self.repository.name())
    }
}
