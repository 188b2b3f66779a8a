//! `type=docker` and `type=oci`: the image as an archive, or as a folder.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rbuild_image::archive::{Format, Selection, save};
use rbuild_image::store::Named;

use crate::request::{Dest, Output, OutputKind};
use crate::session::Session;

pub(crate) fn write(session: &Session<'_>, image: Named, output: &Output) -> Result<(), String> {
    let format = format(output.kind);
    let items = [Selection { id: image, names: session.request.names.clone() }];
    match &output.dest {
        Dest::Stdout => {
            save(session.store, &items, io::stdout().lock(), format).map_err(|cause| cause.to_string())
        }
        Dest::Path(path) if output.kind == OutputKind::OciFolder => folder(session, &items, format, path),
        Dest::Path(path) => {
            let path = archive_at(path);
            if let Some(ready) = session.take_ready()
                && ready.finish(session, &items[0], format, path.clone())?
            {
                return Ok(());
            }
            replace(&path, |file| {
                save(session.store, &items, file, format).map_err(|cause| cause.to_string())
            })
        }
    }
}

fn format(kind: OutputKind) -> Format {
    if kind == OutputKind::Docker { Format::Docker } else { Format::Oci }
}

/// Where an archive goes for which `dest` was said.
pub(super) fn archive_at(dest: &Path) -> PathBuf {
    if dest.is_dir() { dest.join("image.tar") } else { dest.to_path_buf() }
}

/// Writes a file beside `path` and gives it its name when it is whole: a failure leaves what was there.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), String>,
) -> Result<(), String> {
    if path.exists() && !path.is_file() {
        // A device or pipe: /dev/null, /dev/stdout, <(...).
        let mut file = BufWriter::new(File::options().write(true).open(path).map_err(|e| e.to_string())?);
        write(&mut file)?;
        return file.flush().map_err(|cause| cause.to_string());
    }
    let temp = Unfinished(beside(path));
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&temp.0).map_err(|e| e.to_string())?);
    write(&mut file)?;
    file.flush().map_err(|cause| cause.to_string())?;
    std::fs::rename(&temp.0, path).map_err(|cause| cause.to_string())
}

/// A name beside `path` that no other process uses.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

/// A file that vanishes unless it was renamed.
#[derive(Debug)]
pub(super) struct Unfinished(pub(super) PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once renamed it is not there any more.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The same layout, unpacked.
fn folder(session: &Session<'_>, items: &[Selection], format: Format, path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path).map_err(|cause| cause.to_string())?;
    let temp = session.store.temp().map_err(|cause| cause.to_string())?;
    let tar = temp.path().join("layout.tar");
    replace(&tar, |file| save(session.store, items, file, format).map_err(|cause| cause.to_string()))?;
    let file = File::open(&tar).map_err(|cause| cause.to_string())?;
    let into = super::files::open_folder(path)?;
    crate::copy::unpack_stream(file, std::os::fd::AsFd::as_fd(&into)).map_err(|cause| cause.to_string())
}
