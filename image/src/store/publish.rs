//! How a folder becomes a layer: its files are named, and it is moved to its place.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;

use super::files::unique;
use super::layers::{
    Came, ForeignBlob, Layer, Meta, OF_AN_ENTRY, Origin, WHOLE, diff_id_path, foreign_id, layer_path,
};
use super::{Store, StoreError, TempDir};
use crate::digest::{DiffId, LayerId};
use crate::layer::{self, Identified, Known, Listing, OpenFolders, OwnTimes, Sealed, TarSummary};

/// A layer that was just published.
#[derive(Debug)]
pub struct Published {
    /// The layer.
    pub layer: Layer,
    /// What is in it. None if an equal layer was there, whose times may be others.
    pub listing: Option<Listing>,
}

/// The files of a folder that is about to be a layer. They are the same when it has moved to its place.
#[derive(Debug)]
pub struct UnpublishedTar {
    folders: OpenFolders,
    listing: Listing,
}

impl UnpublishedTar {
    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.listing.count()
    }

    /// Reads them: the tar that the layer will have. Ends with an error soon after `stop` is set.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&self, stop: &AtomicBool) -> Result<TarSummary, StoreError> {
        let mut out = Until(stop);
        layer::write_listed_tar(self.folders.as_folders(), &self.listing, &mut out)
            .map_err(StoreError::layer(None))
    }
}

/// Takes bytes until nobody wants them any more.
struct Until<'a>(&'a AtomicBool);

impl Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::Error::other("it is not wanted any more"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which folder stands in a layer's place. An equal layer of another may have other times, those that its step made
/// itself, and with them another tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Anothers,
}

impl Store {
    /// Makes the folder `fs` of `temp` a layer that a step built; everything else in `temp` vanishes. When a layer
    /// of the same identity is there, that one stays and is returned.
    ///
    /// # Errors
    /// When the folder cannot be read, or not moved to its place.
    pub fn publish_layer(&self, temp: TempDir, times: OwnTimes) -> Result<Layer, StoreError> {
        self.publish_layer_knowing(&temp, times, Known::default()).map(|published| published.layer)
    }

    /// The same where something is known of the folder: that is not read for the layer's identity. What else is in
    /// `temp` is there until the caller is done with it.
    ///
    /// # Errors
    /// As [`Store::publish_layer`].
    pub fn publish_layer_knowing(
        &self,
        temp: &TempDir,
        times: OwnTimes,
        known: Known,
    ) -> Result<Published, StoreError> {
        let shared = room_of_links(&known);
        let over = self.over(&known)?;
        let Identified { identity, bytes, listing } = self.identify(temp, times, &known, over.as_ref())?;
        let over = over.as_ref().map(Layer::as_base);
        let meta = Meta { over, ..self.meta(identity, listing.count(), bytes, Origin::Built(times)) };
        let (layer, whose) = self.publish(temp, identity, meta, shared)?;
        Ok(Published { layer, listing: (whose == Whose::Ours).then_some(listing) })
    }

    /// The folder `fs` of `temp`, to read its tar while it is being published. None if it is not known what is in it.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn unpublished_tar(
        &self,
        temp: &TempDir,
        known: &Known,
    ) -> Result<Option<UnpublishedTar>, StoreError> {
        let Some(listing) = known.listing.clone() else { return Ok(None) };
        let folders = self.open_fs_of(temp, self.over(known)?.as_ref())?;
        Ok(Some(UnpublishedTar { folders, listing }))
    }

    /// The same for a layer whose DiffID is wanted right away: its files are read once for both, and its tar goes to
    /// `out` on the way. Returns what that tar is, which is the layer's if no equal one was there.
    ///
    /// # Errors
    /// As [`Store::publish_layer`].
    pub fn publish_sealed_layer(
        &self,
        temp: &TempDir,
        times: OwnTimes,
        known: Known,
        out: Option<&mut dyn Write>,
    ) -> Result<(Layer, TarSummary), StoreError> {
        let shared = room_of_links(&known);
        let over = self.over(&known)?;
        if let (Some(over), None) = (&over, &out) {
            // To tell whether an equal layer is there, nothing has to be read that is not new.
            let Identified { identity, .. } = self.identify(temp, times, &known, Some(over))?;
            if let Some(layer) = self.layer(identity)? {
                let tar = layer.tar()?;
                return Ok((layer, tar));
            }
        }
        let sealed = self.seal(temp, times, &known, over.as_ref(), out)?;
        let layer = self.publish_sealed(temp, times, &sealed, over.as_ref(), shared)?;
        Ok((layer, sealed.tar))
    }

    /// The same for a layer that came from elsewhere. It is named after its DiffID, which stays the same even where
    /// our own tar of the directory differs. `file` has the bytes of its blob, if they are not in their place yet, and
    /// is moved there.
    ///
    /// # Errors
    /// As [`Store::publish_layer`]; the blob is neither there nor in `file`.
    pub fn publish_foreign_layer(
        &self,
        temp: TempDir,
        came: Came,
        file: Option<&Path>,
    ) -> Result<Layer, StoreError> {
        self.publish_foreign_layer_as(temp, foreign_id(came.diff_id), came, file)
    }

    /// The same under another name.
    pub(super) fn publish_foreign_layer_as(
        &self,
        temp: TempDir,
        id: LayerId,
        came: Came,
        file: Option<&Path>,
    ) -> Result<Layer, StoreError> {
        let Came { diff_id, blob, implied } = came;
        let Identified { identity, bytes, listing } =
            self.identify(&temp, OwnTimes::KeepAll, &Known::default(), None)?;
        if let Some(blob) = &blob {
            self.take_blob(blob, file)?;
        }
        let origin = Origin::Foreign { diff_id, blob };
        let meta = Meta { implied, ..self.meta(identity, listing.count(), bytes, origin) };
        self.publish(&temp, id, meta, 0).map(|(layer, _)| layer)
    }

    /// Brings a blob to its place, a moment before the layer that names it. Until then nothing keeps it but its age: so
    /// it is made young, however long it was on its way.
    fn take_blob(&self, blob: &ForeignBlob, file: Option<&Path>) -> Result<(), StoreError> {
        let place = format!("blobs/sha256/{}", blob.digest.hex());
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: omit, last_modification: now };
        let at = file.unwrap_or(Path::new(&place));
        match (fs::utimensat(self.dir(), at, &times, AtFlags::empty()), file) {
            (Ok(()), None) => Ok(()),
            // The lower store has it.
            (Err(Errno::NOENT), None) if self.lower().is_some() => Ok(()),
            (Err(error), _) => Err(StoreError::io("touch", at)(error)),
            (Ok(()), Some(file)) => {
                fs::renameat(self.dir(), file, self.dir(), &place).map_err(StoreError::io("publish", &place))
            }
        }
    }

    /// The same for a layer that another store built and that travelled as a tar, if it is what it is said to be:
    /// None if the folder's identity is not `id`, or its tar not `diff_id`. What is remembered of it afterwards was
    /// computed here, so that whoever sent it can spoil nothing.
    ///
    /// # Errors
    /// As [`Store::publish_layer`].
    pub fn publish_carried_layer(
        &self,
        temp: TempDir,
        times: OwnTimes,
        id: LayerId,
        diff_id: DiffId,
    ) -> Result<Option<Layer>, StoreError> {
        let sealed = self.seal(&temp, times, &Known::default(), None, None)?;
        if sealed.identity != id || sealed.tar.diff_id != diff_id {
            return Ok(None);
        }
        self.publish_sealed(&temp, times, &sealed, None, 0).map(Some)
    }

    /// The layer of which a folder has only what differs.
    fn over(&self, known: &Known) -> Result<Option<Layer>, StoreError> {
        let Some(id) = known.over else { return Ok(None) };
        self.layer(id)?.map(Some).ok_or(StoreError::NoLayer(id))
    }

    /// The folder that is to become a layer, with that of the layer that it is over.
    fn open_fs_of(&self, temp: &TempDir, over: Option<&Layer>) -> Result<OpenFolders, StoreError> {
        let open = |dir: BorrowedFd<'_>, name: &str| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            fs::openat(dir, name, flags, Mode::empty()).map_err(StoreError::io("open", name))
        };
        let top = open(temp.dir(), WHOLE)?;
        let Some(over) = over else { return Ok(OpenFolders::whole(top)) };
        let base = open(self.dir(), &format!("{}/{WHOLE}", layer_path(over.id())))?;
        OpenFolders::over(top, base, self.flavour()).map_err(StoreError::layer(None))
    }

    fn identify(
        &self,
        temp: &TempDir,
        times: OwnTimes,
        known: &Known,
        over: Option<&Layer>,
    ) -> Result<Identified, StoreError> {
        let folders = self.open_fs_of(temp, over)?;
        layer::identify(folders.as_folders(), self.flavour(), times, known).map_err(StoreError::layer(None))
    }

    fn seal(
        &self,
        temp: &TempDir,
        times: OwnTimes,
        known: &Known,
        over: Option<&Layer>,
        out: Option<&mut dyn Write>,
    ) -> Result<Sealed, StoreError> {
        let folders = self.open_fs_of(temp, over)?;
        layer::seal(folders.as_folders(), self.flavour(), times, known, out).map_err(StoreError::layer(None))
    }

    fn publish_sealed(
        &self,
        temp: &TempDir,
        times: OwnTimes,
        sealed: &Sealed,
        over: Option<&Layer>,
        shared: u64,
    ) -> Result<Layer, StoreError> {
        let Sealed { identity, entries, bytes, tar } = *sealed;
        let over = over.map(Layer::as_base);
        let meta = Meta { over, ..self.meta(identity, entries, bytes, Origin::Built(times)) };
        let (layer, whose) = self.publish(temp, identity, meta, shared)?;
        if whose == Whose::Ours {
            layer.found_tar(tar)?;
        }
        Ok(layer)
    }

    fn meta(&self, tree: LayerId, entries: u64, bytes: u64, origin: Origin) -> Meta {
        let boot = self.boot_id().to_owned();
        let made = if matches!(origin, Origin::Built(_)) { unique() } else { String::new() };
        Meta { tree, origin, entries, bytes, implied: Vec::new(), over: None, made, boot }
    }

    /// `shared` is the part of its room that other layers take already.
    fn publish(
        &self,
        temp: &TempDir,
        id: LayerId,
        meta: Meta,
        shared: u64,
    ) -> Result<(Layer, Whose), StoreError> {
        if let Some(layer) = self.layer(id)? {
            return Ok((layer, Whose::Anothers));
        }
        if self.exists(&layer_path(id)) {
            self.drop_broken(id)?;
        }
        let ready = format!("{}/layer", temp.name());
        fs::mkdirat(self.dir(), &ready, Mode::from_raw_mode(0o755))
            .map_err(StoreError::io("create", &ready))?;
        fs::renameat(temp.dir(), WHOLE, temp.dir(), format!("layer/{}", meta.folder()))
            .map_err(StoreError::io("move", &ready))?;
        let json = serde_json::to_vec(&meta).expect("the members are strings and numbers");
        self.write_within(&format!("{ready}/meta.json"), &json)?;
        let whose = match fs::renameat(self.dir(), &ready, self.dir(), layer_path(id)) {
            Ok(()) => Whose::Ours,
            // Somebody else was faster: what is there is whole and the same.
            Err(Errno::EXIST | Errno::NOTEMPTY) => Whose::Anothers,
            Err(error) => return Err(StoreError::io("publish", layer_path(id))(error)),
        };
        if whose == Whose::Ours {
            self.count_added(meta.room().saturating_sub(shared));
        }
        if let Origin::Foreign { diff_id, .. } = meta.origin {
            self.write_small(&diff_id_path(diff_id), id.to_string().as_bytes())?;
        }
        let layer = match whose {
            Whose::Ours if meta.over.is_none() => self.just_published(id, meta),
            Whose::Ours | Whose::Anothers => self.layer(id)?.ok_or(StoreError::NoLayer(id))?,
        };
        Ok((layer, whose))
    }
}

/// What files take of the disk that are links to those of other layers: nothing that was not taken before.
fn room_of_links(known: &Known) -> u64 {
    known.linked_bytes + known.contents.len() as u64 * OF_AN_ENTRY
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::layer::Flavour;

    #[test]
    fn of_equal_layers_the_tar_of_the_first_counts() {
        let folder = tempfile::tempdir().unwrap();
        let flavour = if rustix::process::geteuid().is_root() { Flavour::Trusted } else { Flavour::User };
        let store = Store::open(folder.path(), flavour).unwrap();
        let made_at = |secs| {
            let temp = store.temp().unwrap();
            temp.make_dir("fs", 0o755).unwrap();
            let file = fs::File::create(temp.path().join("fs/file")).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs)).unwrap();
            temp
        };
        let times = OwnTimes::IgnoreAll;
        let first = store.publish_layer(made_at(1), times).unwrap();
        let known = || Known::default();
        let (second, tar) = store.publish_sealed_layer(&made_at(2), times, known(), None).unwrap();
        assert_eq!(second.id(), first.id());
        assert_ne!(second.tar().unwrap(), tar);
        let third = store.publish_layer_knowing(&made_at(3), times, known()).unwrap();
        assert_eq!((third.layer.id(), third.listing), (first.id(), None));
    }

    #[test]
    fn files_shared_with_other_layers_take_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let flavour = if rustix::process::geteuid().is_root() { Flavour::Trusted } else { Flavour::User };
        let store = Store::open(folder.path(), flavour).unwrap();
        let content = [7; 4096];
        let temp = store.temp().unwrap();
        temp.make_dir("fs", 0o755).unwrap();
        fs::write(temp.path().join("fs/large"), content).unwrap();
        let first = store.publish_layer(temp, OwnTimes::IgnoreAll).unwrap();
        assert_eq!(store.added(), 4096 + OF_AN_ENTRY);

        let temp = store.temp().unwrap();
        temp.make_dir("fs", 0o755).unwrap();
        fs::hard_link(first.fs_path().join("large"), temp.path().join("fs/large")).unwrap();
        fs::write(temp.path().join("fs/new"), "1").unwrap();
        let contents = [(b"large".to_vec(), *blake3::hash(&content).as_bytes())].into();
        let known = Known { contents, linked_bytes: 4096, ..Known::default() };
        let published = store.publish_layer_knowing(&temp, OwnTimes::IgnoreAll, known).unwrap();
        assert_eq!(published.layer.size(), 4097);
        assert_eq!(store.added(), 4096 + OF_AN_ENTRY + 1 + OF_AN_ENTRY);
    }
}
