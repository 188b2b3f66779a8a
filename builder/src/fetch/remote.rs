//! The network as ADD sees it.

use std::sync::Arc;

use rbuild_image::store::Store;

use super::Http;
use super::git::{Checkout, Git, GitError, GitUrl};
use crate::cancel::Cancel;
use crate::copy::{CopyError, Fetch, Fetched};
use crate::lock::{Pin, Pins};
use crate::request::Request;

/// Downloads and checkouts, kept in a store.
#[derive(Debug)]
pub struct Remote {
    http: Http,
    git: Git,
    pins: Arc<Pins>,
}

impl Remote {
    /// With what a store remembers, and what a lock says. Repositories are fetched with the keys that the steps of
    /// the build get by default. What goes on ends with `cancel`.
    #[must_use]
    pub(crate) fn new(store: &Store, request: &Request, pins: Arc<Pins>, cancel: &Cancel) -> Self {
        let http = Http::new(store.clone(), request.proxies.clone(), cancel.clone());
        let git = Git::new(store.clone(), request.ssh.get("default").cloned(), cancel.clone());
        Self { http, git, pins }
    }

    /// A repository's files.
    ///
    /// # Errors
    /// See [`GitError`].
    pub fn checkout(&self, url: &GitUrl) -> Result<Checkout, GitError> {
        if url.names_commit() {
            return self.git.checkout(url);
        }
        let name = url.reference_name();
        match self.pins.git(&name)? {
            Pin::Free => {
                let checkout = self.git.checkout(url)?;
                self.pins.tell_git(&name, &checkout.commit);
                Ok(checkout)
            }
            Pin::Fixed(commit) => self.git.checkout(&GitUrl { reference: Some(commit), ..url.clone() }),
        }
    }

    fn locked(&self, url: &str, digest: &str) -> Result<Fetched, CopyError> {
        if let Some(known) = self.http.known(url, digest) {
            return Ok(known);
        }
        let (fetched, found) = self.http.download(url, None)?;
        if found != digest {
            return Err(CopyError::Download(self.pins.differs(url, digest, &found).to_string()));
        }
        Ok(fetched)
    }
}

impl Fetch for Remote {
    fn fetch(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, CopyError> {
        if checksum.is_some() {
            return self.http.get(url, checksum);
        }
        match self.pins.url(url).map_err(|cause| CopyError::Download(cause.to_string()))? {
            Pin::Fixed(digest) => self.locked(url, &digest),
            Pin::Free => {
                let (fetched, digest) = self.http.download(url, None)?;
                self.pins.tell_url(url, &digest);
                Ok(fetched)
            }
        }
    }

    fn checkout(
        &self,
        url: &str,
        checksum: Option<&str>,
        keep_git_dir: Option<bool>,
    ) -> Result<Checkout, CopyError> {
        let refuse = |text: String| CopyError::Unsupported(text);
        let mut url = GitUrl::parse(url).map_err(|cause| refuse(cause.to_string()))?;
        match (url.keep_git_dir, keep_git_dir) {
            (Some(here), Some(there)) if here != there => {
                return Err(refuse("inconsistent keep-git-dir configuration".to_owned()));
            }
            (here, there) => url.keep_git_dir = here.or(there),
        }
        match (url.commit.as_deref(), checksum) {
            (Some(here), Some(there)) if !here.starts_with(there) && !there.starts_with(here) => {
                return Err(refuse(format!("checksum mismatch {there:?} != {here:?}")));
            }
            (here, there) => {
                // The longer one promises more.
                let longer = here.into_iter().chain(there).max_by_key(|text| text.len());
                url.commit = longer.map(str::to_owned);
            }
        }
        let failed = |cause: GitError| CopyError::Download(format!("failed to load cache key: {cause}"));
        Self::checkout(self, &url).map_err(failed)
    }
}
