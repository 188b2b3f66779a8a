//! `type=local` and `type=tar`: the merged files of the image.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rbuild_image::layer::write_tar;
use rbuild_parser::plan::Root;

use super::archive::replace;
use crate::chain::Chain;
use crate::copy::{Links, apply, select};
use crate::request::{Dest, Output, OutputKind};
use crate::session::Session;
use crate::step::linked;

pub(crate) fn write(session: &Session<'_>, chain: &Chain, output: &Output) -> Result<(), String> {
    match (&output.dest, output.kind) {
        (Dest::Path(path), OutputKind::Local) => {
            std::fs::create_dir_all(path).map_err(|cause| cause.to_string())?;
            flatten(session, chain, &open_folder(path)?)
        }
        (Dest::Path(path), _) => {
            let path = if path.is_dir() { path.join("image.tar") } else { path.clone() };
            replace(&path, |file| tar(session, chain, file))
        }
        (Dest::Stdout, _) => tar(session, chain, &mut std::io::stdout()),
    }
}

fn tar(session: &Session<'_>, chain: &Chain, out: &mut (impl std::io::Write + Send)) -> Result<(), String> {
    let temp = session.store.temp().map_err(|cause| cause.to_string())?;
    let flat = temp.make_dir("fs", 0o755).map_err(|cause| cause.to_string())?;
    flatten(session, chain, &flat)?;
    write_tar(flat.as_fd(), session.store.flavour(), out).map_err(|cause| cause.to_string())?;
    Ok(())
}

/// Copies the merged tree of a chain: the same as `COPY --from=IMAGE / /` onto nothing.
fn flatten(session: &Session<'_>, chain: &Chain, into: &OwnedFd) -> Result<(), String> {
    let copy = linked(Root::Scratch, "/", "/");
    let source = Arc::new(session.layers_context(chain).map_err(|failure| failure.message)?);
    let nothing = session.view(&Chain::scratch()).map_err(|failure| failure.message)?;
    let selection = select(&copy, &source, &nothing, session.fetch).map_err(|cause| cause.to_string())?;
    apply(&selection, &nothing, into.as_fd(), session.store.flavour(), Links::Never)
        .map_err(|cause| cause.to_string())
}

/// Opens an existing folder.
pub(crate) fn open_folder(path: &Path) -> Result<OwnedFd, String> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|cause| format!("{}: {}", path.display(), std::io::Error::from(cause)))
}
