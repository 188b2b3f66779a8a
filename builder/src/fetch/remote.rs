//! The network as ADD sees it.

use rbuild_image::registry::Proxies;
use rbuild_image::store::Store;

use super::Http;
use super::git::{Checkout, Git, GitError, GitUrl};
use crate::copy::{CopyError, Fetch, Fetched};

/// Downloads and checkouts, kept in a store.
#[derive(Debug)]
pub struct Remote {
    http: Http,
    git: Git,
}

impl Remote {
    /// With what a store remembers.
    #[must_use]
    pub fn new(store: &Store, proxies: Proxies) -> Self {
        Self { http: Http::new(store.clone(), proxies), git: Git::new(store.clone()) }
    }

    /// A repository's files.
    ///
    /// # Errors
    /// See [`GitError`].
    pub fn checkout(&self, url: &GitUrl) -> Result<Checkout, GitError> {
        self.git.checkout(url)
    }
}

impl Fetch for Remote {
    fn fetch(&self, url: &str, checksum: Option<&str>) -> Result<Fetched, CopyError> {
        self.http.get(url, checksum)
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
        self.git.checkout(&url).map_err(failed)
    }
}
