//! The store's copies of repositories.
//!
//! ```text
//! git/<hash of the remote>/lock           held by whoever fetches or checks out
//! git/<hash of the remote>/in-use         held, shared, by those who read checkouts
//! git/<hash of the remote>/repo.git       bare; each commit that was asked for has a reference
//! git/<hash of the remote>/trees/<name>   checkouts, whole and unchanging
//! ```

use std::fs::{self, File, FileTimes, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rbuild_image::store::{Store, StoreError};

use super::program::Program;
use super::url::GitUrl;
use crate::cancel::Cancel;

/// Why there is no checkout.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The address is none, or contradicts itself.
    #[error("{0}")]
    Url(String),
    /// The lock has something against it.
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    /// The program is not installed.
    #[error("the program git is needed to fetch a repository, and was not found")]
    NoProgram,
    /// There is no such branch, tag or reference.
    #[error("repository does not contain ref {0}")]
    NoReference(String),
    /// The reference leads to another commit than was promised.
    #[error("expected checksum to match {expected}, got {found}")]
    Checksum {
        /// As written.
        expected: String,
        /// The commit.
        found: String,
    },
    /// The commit has no such folder.
    #[error("failed to read the folder {0:?} of the repository: no such directory")]
    NoFolder(String),
    /// git failed.
    #[error("failed to {what}: git ended with {status}: {said}")]
    Failed {
        /// What was tried, as a verb.
        what: String,
        /// How it ended.
        status: String,
        /// What it wrote on standard error.
        said: String,
    },
    /// The store cannot be read or written.
    #[error("failed to {what} {path}: {cause}", path = .path.display())]
    Io {
        /// What was tried, as a verb.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The store has no room for temporary files.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Fetches repositories into a store.
#[derive(Debug)]
pub struct Git {
    store: Store,
    program: Program,
}

/// Files of a commit, in the store.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// The folder that all checkouts of the repository are in.
    pub parent: PathBuf,
    /// Path of the files below it: the checkout's name, and the folder that was asked for.
    pub path: String,
    /// The commit, in hexadecimal.
    pub commit: String,
    /// When it was made, in seconds since 1970.
    pub time: i64,
}

impl Checkout {
    /// Where the files are.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.parent.join(&self.path)
    }
}

impl Git {
    /// With the repositories of a store. For those behind ssh, the keys of `agent` are used: the socket of an SSH
    /// agent in the place of the environment's. What goes on ends with `cancel`.
    #[must_use]
    pub fn new(store: Store, agent: Option<PathBuf>, cancel: Cancel) -> Self {
        Self { store, program: Program::new(agent, cancel) }
    }

    /// One that fetches from folders of this machine.
    #[cfg(test)]
    pub(super) fn from_folders(store: Store) -> Self {
        Self::from_folders_until(store, Cancel::new())
    }

    /// The same, until `cancel` ends it.
    #[cfg(test)]
    pub(super) fn from_folders_until(store: Store, cancel: Cancel) -> Self {
        Self { store, program: Program::new(None, cancel).for_folders() }
    }

    /// Checks out what `url` asks for, unless the store has it: then only the reference is looked up, and not even
    /// that for a commit.
    ///
    /// # Errors
    /// See [`GitError`].
    pub fn checkout(&self, url: &GitUrl) -> Result<Checkout, GitError> {
        let name = blake3::hash(url.remote.as_bytes()).to_hex();
        let home = self.store.path().join("git").join(&name.as_str()[..32]);
        let trees = home.join("trees");
        self.hold(&home, &trees)?;
        let commit = self.resolve(url, &home)?;
        if let Some(expected) = url.commit.as_deref().filter(|expected| !commit.starts_with(expected)) {
            return Err(GitError::Checksum { expected: expected.to_owned(), found: commit });
        }
        let _lock = self.lock(&home)?;
        let repo = home.join("repo.git");
        let name = tree_name(url, &commit);
        self.fetch(url, &commit, &home, &repo)?;
        let time = self.time_of(&commit, &repo)?;
        let tree = trees.join(&name);
        if !tree.exists() {
            self.make_tree(url, &commit, &repo, &tree, time)?;
        }
        if !is_folder_of(&tree, &url.subdir) {
            return Err(GitError::NoFolder(url.subdir.clone()));
        }
        let path = if url.subdir.is_empty() { name } else { format!("{name}/{}", url.subdir) };
        Ok(Checkout { parent: trees, path, commit, time })
    }

    /// Keeps a repository and its checkouts from being removed until this process is done with the store.
    fn hold(&self, home: &Path, trees: &Path) -> Result<(), GitError> {
        let path = home.join("in-use");
        loop {
            fs::create_dir_all(trees).map_err(io_error("create", trees))?;
            let file = File::create(&path).map_err(io_error("create", &path))?;
            file.lock_shared().map_err(io_error("lock", &path))?;
            let ours = file.metadata().map_err(io_error("stat", &path))?.ino();
            // Somebody may have removed all of it while we waited.
            if fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
                self.store.hold(file);
                return Ok(());
            }
        }
    }

    /// One process at a time works on a mirror; the lock ends with the file.
    fn lock(&self, home: &Path) -> Result<File, GitError> {
        let path = home.join("lock");
        let file = File::create(&path).map_err(io_error("create", &path))?;
        let take = || match file.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(cause),
        };
        let taken = self.program.cancel().wait_for(take).map_err(io_error("lock", &path))?;
        taken.ok_or_else(|| io_error("lock", &path)(io::ErrorKind::Interrupted.into()))?;
        Ok(file)
    }

    /// The commit that a reference stands for.
    fn resolve(&self, url: &GitUrl, dir: &Path) -> Result<String, GitError> {
        let wanted = url.reference.as_deref().unwrap_or("HEAD");
        if is_commit(wanted) {
            return Ok(wanted.to_owned());
        }
        let what = format!("read the references of {}", shown(&url.remote));
        let peeled = format!("{wanted}^{{}}");
        let listed = self.program.run(&what, dir, &["ls-remote", "--", &url.remote, wanted, &peeled])?;
        let find = |name: &str| {
            let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
            lines.find(|(_, reference)| *reference == name).map(|(commit, _)| commit.to_owned())
        };
        if wanted == "HEAD" {
            return find("HEAD").ok_or_else(|| GitError::NoReference(wanted.to_owned()));
        }
        let tag = format!("refs/tags/{}", wanted.trim_start_matches("refs/tags/"));
        let exact = format!("refs/{}", wanted.trim_start_matches("refs/"));
        // As git-checkout: a branch before a tag. A tag with a message is an object of its own.
        find(&format!("{exact}^{{}}"))
            .or_else(|| find(&exact))
            .or_else(|| find(&format!("refs/heads/{}", wanted.trim_start_matches("refs/heads/"))))
            .or_else(|| find(&format!("{tag}^{{}}")))
            .or_else(|| find(&tag))
            .ok_or_else(|| GitError::NoReference(wanted.to_owned()))
    }

    /// Makes sure that the mirror has a commit.
    fn fetch(&self, url: &GitUrl, commit: &str, home: &Path, repo: &Path) -> Result<(), GitError> {
        let name = format!("refs/rbuild/{commit}");
        if !repo.join("HEAD").exists() {
            let args = ["init", "--quiet", "--bare", "--template=", "repo.git"];
            self.program.run("make a repository in the store", home, &args)?;
        }
        if self.program.run("look up a reference", repo, &["rev-parse", "--verify", "--quiet", &name]).is_ok()
        {
            return Ok(());
        }
        let what = format!("fetch {}", shown(&url.remote));
        let wanted = format!("{commit}:{name}");
        let narrow = ["fetch", "--quiet", "--force", "--no-tags", "--depth=1", "--", &url.remote, &wanted];
        if self.program.run(&what, repo, &narrow).is_ok() {
            return Ok(());
        }
        // Old servers give only what a reference points to, and plain file servers no part of a history.
        let all = ["+refs/heads/*:refs/remotes/heads/*", "+refs/tags/*:refs/remotes/tags/*"];
        let wide = ["fetch", "--quiet", "--force", "--no-tags", "--", &url.remote, all[0], all[1]];
        self.program.run(&what, repo, &wide)?;
        let what = format!("find the commit {commit} of {}", shown(&url.remote));
        let commit = format!("{commit}^{{commit}}");
        self.program.run(&what, repo, &["rev-parse", "--verify", "--quiet", &commit])?;
        self.program.run(&what, repo, &["update-ref", &name, &commit]).map(|_| ())
    }

    fn time_of(&self, commit: &str, repo: &Path) -> Result<i64, GitError> {
        let args = ["log", "-1", "--format=%ct", commit];
        let text = self.program.run("read a commit's time", repo, &args)?;
        Ok(text.trim().parse().unwrap_or_default())
    }

    /// Makes a checkout aside and moves it to its place.
    fn make_tree(
        &self,
        url: &GitUrl,
        commit: &str,
        repo: &Path,
        tree: &Path,
        time: i64,
    ) -> Result<(), GitError> {
        let temp = self.store.temp()?;
        drop(temp.make_dir("tree", 0o755)?);
        let made = temp.path().join("tree");
        let what = format!("check out {commit}");
        self.program.run(&what, &made, &["init", "--quiet", "--template="])?;
        let (from, name) = (repo.to_string_lossy().into_owned(), format!("refs/rbuild/{commit}"));
        let fetch = ["fetch", "--quiet", "--no-tags", "--depth=1", "--update-shallow", "--", &from, &name];
        self.program.for_folders().run(&what, &made, &fetch)?;
        self.program.run(&what, &made, &["remote", "add", "origin", &url.remote])?;
        self.program.run(&what, &made, &["checkout", "--quiet", "--force", "--detach", commit])?;
        if url.submodules == Some(true) {
            let args = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"];
            self.program.run("fetch the submodules", &made, &args)?;
        }
        let keep = url.keep_git_dir == Some(true);
        let _ = fs::remove_file(made.join(".git/FETCH_HEAD"));
        settle(&made, keep, url.commit_time.then_some(time))?;
        fs::rename(&made, tree).map_err(io_error("move a checkout to", tree))
    }
}

/// Different for everything that makes a difference in the files. `.git` says where it came from.
fn tree_name(url: &GitUrl, commit: &str) -> String {
    let mark = |on: bool, text: &'static str| if on { text } else { "" };
    let git = match url.keep_git_dir {
        Some(true) => format!("-git-{}", &blake3::hash(url.remote.as_bytes()).to_hex()[..8]),
        _ => String::new(),
    };
    let modules = mark(url.submodules == Some(true), "-modules");
    format!("{commit}{git}{modules}{}", mark(url.commit_time, "-dated"))
}

/// Gives everything the modes of umask 022, which git would have taken from whoever runs rbuild; and removes what
/// git itself needs where that is not wanted.
fn settle(dir: &Path, keep_git: bool, time: Option<i64>) -> Result<(), GitError> {
    for entry in fs::read_dir(dir).map_err(io_error("read", dir))? {
        let entry = entry.map_err(io_error("read", dir))?;
        let path = entry.path();
        let meta = entry.metadata().map_err(io_error("stat", &path))?;
        if entry.file_name() == ".git" && !keep_git {
            let removed = if meta.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(io_error("remove", &path))?;
            continue;
        }
        if meta.is_dir() {
            settle(&path, keep_git, time)?;
        } else if meta.is_file() {
            let mode = if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            dress(&path, mode, time)?;
        }
    }
    dress(dir, 0o755, time)
}

fn dress(path: &Path, mode: u32, time: Option<i64>) -> Result<(), GitError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io_error("set the mode of", path))?;
    let Some(seconds) = time.and_then(|time| u64::try_from(time).ok()) else { return Ok(()) };
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    let set = File::open(path).and_then(|file| file.set_times(FileTimes::new().set_modified(time)));
    set.map_err(io_error("set the time of", path))
}

/// Whether a checkout has such a folder. A link of a stranger's repository must not show a folder of this machine.
fn is_folder_of(tree: &Path, subdir: &str) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    match (real(tree), real(&tree.join(subdir))) {
        (Some(tree), Some(folder)) => folder.starts_with(tree) && folder.is_dir(),
        _ => false,
    }
}

/// Whether this is a whole commit, by SHA-1 or SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Without a password.
pub(super) fn shown(remote: &str) -> String {
    let Some((scheme, rest)) = remote.split_once("://") else { return remote.to_owned() };
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            format!("{scheme}://{host}{}", &rest[authority.len()..])
        }
        _ => remote.to_owned(),
    }
}

fn io_error(what: &'static str, path: &Path) -> impl Fn(io::Error) -> GitError {
    move |cause| GitError::Io { what, path: path.to_owned(), cause }
}
