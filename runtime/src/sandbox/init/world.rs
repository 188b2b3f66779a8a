//! The file system that the program sees: the rootfs and all mounts, in order (spec 6.6).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, UnmountFlags};

use super::overlay::Overlay;
use super::place::{self, Kind};
use super::standard::Standard;
use super::{devices, mount, protect};
use crate::pretend;
use crate::sandbox::error::Failure;
use crate::sandbox::message::ReceivedOrder;
use crate::sandbox::spec::{Mount, MountSource, Privilege, Rootfs};

/// The standing file system.
#[derive(Debug)]
pub(super) struct World {
    /// Root of the rootfs.
    pub(super) root: OwnedFd,
    /// Mount points that were made and have to go, see [`crate::sandbox::spec::Mount::remove_stub`].
    pub(super) stubs: Vec<String>,
}

enum Entry<'a> {
    Proc,
    Dev,
    Pts,
    Shm,
    Mqueue,
    Sys,
    Cgroup,
    Asked(&'a Mount),
}

/// Mounts everything. The host's file system is still there afterwards, see [`World::enter`].
pub(super) fn build(order: &ReceivedOrder, standard: Standard) -> Result<World, Failure> {
    let mut builder = Builder {
        order,
        root: root(&order.spec.rootfs, order.in_user_namespace)?,
        standard,
        files_made: 0,
        overlays: BTreeMap::new(),
        stubs: Vec::new(),
    };
    for (target, entry) in entries(&order.spec.mounts)? {
        builder.mount(&target, &entry)?;
    }
    match order.spec.privilege {
        Privilege::All => devices::add_insecure(&builder.root, order.in_user_namespace)?,
        Privilege::Default { .. } => protect::apply(&builder.root, &builder.standard.empty)?,
    }
    Ok(World { root: builder.root, stubs: builder.stubs })
}

impl World {
    /// Makes the rootfs the root and lets go of the host's file system.
    pub(super) fn enter(&self, readonly: bool) -> Result<(), Failure> {
        let fail = |step| move |error: Errno| Failure::setup(step, "the root file system", error);
        if readonly {
            mount::restrict(&self.root, MountAttrFlags::MOUNT_ATTR_RDONLY, false)
                .map_err(|error| Failure::setup("write-protect", "the root file system", error))?;
        }
        rustix::process::fchdir(&self.root).map_err(fail("enter"))?;
        // Both on one place: the old root ends up on top and is unmounted from there.
        rustix::process::pivot_root(".", ".").map_err(fail("pivot to"))?;
        rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(fail("unmount the host from"))?;
        rustix::process::chdir("/").map_err(fail("enter"))
    }
}

fn root(rootfs: &Rootfs, user_xattrs: bool) -> Result<OwnedFd, Failure> {
    match rootfs {
        Rootfs::Overlay { lowers, upper, work } => Overlay { lowers, upper, work, user_xattrs }.mount(),
        Rootfs::Dir(dir) => {
            let fail = |error| Failure::setup("mount", dir.display().to_string(), error);
            let copy = mount::copy_of_path(dir).map_err(fail)?;
            mount::attach_at_path(copy.as_fd(), dir).map_err(fail)?;
            Ok(copy)
        }
    }
}

/// The standard mounts and those asked for, parents first; a later definition of a place wins.
fn entries(asked: &[Mount]) -> Result<BTreeMap<PathBuf, Entry<'_>>, Failure> {
    let mut entries: BTreeMap<PathBuf, Entry<'_>> = BTreeMap::from([
        ("/proc".into(), Entry::Proc),
        ("/dev".into(), Entry::Dev),
        ("/dev/pts".into(), Entry::Pts),
        ("/dev/shm".into(), Entry::Shm),
        ("/dev/mqueue".into(), Entry::Mqueue),
        ("/sys".into(), Entry::Sys),
        ("/sys/fs/cgroup".into(), Entry::Cgroup),
    ]);
    for mount in asked {
        let target = cleaned(&mount.target);
        if target == Path::new("/") {
            return Err(Failure::Invalid(format!("invalid mount target \"{}\"", mount.target)));
        }
        entries.insert(target, Entry::Asked(mount));
    }
    Ok(entries)
}

fn cleaned(target: &str) -> PathBuf {
    let mut path = PathBuf::from("/");
    for component in Path::new(target).components() {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

struct Builder<'a> {
    order: &'a ReceivedOrder,
    root: OwnedFd,
    standard: Standard,
    files_made: usize,
    /// Those that were asked for, by their upper folders.
    overlays: BTreeMap<PathBuf, OwnedFd>,
    stubs: Vec<String>,
}

impl Builder<'_> {
    fn mount(&mut self, target: &Path, entry: &Entry<'_>) -> Result<(), Failure> {
        let target =
            target.to_str().ok_or_else(|| Failure::Invalid("a mount target is not UTF-8".to_owned()))?;
        let made = match entry {
            Entry::Asked(asked) => return self.mount_asked(target, asked),
            Entry::Cgroup => return self.mount_cgroup(target),
            Entry::Dev => &self.standard.dev,
            Entry::Sys => &self.standard.sys,
            Entry::Proc => &self.standard.proc,
            Entry::Mqueue => &self.standard.mqueue,
            Entry::Shm => &self.standard.shm,
            Entry::Pts => &self.standard.pts,
        };
        let place = place::open_or_make(&self.root, target, Kind::Folder, None).map_err(making(target))?;
        mount::attach(made.as_fd(), place.fd.as_fd()).map_err(mount::mounting(target))?;
        match entry {
            Entry::Dev if self.order.in_user_namespace => devices::lend_nodes(made),
            _ => Ok(()),
        }
    }

    /// Only where the host has the one hierarchy of version 2 there; otherwise the folder stays empty.
    fn mount_cgroup(&mut self, target: &str) -> Result<(), Failure> {
        const CGROUP2_MAGIC: i64 = 0x6367_7270;
        let unified = rustix::fs::statfs("/sys/fs/cgroup").is_ok_and(|fs| fs.f_type == CGROUP2_MAGIC);
        let Ok(point) = place::open(&self.root, target, OFlags::PATH) else { return Ok(()) };
        if !unified {
            return Ok(());
        }
        let writable = self.order.spec.privilege == Privilege::All;
        let access = if writable { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
        match mount::create("cgroup2", &[], mount::HARDENED | access) {
            Err(Errno::PERM) if self.order.in_user_namespace => Ok(()),
            made => {
                let made = made.map_err(mount::mounting(target))?;
                mount::attach(made.as_fd(), point.as_fd()).map_err(mount::mounting(target))
            }
        }
    }

    fn mount_asked(&mut self, target: &str, asked: &Mount) -> Result<(), Failure> {
        let made = self.source(target, &asked.source)?;
        if asked.readonly {
            mount::restrict(&made, MountAttrFlags::MOUNT_ATTR_RDONLY, true)
                .map_err(mount::mounting(target))?;
        }
        let stat = rustix::fs::fstat(&made).map_err(mount::mounting(target))?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let kind = if is_folder { Kind::Folder } else { Kind::File };
        let point = self.point(target, kind, asked.remove_stub)?;
        mount::attach(made.as_fd(), point.as_fd()).map_err(mount::mounting(target))
    }

    fn source(&mut self, target: &str, source: &MountSource) -> Result<OwnedFd, Failure> {
        match source {
            MountSource::Bind(path) => mount::copy_of_path(path)
                .map_err(|error| Failure::setup("mount", format!("{} at {target}", path.display()), error)),
            MountSource::Tmpfs { size, mode } => {
                let mode = format!("{mode:o}");
                let size = size.map(|size| size.to_string());
                let mut options = vec![("mode", mode.as_str())];
                options.extend(size.as_deref().map(|size| ("size", size)));
                mount::create("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_NOSUID)
                    .map_err(mount::mounting(target))
            }
            MountSource::File { data, mode, uid, gid } => {
                self.file(data, *mode, *uid, *gid).map_err(mount::mounting(target))
            }
            MountSource::Discard { lowers, source, scratch } => self.discard(target, lowers, source, scratch),
            MountSource::Overlay { lowers, source, upper, work } => {
                self.overlay(target, lowers, source, upper, work)
            }
        }
    }

    fn file(&mut self, data: &[u8], mode: u32, uid: u32, gid: u32) -> std::io::Result<OwnedFd> {
        let files = &self.standard.files;
        if self.files_made == 0 {
            // Only parts of attached mounts can be mounted elsewhere; the host's /proc is not needed here.
            mount::attach_at_path(files.as_fd(), Path::new("/proc"))?;
        }
        self.files_made += 1;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::openat(files, self.files_made.to_string(), flags, Mode::from_raw_mode(0o600))?;
        let mut file = std::fs::File::from(file);
        std::io::Write::write_all(&mut file, data)?;
        match rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))) {
            // A file in memory takes no notes before Linux 6.6; then it is root's.
            Err(Errno::INVAL) if self.order.has_single_id => {
                let _ = pretend::give(file.as_fd(), uid, gid);
            }
            other => other?,
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        let copy = mount::copy_of(file.as_fd())?;
        if mode & 0o111 == 0 {
            mount::restrict(&copy, MountAttrFlags::MOUNT_ATTR_NOEXEC, false)?;
        }
        Ok(copy)
    }

    fn discard(
        &mut self,
        target: &str,
        lowers: &[PathBuf],
        source: &str,
        scratch: &Path,
    ) -> Result<OwnedFd, Failure> {
        let (upper, work) = (scratch.join("upper"), scratch.join("work"));
        for folder in [&upper, &work] {
            match rustix::fs::mkdirat(CWD, folder, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(Failure::setup("create", folder.display().to_string(), error)),
            }
        }
        self.overlay(target, lowers, source, &upper, &work)
    }

    fn overlay(
        &mut self,
        target: &str,
        lowers: &[PathBuf],
        source: &str,
        upper: &Path,
        work: &Path,
    ) -> Result<OwnedFd, Failure> {
        if !self.overlays.contains_key(upper) {
            let user_xattrs = self.order.in_user_namespace;
            let overlay = Overlay { lowers, upper, work, user_xattrs }.mount()?;
            self.overlays.insert(upper.to_owned(), overlay);
        }
        let fail = |error| Failure::setup("mount", format!("{source} at {target}"), error);
        let inside = place::open(&self.overlays[upper], source, OFlags::PATH).map_err(fail)?;
        mount::copy_of(inside.as_fd()).map_err(fail)
    }

    fn point(&mut self, target: &str, kind: Kind, is_stub: bool) -> Result<OwnedFd, Failure> {
        let place = place::open_or_make(&self.root, target, kind, None).map_err(making(target))?;
        if is_stub {
            self.stubs.extend(place.made);
        }
        Ok(place.fd)
    }
}

fn making(target: &str) -> impl FnOnce(Errno) -> Failure + '_ {
    move |error| Failure::setup("make the mount point", target, error)
}
