//! Overlays: the root file system of most sandboxes, and folders whose changes vanish.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags};

use super::mount;
use crate::sandbox::error::Failure;

/// The folders of an overlay.
#[derive(Debug)]
pub(super) struct Overlay<'a> {
    pub(super) lowers: &'a [PathBuf],
    pub(super) upper: &'a Path,
    pub(super) work: &'a Path,
    /// Its xattrs are `user.overlay.*`.
    pub(super) user_xattrs: bool,
}

/// Behaviour that the form of our layers relies on: no redirects (`off` would not go with
/// `userxattr`), no metadata-only copies, no index.
const SETTINGS: [(&str, &str); 3] = [("index", "off"), ("redirect_dir", "nofollow"), ("metacopy", "off")];

/// The kernel takes no longer strings as options of the new mount API.
const MAX_OPTION: usize = 255;

impl Overlay<'_> {
    /// Mounts it and returns its root. It is attached on top of `upper`, which only hides that path here.
    pub(super) fn mount(&self) -> Result<OwnedFd, Failure> {
        let subject = || format!("an overlay on {}", self.upper.display());
        match self.create() {
            Ok(root) => {
                mount::attach_at_path(std::os::fd::AsFd::as_fd(&root), self.upper)
                    .map_err(|error| Failure::setup("attach", subject(), error))?;
                Ok(root)
            }
            // Before Linux 6.5 there is no option for a single layer.
            Err(CreateError::NoLayerOption) => {
                self.mount_with_options().map_err(|error| Failure::setup("mount", subject(), error))
            }
            Err(CreateError::Kernel(error, layer)) => {
                let subject =
                    layer.map_or_else(subject, |layer| format!("the overlay's folder {}", layer.display()));
                Err(Failure::setup("mount", subject, error))
            }
        }
    }

    fn create(&self) -> Result<OwnedFd, CreateError> {
        let plain = |error| CreateError::Kernel(error, None);
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(plain)?;
        for (index, lower) in self.lowers.iter().enumerate() {
            set_folder(&context, "lowerdir+", lower).map_err(|error| match error {
                Errno::INVAL if index == 0 && lower.is_dir() => CreateError::NoLayerOption,
                error => CreateError::Kernel(error, Some(lower.clone())),
            })?;
        }
        for (name, folder) in [("upperdir", self.upper), ("workdir", self.work)] {
            set_folder(&context, name, folder)
                .map_err(|error| CreateError::Kernel(error, Some(folder.to_owned())))?;
        }
        for (name, value) in SETTINGS {
            rustix::mount::fsconfig_set_string(&context, name, value).map_err(plain)?;
        }
        for flag in self.flags() {
            rustix::mount::fsconfig_set_flag(&context, flag).map_err(plain)?;
        }
        rustix::mount::fsconfig_create(&context).map_err(plain)?;
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
            .map_err(plain)
    }

    /// `volatile`: what a sandbox writes is made durable by whoever keeps it, so nothing waits for a sync here.
    fn flags(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once("volatile").chain(self.user_xattrs.then_some("userxattr"))
    }

    /// The old way: all options in one page.
    fn mount_with_options(&self) -> rustix::io::Result<OwnedFd> {
        let mut options = b"lowerdir=".to_vec();
        for (index, lower) in self.lowers.iter().enumerate() {
            if index > 0 {
                options.push(b':');
            }
            push_escaped(&mut options, lower);
        }
        for (name, folder) in [(",upperdir=", self.upper), (",workdir=", self.work)] {
            options.extend(name.as_bytes());
            push_escaped(&mut options, folder);
        }
        for (name, value) in SETTINGS {
            options.extend(format!(",{name}={value}").bytes());
        }
        for flag in self.flags() {
            options.extend(format!(",{flag}").bytes());
        }
        let options = CString::new(options).map_err(|_| Errno::INVAL)?;
        rustix::mount::mount("overlay", self.upper, "overlay", MountFlags::empty(), options.as_c_str())?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, self.upper, flags, Mode::empty())
    }
}

enum CreateError {
    NoLayerOption,
    Kernel(Errno, Option<PathBuf>),
}

fn set_folder(context: &OwnedFd, name: &str, folder: &Path) -> rustix::io::Result<()> {
    if folder.as_os_str().len() <= MAX_OPTION {
        return rustix::mount::fsconfig_set_string(context, name, folder);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, folder, flags, Mode::empty())?;
    rustix::mount::fsconfig_set_fd(context, name, folder)
}

fn push_escaped(options: &mut Vec<u8>, path: &Path) {
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            options.push(b'\\');
        }
        options.push(*byte);
    }
}
