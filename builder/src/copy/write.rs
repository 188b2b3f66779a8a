//! Writes a planned layer into its directory.
//!
//! First everything is made, files side by side on all cores; then the further names of files; then the
//! attributes of directories, from the leaves to the root, because making an entry changes its directory's time.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use rbuild_image::layer::{Known as KnownLayer, KnownContents, Listing, Owners};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawMode, Timespec, Timestamps, UTIME_OMIT, chmodat, fchmod, futimens,
    linkat, makedev, mkdirat, mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::data::Mover;
use super::error::CopyError;
use super::listing::{self, Planned};
use super::over::{self, Part};
use super::owner::Owner;
use super::reuse::{Links, Twin, Wanted};
use super::select::Selection;
use super::tree::{Attributes, Content, Made, NodeId, ROOT, Tree, XattrSource};
use crate::context::path::{base_name, join, parent};
use crate::context::xattr::{self, Xattrs};
use crate::context::{
    ContentHash, ContextError, FileTime, Found, Inode, Kind, Known, Meta, now, open_below, read,
};

/// Writes the layer. `selection` is where its files come from; a tree of WORKDIR has none. Says what need not be read
/// of it to know it: what is in the files that became links, and, if nothing is uncertain, which entries there are.
pub(crate) fn write(
    mut tree: Tree<'_>,
    selection: Option<&Selection>,
    upper: BorrowedFd<'_>,
    owners: Owners,
    links: Links<'_>,
) -> Result<Written, CopyError> {
    let hiding: Vec<NodeId> =
        (0..tree.nodes.len()).filter(|id| tree.dir(*id).is_some_and(|dir| dir.hides)).collect();
    for id in hiding {
        tree.hide_below(id)?;
    }
    let own_time = own_time(&tree);
    let planned = listing::planned(&tree, own_time, |content| known_content(selection, content));
    let part = match (&planned, selection, links) {
        (Some(planned), Some(selection), Links::Layer(Some(reuse))) => {
            over::part(&mut tree, selection, planned, reuse)?
        }
        _ => None,
    };
    // No inode may be in both the layer and the one that it is over.
    let links = if part.is_some() { Links::Never } else { links };
    let us = Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
    let mut writer = Writer {
        tree: &tree,
        selection,
        upper,
        owners,
        links,
        mover: Mover::new(),
        us,
        linked: Mutex::default(),
        names: Mutex::default(),
        own_time,
        has_xattrs: AtomicBool::new(false),
    };
    writer.write()?;
    let has_xattrs = *writer.has_xattrs.get_mut();
    let known = writer.known(planned.filter(|_| !has_xattrs));
    let known = match part {
        // They were not there when the files were hashed.
        Some(_) if has_xattrs => return Err(ContextError::Changed { path: "the source".to_owned() }.into()),
        Some(Part { base, contents, bytes }) => {
            KnownLayer { contents, linked_bytes: bytes, over: Some(base), ..known }
        }
        None => known,
    };
    Ok(Written { own_time, known })
}

/// A layer that was written.
#[derive(Debug)]
pub struct Written {
    /// The time of all that was given none. Nothing else in the layer bears a time of the same second.
    pub own_time: FileTime,
    /// What need not be read of it.
    pub known: KnownLayer,
}

struct Writer<'t, 'a> {
    tree: &'t Tree<'a>,
    selection: Option<&'t Selection>,
    upper: BorrowedFd<'t>,
    owners: Owners,
    links: Links<'t>,
    mover: Mover,
    us: Owner,
    linked: Mutex<Linked>,
    /// Further names of files, by the file.
    names: Mutex<BTreeMap<NodeId, Vec<Vec<u8>>>>,
    /// See [`Written::own_time`].
    own_time: FileTime,
    /// An entry of the layer was to get extended attributes.
    has_xattrs: AtomicBool,
}

/// Files that are links to other layers' files.
#[derive(Default)]
struct Linked {
    /// Never two links to one inode, they would become one file.
    inodes: HashSet<Inode>,
    /// What is known to be in them, by their paths in the new layer.
    contents: KnownContents,
    bytes: u64,
}

impl Writer<'_, '_> {
    fn write(&self) -> Result<(), CopyError> {
        self.fill(self.upper, ROOT, b"")?;
        self.more_names()?;
        self.finish_dir(self.upper, ROOT, b"")
    }

    /// What need not be read of what was written.
    fn known(self, planned: Option<Vec<Planned>>) -> KnownLayer {
        let Linked { contents, bytes, .. } = self.linked.into_inner().unwrap_or_else(PoisonError::into_inner);
        let listed = |planned: Vec<Planned>| Listing::new(planned.into_iter().map(|it| it.entry).collect());
        KnownLayer { contents, linked_bytes: bytes, listing: planned.map(listed), over: None }
    }

    /// Makes the entries of a directory, and those below.
    fn fill(&self, dir: BorrowedFd<'_>, id: NodeId, path: &[u8]) -> Result<(), CopyError> {
        let Some(planned) = self.tree.dir(id) else { return Ok(()) };
        let children: Vec<(&Vec<u8>, NodeId)> =
            planned.children.iter().map(|(name, id)| (name, *id)).collect();
        children.into_par_iter().with_max_len(16).try_for_each(|(name, id)| {
            let path = join(path, name);
            if self.tree.dir(id).is_some() {
                let below = make_dir(dir, name).map_err(|e| CopyError::write("make", &path, e))?;
                return self.fill(below.as_fd(), id, &path);
            }
            self.make(dir, name, id, &path)
        })
    }

    fn make(&self, dir: BorrowedFd<'_>, name: &[u8], id: NodeId, path: &[u8]) -> Result<(), CopyError> {
        let failed = |operation: &'static str| move |e: Errno| CopyError::write(operation, path, e);
        match &self.tree.nodes[id].made {
            Made::Dir(_) => Ok(()),
            Made::File { content, with } => self.file(dir, name, path, content, with),
            Made::Symlink { target, with } => {
                symlinkat(target.as_slice(), dir, name).map_err(failed("link"))?;
                self.dress(dir, name, path, with, FileType::Symlink)
            }
            Made::Special { kind, device, with } => {
                if *kind == Kind::Char && *device == (0, 0) {
                    return Err(CopyError::Unsupported(format!(
                        "cannot copy device 0:0 to {}: in a layer it means that something was removed",
                        crate::context::path::show(path)
                    )));
                }
                let file_type = match kind {
                    Kind::Char => FileType::CharacterDevice,
                    Kind::Block => FileType::BlockDevice,
                    // Sockets never get into an image.
                    Kind::Socket => return Ok(()),
                    _ => FileType::Fifo,
                };
                mknodat(dir, name, file_type, Mode::from_raw_mode(0o600), makedev(device.0, device.1))
                    .map_err(failed("make the device"))?;
                self.dress(dir, name, path, with, file_type)
            }
            Made::Link(target) => {
                let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
                names.entry(*target).or_default().push(path.to_vec());
                Ok(())
            }
            Made::Whiteout => {
                let nothing = Mode::empty();
                mknodat(dir, name, FileType::CharacterDevice, nothing, makedev(0, 0)).map_err(failed("hide"))
            }
        }
    }

    fn file(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        content: &Content,
        with: &Attributes,
    ) -> Result<(), CopyError> {
        let xattrs = self.xattrs(with, content)?;
        let known = known_content(self.selection, content).filter(|_| xattrs.is_empty());
        if self.link_instead(dir, name, path, content, with, known) {
            return Ok(());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut to: File = openat(dir, name, flags, Mode::from_raw_mode(0o600))
            .map_err(|e| CopyError::write("create", path, e))?
            .into();
        self.bytes(content, &mut to, path)?;
        let failed = |operation: &'static str| move |e: Errno| CopyError::write(operation, path, e);
        if with.owner != self.us {
            self.owners.give(to.as_fd(), with.owner).map_err(failed("set the owner of"))?;
        }
        fchmod(&to, mode(with.mode)).map_err(failed("set the mode of"))?;
        xattr::write(dir.as_raw_fd(), name, &xattrs);
        futimens(&to, &times(with.mtime.unwrap_or(self.own_time))).map_err(failed("set the time of"))
    }

    fn bytes(&self, content: &Content, to: &mut File, path: &[u8]) -> Result<(), CopyError> {
        let wrote = |result: std::io::Result<()>| {
            result.map_err(|cause| CopyError::Write {
                operation: "write",
                path: crate::context::path::show(path),
                cause,
            })
        };
        match content {
            Content::Bytes(bytes) => wrote(std::io::Write::write_all(to, bytes)),
            Content::Range { file, offset, size } => wrote(Mover::range(file, *offset, *size, to)),
            Content::Dest(found, at) => {
                let root = self.tree.dest().layer(found.layer as usize);
                let Some(root) = root else { return Ok(()) };
                let from: File = open_below(root, at, OFlags::RDONLY | OFlags::NOFOLLOW)
                    .map_err(|cause| ContextError::io("open", at, cause))?
                    .into();
                wrote(self.mover.whole(&from, to, found.meta.size))
            }
            Content::Source(found, at) => {
                let Some(selection) = self.selection else { return Ok(()) };
                self.copy_source(selection, found, at, to).and_then(wrote)
            }
        }
    }

    /// Copies a file of the source; hashes it on the way if its hash is not known yet.
    fn copy_source(
        &self,
        selection: &Selection,
        found: &Found,
        at: &[u8],
        to: &mut File,
    ) -> Result<std::io::Result<()>, CopyError> {
        let (source, meta) = (&selection.source, &found.meta);
        if meta.size == 0 {
            return Ok(Ok(()));
        }
        let from = source.open(at, found.layer)?;
        let immutable = !source.is_folder();
        let read_at = now();
        let expected = {
            let hashed = selection.hashed.lock().unwrap_or_else(PoisonError::into_inner);
            hashed.get(at).copied()
        };
        let is_known = immutable || (expected.is_none() && source.hashes().get(meta, false).is_some());
        if is_known {
            let result = self.mover.whole(&from, to, meta.size);
            source.check_unchanged(&from, at, meta)?;
            return Ok(result);
        }
        let content = match read::copy_hashing(&from, to) {
            Ok(content) => content,
            Err(cause) => return Ok(Err(cause)),
        };
        source.check_unchanged(&from, at, meta)?;
        if expected.is_some_and(|expected| expected != content) {
            return Err(ContextError::Changed { path: crate::context::path::show(at) }.into());
        }
        let has_xattrs = !source.xattrs(at, found.layer)?.is_empty();
        source.hashes().learn(meta, false, read_at, Known { content, has_xattrs });
        Ok(Ok(()))
    }

    /// Links to an equal file of another layer, if there is one. An empty file is not worth a link.
    fn link_instead(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        content: &Content,
        with: &Attributes,
        known: Option<ContentHash>,
    ) -> bool {
        let (Content::Source(found, at), Some(selection), Some(mtime), Links::Layer(reuse)) =
            (content, self.selection, with.mtime, self.links)
        else {
            return false;
        };
        let (source, meta) = (&selection.source, &found.meta);
        let wanted = known.map(|known| Wanted::new(known, meta.size, with.mode, with.owner, mtime));
        let reuse = reuse.zip(wanted.as_ref());
        if let Some((reuse, wanted)) = reuse {
            reuse.made(wanted, path);
        }
        if !source.is_folder() && meta.size > 0 && looks_as(meta, meta.size, with, mtime) {
            let twin = Twin { root: source.root_of(found.layer), path: at };
            return self.link(twin, (meta.inode, meta.size), dir, name, path, known);
        }
        let Some(twin) = reuse.and_then(|(reuse, wanted)| reuse.find(wanted, path)) else { return false };
        match Meta::owned_at(twin.root, twin.path, self.owners) {
            Ok(there) if there.kind == Kind::File && looks_as(&there, meta.size, with, mtime) => {
                self.link(twin, (there.inode, there.size), dir, name, path, known)
            }
            _ => false,
        }
    }

    fn link(
        &self,
        twin: Twin<'_>,
        (inode, size): (Inode, u64),
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        known: Option<ContentHash>,
    ) -> bool {
        let linked = || self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        // Another file system, too many links, a kernel that protects hard links: then it is copied.
        if !linked().inodes.insert(inode)
            || linkat(twin.root, twin.path, dir, name, AtFlags::empty()).is_err()
        {
            return false;
        }
        if let Some(known) = known {
            let mut linked = linked();
            linked.contents.insert(path.to_vec(), known);
            linked.bytes += size;
        }
        true
    }

    /// Gives files the further names that they have in the source.
    fn more_names(&self) -> Result<(), CopyError> {
        let names = std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner));
        for (target, mut paths) in names {
            paths.sort_unstable();
            let mut paths = paths.into_iter();
            let first = self.tree.path(target);
            let is_there = self.tree.nodes[target].parent_has(self.tree, target);
            let first = if is_there {
                first
            } else {
                // Something else took its place since: then the next name is the file.
                let Some(next) = paths.next() else { continue };
                let dir = self.open_dir(parent(&next))?;
                self.make(dir.as_fd(), base_name(&next), target, &next)?;
                next
            };
            for path in paths {
                linkat(self.upper, first.as_slice(), self.upper, path.as_slice(), AtFlags::empty())
                    .map_err(|e| CopyError::write("link", &path, e))?;
            }
        }
        Ok(())
    }

    fn open_dir(&self, path: &[u8]) -> Result<OwnedFd, CopyError> {
        open_below(self.upper, path, OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(|e| CopyError::write("open", path, e))
    }

    /// Sets the attributes of a directory, after those of the directories in it.
    fn finish_dir(&self, dir: BorrowedFd<'_>, id: NodeId, path: &[u8]) -> Result<(), CopyError> {
        let Some(planned) = self.tree.dir(id) else { return Ok(()) };
        let below: Vec<(&Vec<u8>, NodeId)> = planned
            .children
            .iter()
            .filter(|(_, id)| self.tree.dir(**id).is_some())
            .map(|(name, id)| (name, *id))
            .collect();
        below.into_par_iter().try_for_each(|(name, id)| {
            let path = join(path, name);
            let fd = open_below(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)
                .map_err(|e| CopyError::write("open", &path, e))?;
            self.finish_dir(fd.as_fd(), id, &path)
        })?;
        let failed = |operation: &'static str| move |e: Errno| CopyError::write(operation, path, e);
        let with = &planned.with;
        if with.owner != self.us {
            self.owners.give(dir, with.owner).map_err(failed("set the owner of"))?;
        }
        fchmod(dir, mode(with.mode)).map_err(failed("set the mode of"))?;
        xattr::write(dir.as_raw_fd(), b".", &self.xattrs(with, &Content::Bytes(Vec::new()))?);
        futimens(dir, &times(with.mtime.unwrap_or(self.own_time))).map_err(failed("set the time of"))
    }

    /// Sets the attributes of something that is not opened.
    fn dress(
        &self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        with: &Attributes,
        kind: FileType,
    ) -> Result<(), CopyError> {
        let failed = |operation: &'static str| move |e: Errno| CopyError::write(operation, path, e);
        let no_follow = AtFlags::SYMLINK_NOFOLLOW;
        if with.owner != self.us {
            let given = self.owners.give_at(dir, name, kind, with.owner);
            given.map_err(failed("set the owner of"))?;
        }
        if kind != FileType::Symlink {
            chmodat(dir, name, mode(with.mode), AtFlags::empty()).map_err(failed("set the mode of"))?;
        }
        xattr::write(dir.as_raw_fd(), name, &self.xattrs(with, &Content::Bytes(Vec::new()))?);
        let time = times(with.mtime.unwrap_or(self.own_time));
        utimensat(dir, name, &time, no_follow).map_err(failed("set the time of"))
    }

    fn xattrs(&self, with: &Attributes, content: &Content) -> Result<Xattrs, CopyError> {
        let xattrs = self.planned_xattrs(with, content)?;
        if !xattrs.is_empty() {
            self.has_xattrs.store(true, Ordering::Relaxed);
        }
        Ok(xattrs)
    }

    fn planned_xattrs(&self, with: &Attributes, content: &Content) -> Result<Xattrs, CopyError> {
        let (path, layer) = match &with.xattrs {
            XattrSource::These(xattrs) => return Ok(xattrs.clone()),
            XattrSource::Source { path, layer } => (path, *layer),
        };
        let Some(selection) = self.selection else { return Ok(Vec::new()) };
        if let Content::Source(found, _) = content {
            let known = selection.source.hashes().get(&found.meta, !selection.source.is_folder());
            if known.is_some_and(|known| !known.has_xattrs) {
                return Ok(Vec::new());
            }
        }
        Ok(selection.source.xattrs(path, layer)?)
    }
}

/// The content of a file of the source, if it has one and a memory knows it.
fn known_content(selection: Option<&Selection>, content: &Content) -> Option<ContentHash> {
    let (Content::Source(found, at), selection) = (content, selection?) else { return None };
    if found.meta.size == 0 {
        return None;
    }
    let known = selection.source.remembered(&found.meta).map(|known| known.content);
    known.or_else(|| {
        let hashed = selection.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.get(at).copied()
    })
}

/// Now, or the next second if something that is copied was changed in this one: a layer's identity knows seconds, and
/// leaves out the layer's own.
fn own_time(tree: &Tree<'_>) -> FileTime {
    let now = now();
    let copied = tree.nodes.iter().filter_map(|node| node.made.attributes()?.mtime);
    let is_taken = copied.into_iter().any(|time| time.secs == now.secs);
    if is_taken { FileTime { secs: now.secs + 1, nanos: 0 } } else { now }
}

impl super::tree::Node {
    fn parent_has(&self, tree: &Tree<'_>, id: NodeId) -> bool {
        tree.dir(self.parent).is_some_and(|dir| dir.children.get(&self.name) == Some(&id))
            && (self.parent == ROOT || tree.nodes[self.parent].parent_has(tree, self.parent))
    }
}

fn looks_as(meta: &Meta, size: u64, with: &Attributes, mtime: FileTime) -> bool {
    (meta.size, meta.mode, meta.uid, meta.gid, meta.mtime)
        == (size, with.mode, with.owner.uid, with.owner.gid, mtime)
}

fn make_dir(dir: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    mkdirat(dir, name, Mode::from_raw_mode(0o700))?;
    open_below(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)
}

fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits as RawMode)
}

fn times(time: FileTime) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: time.secs, tv_nsec: time.nanos.into() },
    }
}
