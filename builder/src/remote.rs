//! Build contexts that are not on this machine: git repositories, and what a URL gives.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use rbuild_image::store::{Store, TempDir};

use crate::copy::{Fetch, unpack_stream};
use crate::error::BuildError;
use crate::fetch::Remote;
use crate::fetch::git::{GitUrl, is_git_url};

/// Name of a file that is no archive, in a named context.
const SINGLE_FILE: &str = "context";
const HEAD: u64 = 1024;

/// The files of a context that was fetched.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// Where they are; None if a single file came.
    pub(crate) folder: Option<PathBuf>,
    /// Vanishes with this.
    pub(crate) unpacked: Option<TempDir>,
    /// The single file, from its beginning.
    pub(crate) file: Option<Arc<File>>,
    /// Time of the commit, or of the resource: what `SOURCE_DATE_EPOCH=context` stands for (spec 2.7).
    pub(crate) epoch: Option<i64>,
}

/// Fetches contexts.
pub(crate) struct Remotes<'a> {
    pub(crate) store: &'a Store,
    pub(crate) fetch: &'a Remote,
    /// `BUILDKIT_CONTEXT_KEEP_GIT_DIR`.
    pub(crate) keep_git_dir: bool,
}

impl Remotes<'_> {
    /// The main context: a repository, an archive, or a Dockerfile alone.
    pub(crate) fn main(&self, address: &str) -> Result<Arrived, BuildError> {
        if is_git_url(address) {
            return self.repository(address);
        }
        self.url(address)
    }

    /// A named context, where a file that is no archive becomes a folder with that file.
    pub(crate) fn named(&self, address: &str) -> Result<Arrived, BuildError> {
        let mut arrived = self.main(address)?;
        if let Some(file) = arrived.file.take() {
            let temp = self.store.temp()?;
            temp.make_dir("context", 0o755)?;
            let folder = temp.path().join("context");
            let copied = File::create_new(folder.join(SINGLE_FILE))
                .and_then(|mut copy| std::io::copy(&mut &*file, &mut copy));
            copied.map_err(|cause| failed(address, &cause))?;
            (arrived.folder, arrived.unpacked) = (Some(folder), Some(temp));
        }
        Ok(arrived)
    }

    fn repository(&self, address: &str) -> Result<Arrived, BuildError> {
        let mut url = GitUrl::parse(address).map_err(|cause| failed(address, &cause))?;
        url.keep_git_dir = url.keep_git_dir.or(self.keep_git_dir.then_some(true));
        let checkout = self.fetch.checkout(&url).map_err(|cause| failed(address, &cause))?;
        let epoch = Some(checkout.time);
        Ok(Arrived { folder: Some(checkout.folder()), unpacked: None, file: None, epoch })
    }

    fn url(&self, address: &str) -> Result<Arrived, BuildError> {
        let fetched = self.fetch.fetch(address, None).map_err(|cause| failed(address, &cause))?;
        let head = head(&fetched.file).map_err(|cause| failed(address, &cause))?;
        let dated = Some(fetched.mtime.secs).filter(|seconds| *seconds != 0);
        if !crate::inputs::is_archive(&head) {
            return Ok(Arrived { folder: None, unpacked: None, file: Some(fetched.file), epoch: dated });
        }
        let temp = self.store.temp()?;
        let into = temp.make_dir("context", 0o755)?;
        unpack_stream(&*fetched.file, into.as_fd()).map_err(|cause| failed(address, &cause))?;
        let folder = temp.path().join("context");
        let epoch = dated.or_else(|| newest(&folder));
        Ok(Arrived { folder: Some(folder), unpacked: Some(temp), file: None, epoch })
    }
}

fn head(mut file: &File) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.rewind()?;
    file.take(HEAD).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head)
}

/// Time of the newest regular file.
fn newest(folder: &std::path::Path) -> Option<i64> {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let times = entries.filter_map(|entry| {
        let meta = entry.metadata().ok()?;
        if meta.is_dir() { newest(&entry.path()) } else { meta.is_file().then(|| meta.mtime()) }
    });
    times.max()
}

fn failed(address: &str, cause: &dyn std::fmt::Display) -> BuildError {
    BuildError::Context { path: PathBuf::from(address), cause: cause.to_string() }
}
