//! What a build reads before it starts: the context, the Dockerfile, the ignore file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_image::store::{Store, TempDir};
use rbuild_parser::Dockerfile;
use rbuild_parser::go::parse_bool;
use rbuild_parser::pattern::IgnorePatterns;
use rbuild_parser::plan::{self, Epoch, Options};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::cancel::Cancel;
use crate::context::{Context, HashCache, Permissions};
use crate::copy::unpack_stream;
use crate::error::{BuildError, SourceFile};
use crate::fetch::Remote;
use crate::remote::{Arrived, Remotes};
use crate::request::{ContextArg, DockerfileArg, MAX_DOCKERFILE, NamedSource, Request};

/// The build argument that says when everything was made.
pub(crate) const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The inputs of one build.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(crate) file: Arc<SourceFile>,
    /// Where the Dockerfile lies on this machine; None if it came on standard input or in an archive.
    pub(crate) path: Option<PathBuf>,
    pub(crate) contexts: Contexts,
    /// The main context's ignore file.
    pub(crate) ignore: Option<IgnorePatterns>,
    /// Times of contexts that have one, by name; the main one is `context`.
    epochs: BTreeMap<String, i64>,
    /// Contexts that came as archives; they vanish with this.
    _unpacked: Vec<TempDir>,
}

/// The sources that `COPY`, `ADD` and bind mounts can take from, beside stages and images.
#[derive(Debug)]
pub(crate) struct Contexts {
    pub(crate) main: Arc<Context>,
    /// Folders given with `--build-context`.
    pub(crate) named: BTreeMap<String, Arc<Context>>,
    /// Memory of content hashes, shared by all.
    pub(crate) hashes: Arc<HashCache>,
}

/// Where the main context's files are, before anything is read.
struct Found {
    folder: Option<PathBuf>,
    unpacked: Option<TempDir>,
    /// The Dockerfile, when standard input or a URL turned out to be one.
    text: Option<Vec<u8>>,
    /// It was fetched: ignore files do not apply, and `-f` is inside of it.
    remote: bool,
    epoch: Option<i64>,
}

impl Found {
    fn ground(&self) -> Ground<'_> {
        match &self.folder {
            None => Ground::Machine(None),
            Some(folder) if self.unpacked.is_some() || self.remote => Ground::Inside(folder),
            Some(folder) => Ground::Machine(Some(folder)),
        }
    }
}

/// Where the Dockerfile and the ignore file are looked for.
enum Ground<'a> {
    /// Anywhere on this machine; the folder is the context.
    Machine(Option<&'a Path>),
    /// In a folder that a stranger has filled: its links lead nowhere else.
    Inside(&'a Path),
}

impl Ground<'_> {
    /// The path under which [`Ground::open`] finds a file of the context; None if there are no files.
    fn of_context(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Machine(folder) => folder.map(|folder| folder.join(name)),
            Self::Inside(_) => Some(name.into()),
        }
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        let Self::Inside(root) = self else { return File::open(path) };
        let root = File::open(root)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = || openat2(&root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), resolve);
        Ok(rustix::io::retry_on_intr(open)?.into())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.open(path).and_then(read_text)
    }
}

/// All of a Dockerfile, or of another file that is for people to write.
pub(crate) fn read_text(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(MAX_DOCKERFILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_DOCKERFILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
    }
    Ok(text)
}

impl Inputs {
    pub(crate) fn open(
        store: &Store,
        request: &Request,
        fetch: &Remote,
        cancel: &Cancel,
    ) -> Result<Self, BuildError> {
        let remotes = Remotes { store, fetch, keep_git_dir: keeps_git_dir(request) };
        let found = find_context(store, &request.context, &remotes, cancel)?;
        let (file, beside) = read_dockerfile(&found, &request.dockerfile)?;
        let ignore = if found.remote { None } else { read_ignore(&found.ground(), beside.as_deref())? };
        let hashes = HashCache::load(store);
        let empty = store.path().join("empty");
        let folder = found.folder.as_deref().unwrap_or(&empty);
        if found.folder.is_none() {
            std::fs::create_dir_all(&empty).map_err(|cause| context_error(&empty, &cause))?;
        }
        let main = Context::folder(folder, ignore.clone(), request.permissions, Arc::clone(&hashes))
            .map_err(|cause| pattern_or_context(folder, &cause))?;
        let path = beside.filter(|_| found.unpacked.is_none() && !found.remote);
        let mut epochs: BTreeMap<String, i64> =
            found.epoch.map(|epoch| ("context".to_owned(), epoch)).into_iter().collect();
        let mut unpacked: Vec<TempDir> = found.unpacked.into_iter().collect();
        let mut named = BTreeMap::new();
        for (name, source) in &request.contexts {
            let (context, arrived) = open_named(source, request.permissions, &remotes, &hashes)?;
            named.insert(name.clone(), Arc::new(context));
            if let Some(arrived) = arrived {
                epochs.extend(arrived.epoch.map(|epoch| (name.clone(), epoch)));
                unpacked.extend(arrived.unpacked);
            }
        }
        let contexts = Contexts { main: Arc::new(main), named, hashes };
        Ok(Self { file: Arc::new(file), path, contexts, ignore, epochs, _unpacked: unpacked })
    }

    /// The request's options for its first platform, completed by what the contexts say: the ignore file, and the
    /// time that `SOURCE_DATE_EPOCH` names by a context.
    pub(crate) fn options(&self, request: &Request, file: &Dockerfile) -> Options {
        let platform = request.platforms.first().cloned();
        let mut options = Options { ignore: self.ignore.clone(), platform, ..request.options.clone() };
        // Whatever is wrong with it, the plan says so.
        if let Ok(Epoch::Context(name)) = plan::epoch(file, &options) {
            let time = self.epochs.get(&name).map(i64::to_string);
            options.build_args.insert(EPOCH.to_owned(), time.unwrap_or_default());
        }
        options
    }

    /// Stores the content hashes of this build for the next one.
    pub(crate) fn remember(&self) {
        // Without them the next build only has to read the files again.
        let _ = self.contexts.hashes.save();
    }
}

/// `BUILDKIT_CONTEXT_KEEP_GIT_DIR`, a build argument.
fn keeps_git_dir(request: &Request) -> bool {
    let value = request.options.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    value.is_some_and(|value| parse_bool(value) == Some(true))
}

fn open_named(
    source: &NamedSource,
    permissions: Permissions,
    remotes: &Remotes<'_>,
    hashes: &Arc<HashCache>,
) -> Result<(Context, Option<Arrived>), BuildError> {
    let (folder, ignore, arrived) = match source {
        NamedSource::Folder(folder) => {
            (folder.clone(), read_ignore(&Ground::Machine(Some(folder)), None)?, None)
        }
        NamedSource::Remote(address) => {
            let arrived = remotes.named(address)?;
            let folder = arrived.folder.clone().expect("a named context is always a folder");
            (folder, None, Some(arrived))
        }
    };
    let context = Context::folder(&folder, ignore, permissions, Arc::clone(hashes))
        .map_err(|cause| pattern_or_context(&folder, &cause))?;
    Ok((context, arrived))
}

fn find_context(
    store: &Store,
    arg: &ContextArg,
    remotes: &Remotes<'_>,
    cancel: &Cancel,
) -> Result<Found, BuildError> {
    match arg {
        ContextArg::Remote(address) => {
            let Arrived { folder, unpacked, file, epoch } = remotes.main(address)?;
            let text = file.map(|file| read_text(&*file)).transpose();
            let text = text.map_err(|cause| context_error(Path::new(address), &cause))?;
            Ok(Found { folder, unpacked, text, remote: true, epoch })
        }
        ContextArg::Folder(folder) => {
            if !folder.is_dir() {
                let cause = match folder.metadata() {
                    Ok(_) => io::Error::from(io::ErrorKind::NotADirectory),
                    Err(cause) => cause,
                };
                return Err(context_error(folder, &cause));
            }
            Ok(Found { folder: Some(folder.clone()), unpacked: None, text: None, remote: false, epoch: None })
        }
        ContextArg::Stdin => from_stdin(store, cancel),
    }
}

/// Standard input is an archive, or the Dockerfile alone, as docker has it.
fn from_stdin(store: &Store, cancel: &Cancel) -> Result<Found, BuildError> {
    let failed = |cause: &dyn std::fmt::Display| {
        if cancel.requested() {
            return BuildError::Interrupted;
        }
        BuildError::Context { path: PathBuf::from("-"), cause: cause.to_string() }
    };
    let mut stdin = Stdin(cancel);
    let mut head = Vec::new();
    stdin.by_ref().take(1024).read_to_end(&mut head).map_err(|cause| failed(&cause))?;
    if !is_archive(&head) {
        let text = read_text(io::Cursor::new(head).chain(stdin)).map_err(|cause| failed(&cause))?;
        return Ok(Found { folder: None, unpacked: None, text: Some(text), remote: false, epoch: None });
    }
    let temp = store.temp()?;
    let into = temp.make_dir("context", 0o755)?;
    unpack_stream(io::Cursor::new(head).chain(stdin), into.as_fd()).map_err(|cause| failed(&cause))?;
    Ok(Found {
        folder: Some(temp.path().join("context")),
        unpacked: Some(temp),
        text: None,
        remote: false,
        epoch: None,
    })
}

/// Standard input that ends with an error when the build is cancelled: whoever writes it may be slow, or a person.
struct Stdin<'a>(&'a Cancel);

impl Read for Stdin<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        /// How long a cancelled build may wait.
        const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let stdin = rustix::stdio::stdin();
        loop {
            if self.0.requested() {
                return Err(io::Error::other("the build was interrupted"));
            }
            match rustix::event::poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&PATIENCE)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(rustix::io::retry_on_intr(|| rustix::io::read(stdin, &mut *buffer))?),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether this is the beginning of a tar, plain or compressed.
pub(crate) fn is_archive(head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    MAGIC.iter().any(|magic| head.starts_with(magic)) || head.get(257..262) == Some(b"ustar")
}

/// The Dockerfile, and the path that its own ignore file would stand beside.
fn read_dockerfile(found: &Found, arg: &DockerfileArg) -> Result<(SourceFile, Option<PathBuf>), BuildError> {
    if let Some(text) = &found.text {
        return Ok((SourceFile { name: "Dockerfile".into(), text: text.clone() }, None));
    }
    let ground = found.ground();
    match arg {
        DockerfileArg::Text(text) => Ok((SourceFile { name: "Dockerfile".into(), text: text.clone() }, None)),
        DockerfileArg::Path(path) => {
            let name = path.display().to_string();
            let text = ground.read(path).map_err(|cause| unreadable(&name, &cause))?;
            Ok((SourceFile { name, text }, Some(path.clone())))
        }
        DockerfileArg::Default => {
            let mut last = io::ErrorKind::NotFound.into();
            for name in ["Dockerfile", "dockerfile"] {
                let path = ground.of_context(name).unwrap_or_else(|| name.into());
                match ground.read(&path) {
                    Ok(text) => return Ok((SourceFile { name: name.into(), text }, Some(path))),
                    Err(cause) if cause.kind() == io::ErrorKind::NotFound => last = cause,
                    Err(cause) => return Err(unreadable(name, &cause)),
                }
            }
            Err(unreadable("Dockerfile", &last))
        }
    }
}

fn unreadable(shown: &str, cause: &io::Error) -> BuildError {
    let reason = match cause.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => cause.to_string(),
    };
    BuildError::ReadDockerfile(format!("open {shown}: {reason}"))
}

/// The ignore file: the Dockerfile's own, else the context's.
fn read_ignore(ground: &Ground<'_>, dockerfile: Option<&Path>) -> Result<Option<IgnorePatterns>, BuildError> {
    let own = dockerfile.map(|path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".dockerignore");
        PathBuf::from(name)
    });
    for path in own.into_iter().chain(ground.of_context(".dockerignore")) {
        match ground.read(&path) {
            Ok(bytes) => {
                let patterns = IgnorePatterns::parse(&bytes);
                return patterns.map(Some).map_err(|cause| BuildError::Ignore(cause.to_string()));
            }
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(cause) => return Err(BuildError::Ignore(format!("{}: {cause}", path.display()))),
        }
    }
    Ok(None)
}

fn context_error(path: &Path, cause: &io::Error) -> BuildError {
    BuildError::Context { path: path.to_owned(), cause: cause.to_string() }
}

fn pattern_or_context(path: &Path, cause: &crate::context::ContextError) -> BuildError {
    match cause {
        crate::context::ContextError::Pattern(text) => BuildError::Ignore(text.clone()),
        other => BuildError::Context { path: path.to_owned(), cause: other.to_string() },
    }
}
