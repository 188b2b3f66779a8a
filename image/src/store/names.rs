//! What people call images.
//!
//! A file of `names/` holds one name and the image's ID, or `index` and the ID of an index; then, for what came from
//! elsewhere, `as` and the digest of the manifest or index that the name led to there, see `manifests`. It is called
//! after the SHA-256 of the name, since names have slashes and may be longer than a file's name.

use std::collections::BTreeSet;

use super::images::Image;
use super::{Named, Store, StoreError};
use crate::digest::{Digest, ImageId, IndexId, ManifestDigest};
use crate::platform::Platform;
use crate::reference::Reference;

/// Stands before the ID of an index.
const INDEX: &str = "index ";
/// Stands before the digest of what it came as.
const AS: &str = " as ";

/// Shorter prefixes of an ID are taken too, as docker does; but at least one digit is needed.
const ID_DIGITS: usize = 64;

/// Why a text does not lead to an image.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// No image has this name or ID.
    #[error("no such image: {0}")]
    NotFound(String),
    /// Several images have IDs that begin so.
    #[error("image ID prefix {0:?} is ambiguous")]
    Ambiguous(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Makes `name` mean an image or an index, in one step. A name without tag and digest gets the tag `latest`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_name(&self, name: &Reference, meaning: impl Into<Named>) -> Result<(), StoreError> {
        self.set_name_as(name, meaning, None)
    }

    /// The same for what came as the manifest or index `document`, which is kept
    /// ([`keep_manifest`](Self::keep_manifest)).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_name_as(
        &self,
        name: &Reference,
        meaning: impl Into<Named>,
        document: Option<ManifestDigest>,
    ) -> Result<(), StoreError> {
        let name = name.clone().with_default_tag().canonical();
        let meaning = match meaning.into() {
            Named::Image(id) => id.to_string(),
            Named::Index(id) => format!("{INDEX}{id}"),
        };
        let document = document.map(|digest| format!("{AS}{digest}")).unwrap_or_default();
        self.write_small(&path(&name), format!("{name} {meaning}{document}\n").as_bytes())
    }

    /// What `name` means.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn meaning(&self, name: &Reference) -> Result<Option<Named>, StoreError> {
        Ok(self.entry(name)?.map(|entry| entry.meaning))
    }

    /// As what the meaning of `name` came from elsewhere: the digest of a manifest or an index.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn document(&self, name: &Reference) -> Result<Option<ManifestDigest>, StoreError> {
        Ok(self.entry(name)?.and_then(|entry| entry.document))
    }

    fn entry(&self, name: &Reference) -> Result<Option<Entry>, StoreError> {
        let name = name.clone().with_default_tag().canonical();
        let mut file = self.read_small(&path(&name))?;
        if let (None, Some(lower)) = (&file, self.lower()) {
            file = lower.read_small(&path(&name))?;
        }
        Ok(file.and_then(|file| parse(&file)))
    }

    /// The image that `name` means: of several the one for this machine.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn named(&self, name: &Reference) -> Result<Option<ImageId>, StoreError> {
        self.meaning(name)?.map_or(Ok(None), |meaning| self.here(meaning))
    }

    /// The image that `name` means for a platform. A name of one image means that, whatever it is for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn named_for(&self, name: &Reference, platform: &Platform) -> Result<Option<ImageId>, StoreError> {
        Ok(match self.meaning(name)? {
            None => None,
            Some(Named::Image(id)) => Some(id),
            Some(Named::Index(id)) => self.index(id)?.and_then(|index| index.exactly(platform)),
        })
    }

    /// Makes `name` mean `image` beside the images that it has for other platforms. `document` is what the name leads
    /// to where the image came from.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn add_to_name(
        &self,
        name: &Reference,
        image: &Image,
        document: Option<ManifestDigest>,
    ) -> Result<(), StoreError> {
        let platform = image.config.platform();
        let mut images = match self.meaning(name)? {
            None => Vec::new(),
            Some(Named::Image(id)) => {
                self.image(id)?.map(|there| (there.config.platform(), id)).into_iter().collect()
            }
            Some(Named::Index(id)) => self.index(id)?.map(|index| index.images).unwrap_or_default(),
        };
        images.retain(|(there, _)| !platform.accepts(there));
        if images.is_empty() {
            return self.set_name_as(name, image.id, document);
        }
        images.push((platform, image.id));
        images.sort();
        self.set_name_as(name, self.put_index(images)?, document)
    }

    /// Forgets a name; false when there was none.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn remove_name(&self, name: &Reference) -> Result<bool, StoreError> {
        self.remove_small(&path(&name.clone().with_default_tag().canonical()))
    }

    /// All names with what they mean, sorted by name.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn names(&self) -> Result<Vec<(Reference, Named)>, StoreError> {
        let mut found: Vec<_> =
            self.own_names()?.into_iter().map(|entry| (entry.name, entry.meaning)).collect();
        if let Some(lower) = self.lower() {
            let hidden: BTreeSet<Reference> = found.iter().map(|(name, _)| name.clone()).collect();
            found.extend(lower.names()?.into_iter().filter(|(name, _)| !hidden.contains(name)));
        }
        found.sort();
        Ok(found)
    }

    /// What is in this store, without the lower one.
    fn own_names(&self) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        for file in self.names_in("names")? {
            // A name that vanished while we were looking is none.
            let bytes = self.read_small(&format!("names/{file}"))?;
            found.extend(bytes.and_then(|bytes| parse(&bytes)));
        }
        Ok(found)
    }

    /// What the names of this store came as.
    pub(super) fn named_documents(&self) -> Result<BTreeSet<ManifestDigest>, StoreError> {
        Ok(self.own_names()?.into_iter().filter_map(|entry| entry.document).collect())
    }

    /// All names with their images, sorted by name: of several the image for this machine.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn image_names(&self) -> Result<Vec<(Reference, ImageId)>, StoreError> {
        let mut found = Vec::new();
        for (name, meaning) in self.names()? {
            found.extend(self.here(meaning)?.map(|image| (name, image)));
        }
        Ok(found)
    }

    /// The image that people mean by `text`: an ID (`sha256:…`), a name, or the first digits of an ID. Of several
    /// platforms it is this machine's.
    ///
    /// # Errors
    /// When there is none, or several IDs begin so.
    pub fn resolve(&self, text: &str) -> Result<Image, ResolveError> {
        let image = self.image_here(self.resolve_named(text)?)?;
        image.ok_or_else(|| ResolveError::NotFound(text.to_owned()))
    }

    /// What people mean by `text`: an image, or an index where it is one's name or ID.
    ///
    /// # Errors
    /// As [`Store::resolve`].
    pub fn resolve_named(&self, text: &str) -> Result<Named, ResolveError> {
        let not_found = || ResolveError::NotFound(text.to_owned());
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if let Ok(digest) = Digest::from_hex(digits) {
            return self.by_digest(digest)?.ok_or_else(not_found);
        }
        if let Ok(name) = text.parse::<Reference>()
            && let Some(meaning) = self.meaning(&name)?
            && self.by_digest(meaning.digest())?.is_some()
        {
            return Ok(meaning);
        }
        let is_prefix = !digits.is_empty()
            && digits.len() < ID_DIGITS
            && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_prefix {
            return Err(not_found());
        }
        let images = self.image_ids()?.into_iter().map(Named::Image);
        let all = images.chain(self.index_ids()?.into_iter().map(Named::Index));
        let mut matching = all.filter(|named| named.digest().hex().starts_with(digits));
        match (matching.next(), matching.next()) {
            (Some(one), None) => self.by_digest(one.digest())?.ok_or_else(not_found),
            (Some(_), Some(_)) => Err(ResolveError::Ambiguous(text.to_owned())),
            _ => Err(not_found()),
        }
    }

    /// What has that ID and is whole.
    fn by_digest(&self, digest: Digest) -> Result<Option<Named>, StoreError> {
        if self.image(ImageId(digest))?.is_some() {
            return Ok(Some(Named::Image(ImageId(digest))));
        }
        Ok(self.index(IndexId(digest))?.map(|index| Named::Index(index.id)))
    }

    fn here(&self, meaning: Named) -> Result<Option<ImageId>, StoreError> {
        match meaning {
            Named::Image(id) => Ok(Some(id)),
            Named::Index(id) => Ok(self.index(id)?.map(|index| index.here())),
        }
    }
}

fn path(canonical: &str) -> String {
    format!("names/{}", Digest::of(canonical.as_bytes()).hex())
}

/// What a file says.
struct Entry {
    name: Reference,
    meaning: Named,
    document: Option<ManifestDigest>,
}

fn parse(file: &[u8]) -> Option<Entry> {
    let (name, rest) = std::str::from_utf8(file).ok()?.strip_suffix('\n')?.split_once(' ')?;
    let (meaning, document) = match rest.split_once(AS) {
        Some((meaning, document)) => (meaning, Some(document.parse().ok()?)),
        None => (rest, None),
    };
    let meaning = match meaning.strip_prefix(INDEX) {
        Some(index) => Named::Index(index.parse().ok()?),
        None => Named::Image(meaning.parse().ok()?),
    };
    Some(Entry { name: name.parse().ok()?, meaning, document })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ImageConfig;
    use crate::layer::Flavour;

    #[test]
    fn names_ids_and_prefixes_lead_to_an_image() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let make = |author: &str| {
            let config = ImageConfig { author: author.into(), ..ImageConfig::default() };
            store.put_image(&config.to_bytes(), &[]).unwrap()
        };
        let ids: Vec<ImageId> = (0..20).map(|n| make(&n.to_string())).collect();
        let name: Reference = "app".parse().unwrap();
        store.set_name(&name, ids[0]).unwrap();
        store.set_name(&"localhost:5000/b:1".parse().unwrap(), ids[1]).unwrap();
        for text in [
            "app",
            "app:latest",
            "docker.io/library/app",
            &ids[0].to_string(),
            &ids[0].hex(),
            &ids[0].hex()[..12],
        ] {
            assert_eq!(store.resolve(text).unwrap().id, ids[0], "{text}");
        }
        assert_eq!(store.resolve("localhost:5000/b:1").unwrap().id, ids[1]);
        for text in ["", "app:2", "nothing", "UPPER", &"0".repeat(64)] {
            assert!(matches!(store.resolve(text), Err(ResolveError::NotFound(_))), "{text}");
        }
        // Twenty IDs and sixteen digits: two begin with the same.
        let shared = (0..16u32)
            .map(|digit| format!("{digit:x}"))
            .find(|digit| ids.iter().filter(|id| id.hex().starts_with(digit)).count() > 1)
            .unwrap();
        assert!(matches!(store.resolve(&shared), Err(ResolveError::Ambiguous(_))));
        store.set_name(&name, ids[2]).unwrap();
        assert_eq!(store.named(&name).unwrap(), Some(ids[2]));
        assert_eq!(store.image_names().unwrap().len(), 2);
        assert!(store.remove_name(&name).unwrap());
        assert!(!store.remove_name(&name).unwrap());
        assert!(store.resolve("app").is_err());
    }
}
