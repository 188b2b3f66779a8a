//! Volumes: which a container has, and where they are on the disk.

use std::path::{Path, PathBuf};

use rbuild_image::config::ContainerConfig;
use rbuild_image::layer::View;
use rbuild_image::store::{Layer, Store};
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;

use super::error::ContainerError;
use super::fill::fill;
use super::names;
use super::settings::{RunSettings, Volume, VolumeSource};
use crate::sandbox::{Mount, MountSource};

/// The user's volumes, and those of the image that neither a volume nor a tmpfs of the user's covers.
pub(super) fn wanted(image: &ContainerConfig, settings: &RunSettings) -> Vec<Volume> {
    let cleaned = |path: &str| path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    let mut taken: Vec<String> = settings.volumes.iter().map(|volume| cleaned(&volume.target)).collect();
    taken.extend(settings.tmpfs.iter().map(|tmpfs| cleaned(&tmpfs.target)));
    let of_image = image
        .volumes
        .iter()
        .filter(|target| !taken.contains(&cleaned(target)))
        .map(|target| Volume { source: VolumeSource::Anonymous, target: target.clone(), readonly: false });
    settings.volumes.iter().cloned().chain(of_image).collect()
}

/// Puts volumes on the disk.
#[derive(Debug)]
pub(super) struct Volumes<'a> {
    pub(super) store: &'a Store,
    /// The container's folder.
    pub(super) folder: &'a Path,
    /// The image's, uppermost first.
    pub(super) layers: &'a [Layer],
    /// The folders that an overlay shows them with.
    pub(super) lowers: &'a [PathBuf],
}

impl Volumes<'_> {
    /// Makes what is not there, and says how each volume is mounted.
    pub(super) fn prepare(&self, volumes: Vec<Volume>) -> Result<Vec<Mount>, ContainerError> {
        volumes
            .into_iter()
            .enumerate()
            .map(|(number, Volume { source, target, readonly })| {
                let source = match source {
                    VolumeSource::Host(path) => host(path)?,
                    VolumeSource::Named(name) => self.named(&name, &target)?,
                    VolumeSource::Anonymous => self.anonymous(number, &target)?,
                };
                Ok(Mount { target, source, readonly, remove_stub: false })
            })
            .collect()
    }

    /// The image's content under the volume shows through an overlay of its own, so that nothing is copied.
    fn anonymous(&self, number: usize, target: &str) -> Result<MountSource, ContainerError> {
        let parent = self.folder.join("volumes");
        make(&parent)?;
        let folder = parent.join(number.to_string());
        make(&folder)?;
        if self.view()?.dir(target.as_bytes())?.is_none() {
            return Ok(MountSource::Bind(folder));
        }
        Ok(MountSource::Discard { lowers: self.lowers.to_vec(), source: target.to_owned(), scratch: folder })
    }

    fn named(&self, name: &str, target: &str) -> Result<MountSource, ContainerError> {
        names::check("volume", name)?;
        let all = self.store.path().join("volumes");
        let data = all.join(name).join("_data");
        if !data.exists() {
            make(&all)?;
            make(&all.join(name))?;
            let temp = self.store.temp()?;
            let made = temp.make_dir("_data", 0o755)?;
            if let Some(dir) = self.view()?.dir(target.as_bytes())? {
                fill(&dir, &made, self.store.flavour().owners())?;
            }
            match rustix::fs::renameat(temp.dir(), "_data", CWD, &data) {
                // Somebody else was faster.
                Ok(()) | Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(error) => return Err(ContainerError::io("make the volume", data)(error)),
            }
        }
        Ok(MountSource::Bind(data))
    }

    fn view(&self) -> Result<View, ContainerError> {
        let mut open = Vec::with_capacity(self.layers.len());
        for layer in self.layers {
            open.extend(layer.open_fs()?.into_fds());
        }
        Ok(View::new(open, self.store.flavour()))
    }
}

fn host(path: PathBuf) -> Result<MountSource, ContainerError> {
    if !path.exists() {
        std::fs::create_dir_all(&path).map_err(ContainerError::io("make the folder", &path))?;
    }
    Ok(MountSource::Bind(path))
}

fn make(path: &Path) -> Result<(), ContainerError> {
    match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(ContainerError::io("make the folder", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Tmpfs;

    #[test]
    fn what_the_user_covers_is_no_volume_of_the_image() {
        let image = ContainerConfig {
            volumes: ["/a", "/b/", "/c", "/d"].map(str::to_owned).into(),
            ..ContainerConfig::default()
        };
        let host = |target: &str| Volume {
            source: VolumeSource::Host("/h".into()),
            target: target.into(),
            readonly: true,
        };
        let tmpfs = Tmpfs { target: "/c/".into(), size: None, mode: None, readonly: false };
        let settings = RunSettings {
            volumes: vec![host("/x"), host("//b")],
            tmpfs: vec![tmpfs],
            ..RunSettings::default()
        };
        let targets: Vec<_> = wanted(&image, &settings)
            .into_iter()
            .map(|v| (v.target, v.source == VolumeSource::Anonymous))
            .collect();
        let expected = [("/x", false), ("//b", false), ("/a", true), ("/d", true)];
        assert_eq!(targets, expected.map(|(target, anonymous)| (target.to_owned(), anonymous)));
    }
}
