//! `type=local` and `type=tar`: the merged files of the image.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rbuild_image::layer::{Owners, write_tar};
use rbuild_parser::plan::Root;

use super::archive::replace;
use crate::chain::Chain;
use crate::copy::{Links, apply, select};
use crate::request::{Dest, Output, OutputKind};
use crate::session::Session;
use crate::step::linked;

pub(crate) fn write(session: &Session<'_>, chains: &[Chain], output: &Output) -> Result<(), String> {
    match (&output.dest, output.kind) {
        (Dest::Path(path), OutputKind::Local) => {
            std::fs::create_dir_all(path).map_err(|cause| cause.to_string())?;
            each(session, chains, path, local)
        }
        (Dest::Path(path), _) => {
            let path = if path.is_dir() { path.join("image.tar") } else { path.clone() };
            replace(&path, |file| tar(session, chains, file))
        }
        (Dest::Stdout, _) => tar(session, chains, &mut std::io::stdout()),
    }
}

/// Into a folder that may have files already: what the image has too is replaced, the rest stays (spec 8, BuildKit's
/// local exporter).
fn local(session: &Session<'_>, chain: &Chain, path: &Path) -> Result<(), String> {
    let is_empty = std::fs::read_dir(path).map_err(|cause| cause.to_string())?.next().is_none();
    if is_empty {
        return flatten(session, chain, &open_folder(path)?, owners_outside(session));
    }
    // On the same file system, so that files only have to be renamed.
    let aside = Aside(path.join(format!(".rbuild-{}.part", std::process::id())));
    std::fs::create_dir(&aside.0).map_err(|cause| cause.to_string())?;
    flatten(session, chain, &open_folder(&aside.0)?, owners_outside(session))?;
    merge(&aside.0, path).map_err(|cause| cause.to_string())
}

/// A folder that vanishes with this.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // What stays can be seen and removed by its name.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Moves what is in `from` to `into`. Folders that both have become one, with the mode and times of the new one;
/// anything else in the way of something new is removed.
fn merge(from: &Path, into: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (new, old) = (entry.path(), into.join(entry.file_name()));
        let meta = new.symlink_metadata()?;
        match old.symlink_metadata() {
            Ok(there) if there.is_dir() && meta.is_dir() => {
                merge(&new, &old)?;
                std::fs::set_permissions(&old, meta.permissions())?;
                File::open(&old)?.set_modified(meta.modified()?)?;
                continue;
            }
            Ok(there) if there.is_dir() => std::fs::remove_dir_all(&old)?,
            Ok(_) if meta.is_dir() => std::fs::remove_file(&old)?,
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(cause),
        }
        std::fs::rename(&new, &old)?;
    }
    Ok(())
}

fn tar(
    session: &Session<'_>,
    chains: &[Chain],
    out: &mut (impl std::io::Write + Send),
) -> Result<(), String> {
    let temp = session.store.temp().map_err(|cause| cause.to_string())?;
    let flat = temp.make_dir("fs", 0o755).map_err(|cause| cause.to_string())?;
    let owners = session.store.flavour().owners();
    let into = |session: &Session<'_>, chain: &Chain, path: &Path| {
        flatten(session, chain, &open_folder(path)?, owners)
    };
    each(session, chains, &temp.path().join("fs"), into)?;
    write_tar(flat.as_fd(), session.store.flavour(), out).map_err(|cause| cause.to_string())?;
    Ok(())
}

/// The files of one target into `folder`; those of several each into a folder of its own, called as buildx calls it
/// (`linux_arm64`).
fn each(
    session: &Session<'_>,
    chains: &[Chain],
    folder: &Path,
    write: impl Fn(&Session<'_>, &Chain, &Path) -> Result<(), String>,
) -> Result<(), String> {
    if let [only] = chains {
        return write(session, only, folder);
    }
    for (chain, target) in chains.iter().zip(&session.work.targets) {
        let folder = folder.join(target.platform.replace('/', "_"));
        std::fs::create_dir_all(&folder).map_err(|cause| format!("{}: {cause}", folder.display()))?;
        write(session, chain, &folder)?;
    }
    Ok(())
}

/// Where owners are kept in folders that are not rbuild's: notes of ours would mean nothing to others.
fn owners_outside(session: &Session<'_>) -> Owners {
    match session.store.flavour().owners() {
        Owners::Notes => Owners::Nowhere,
        others => others,
    }
}

/// Copies the merged tree of a chain: the same as `COPY --from=IMAGE / /` onto nothing.
fn flatten(session: &Session<'_>, chain: &Chain, into: &OwnedFd, owners: Owners) -> Result<(), String> {
    let copy = linked(Root::Scratch, "/", "/");
    let source = Arc::new(session.layers_context(chain).map_err(|failure| failure.message)?);
    let nothing = session.view(&Chain::scratch()).map_err(|failure| failure.message)?;
    let selection = select(&copy, &source, &nothing, session.fetch).map_err(|cause| cause.to_string())?;
    apply(&selection, &nothing, into.as_fd(), owners, Links::Never)
        .map(drop)
        .map_err(|cause| cause.to_string())
}

/// Opens an existing folder.
pub(crate) fn open_folder(path: &Path) -> Result<OwnedFd, String> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|cause| format!("{}: {}", path.display(), std::io::Error::from(cause)))
}
