//! A context, a destination with layers, and the instruction between them.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_image::layer::{Flavour, Owners, View};
use rbuild_parser::pattern::IgnorePatterns;
use rbuild_parser::plan::{Chmod, Copy, CopySource, Root};

use crate::context::{Context, HashCache, Permissions};
use crate::copy::{CopyDigest, CopyError, NoNetwork, Reuse, apply, digest, select};

/// 2006-01-02 22:04:05 UTC, the time of everything in a context.
pub(super) const TIME: i64 = 1_136_239_445;

pub(super) struct Ground {
    root: tempfile::TempDir,
    pub(super) layers: Vec<PathBuf>,
    pub(super) ignore: Option<IgnorePatterns>,
    pub(super) hashes: Arc<HashCache>,
    upper: usize,
}

impl Ground {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("context")).unwrap();
        Self { root, layers: Vec::new(), ignore: None, hashes: HashCache::in_memory(), upper: 0 }
    }

    pub(super) fn context(&self) -> PathBuf {
        self.root.path().join("context")
    }

    /// Adds a layer on top, made of lines as [`make`] knows them.
    pub(super) fn layer(&mut self, lines: &str) -> PathBuf {
        let path = self.root.path().join(format!("layer{}", self.layers.len()));
        fs::create_dir(&path).unwrap();
        make(&path, lines);
        self.layers.insert(0, path.clone());
        path
    }

    pub(super) fn view(&self) -> View {
        View::new(self.layers.iter().map(|path| open(path)).collect(), Flavour::Trusted)
    }

    pub(super) fn source(&self) -> Arc<Context> {
        let folder =
            Context::folder(&self.context(), self.ignore.clone(), Permissions::AsFound, self.hashes.clone());
        Arc::new(folder.unwrap())
    }

    /// Runs an instruction; the result is the folder of the new layer.
    pub(super) fn run(&mut self, copy: &Copy) -> Result<PathBuf, CopyError> {
        let source = self.source();
        self.run_from(copy, &source, None)
    }

    pub(super) fn run_from(
        &mut self,
        copy: &Copy,
        source: &Arc<Context>,
        reuse: Option<&dyn Reuse>,
    ) -> Result<PathBuf, CopyError> {
        self.upper += 1;
        let upper = self.root.path().join(format!("upper{}", self.upper));
        fs::create_dir(&upper).unwrap();
        let view = self.view();
        let selection = select(copy, source, &view, &NoNetwork)?;
        apply(&selection, &view, open(&upper).as_fd(), Owners::Inode, crate::copy::Links::Layer(reuse))?;
        Ok(upper)
    }

    pub(super) fn digest(&self, copy: &Copy) -> CopyDigest {
        digest(&select(copy, &self.source(), &self.view(), &NoNetwork).unwrap()).unwrap()
    }

    /// Runs an instruction and lists what is in the layer.
    pub(super) fn tree(&mut self, copy: &Copy) -> String {
        match self.run(copy) {
            Ok(upper) => list(&upper),
            Err(error) => format!("error: {error}"),
        }
    }
}

pub(super) fn open(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap().into()
}

/// `COPY sources... dest` without flags.
pub(super) fn copy(sources: &[&str], dest: &str) -> Copy {
    Copy {
        add: false,
        from: Root::MainContext,
        sources: sources.iter().map(|path| CopySource::Path((*path).to_owned())).collect(),
        dest: dest.to_owned(),
        chown: None,
        chmod: None,
        link: false,
        parents: false,
        exclude: Vec::new(),
        unpack: None,
        checksum: None,
        keep_git_dir: None,
    }
}

pub(super) fn parents(sources: &[&str], dest: &str) -> Copy {
    Copy { parents: true, ..copy(sources, dest) }
}

pub(super) fn add(sources: &[&str], dest: &str) -> Copy {
    Copy { add: true, ..copy(sources, dest) }
}

pub(super) fn octal(mode: u32) -> Option<Chmod> {
    Some(Chmod::Octal(mode))
}

pub(super) fn symbolic(mode: &str) -> Option<Chmod> {
    Some(Chmod::Symbolic(mode.to_owned()))
}

/// Makes entries: `path=text`, `path/`, `path -> target`, each with an optional ` MODE` and ` UID:GID`.
pub(super) fn make(root: &Path, lines: &str) {
    let mut chmods = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some((link, target)) = line.split_once(" -> ") {
            let link = root.join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(target, &link).unwrap();
            continue;
        }
        let mut words = line.split(' ');
        let entry = words.next().unwrap();
        let (path, text) = entry.split_once('=').map_or((entry, None), |(p, t)| (p, Some(t)));
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::create_dir_all(&path).unwrap(),
        }
        for word in words {
            chmods.push((path.clone(), word.to_owned()));
        }
    }
    for (path, word) in chmods {
        match word.split_once(':') {
            Some((uid, gid)) => {
                std::os::unix::fs::chown(&path, uid.parse().ok(), gid.parse().ok()).unwrap();
            }
            None => {
                let mode = u32::from_str_radix(&word, 8).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
    set_times(root);
}

fn set_times(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_symlink() && path.is_dir() {
            set_times(&path);
        }
        set_time(&path);
    }
    set_time(dir);
}

fn set_time(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let time = Timespec { tv_sec: TIME, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// One line an entry: path, mode, owner if not root, content, `@` if it has the time of the context.
pub(super) fn list(root: &Path) -> String {
    let mut lines = Vec::new();
    walk(root, root, &mut lines);
    lines.join("\n")
}

fn walk(root: &Path, dir: &Path, lines: &mut Vec<String>) {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let meta = fs::symlink_metadata(&path).unwrap();
        let shown = path.strip_prefix(root).unwrap().display();
        let kind = meta.file_type();
        let what = if kind.is_symlink() {
            format!("{shown} -> {}", fs::read_link(&path).unwrap().display())
        } else if kind.is_dir() {
            format!("{shown}/ {:o}", meta.mode() & 0o7777)
        } else if kind.is_file() {
            let text = fs::read_to_string(&path).unwrap_or_else(|_| "?".into());
            format!("{shown}={text} {:o}", meta.mode() & 0o7777)
        } else if meta.rdev() == 0 && !std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
            format!("{shown} gone")
        } else {
            format!("{shown} special {:o}", meta.mode() & 0o7777)
        };
        let owner = match (meta.uid(), meta.gid()) {
            (0, 0) => String::new(),
            (uid, gid) => format!(" {uid}:{gid}"),
        };
        let time = if meta.mtime() == TIME && !kind.is_symlink() { " @" } else { "" };
        lines.push(format!("{what}{owner}{time}"));
        if kind.is_dir() {
            walk(root, &path, lines);
        }
    }
}

/// The same without indentation, to compare with [`list`].
pub(super) fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// Tests that need owners are for root.
pub(super) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIP changing owners needs root");
    }
    is_root
}
