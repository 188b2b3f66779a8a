//! An archive whose first layer is in it before the image is known.
//!
//! A layer's tar is hashed for its DiffID anyway; who writes it to its place in the archive meanwhile reads it once
//! less. How the member is called and how long it is turns out at the end, and then goes into the gap before it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use super::save::{begin_blobs, blob_name};
use super::tarball;
use crate::digest::DiffId;
use crate::layer::TarSummary;

/// Takes the tar of the layer that an archive begins with.
#[derive(Debug)]
pub struct Begun {
    file: File,
    /// Where the layer's header belongs.
    gap: u64,
}

/// An archive as far as its first layer.
#[derive(Debug)]
pub struct Led {
    pub(super) file: File,
    pub(super) diff_id: DiffId,
}

impl Begun {
    /// Begins an archive in an empty file.
    ///
    /// # Errors
    /// When the file does not take it.
    pub fn new(mut file: File) -> io::Result<Self> {
        begin_blobs(&mut file)?;
        let gap = file.stream_position()?;
        file.write_all(&[0; tarball::HEADER])?;
        Ok(Self { file, gap })
    }

    /// Ends the layer. None if its length does not fit into the gap; the file is of no use then.
    ///
    /// # Errors
    /// When the file does not take it.
    pub fn end(mut self, tar: TarSummary) -> io::Result<Option<Led>> {
        let mut header = Vec::new();
        tarball::begin_file(&mut header, &blob_name(tar.diff_id.0), 0o444, tar.size)?;
        if header.len() != tarball::HEADER {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(self.gap))?;
        self.file.write_all(&header)?;
        self.file.seek(SeekFrom::End(0))?;
        tarball::end_file(&mut self.file, tar.size)?;
        Ok(Some(Led { file: self.file, diff_id: tar.diff_id }))
    }
}

impl Write for Begun {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
