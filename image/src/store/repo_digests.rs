//! Under which digests registries know what is in the store: docker's RepoDigests.
//!
//! `digests/<hex of the image or index>` has a line `REPOSITORY@DIGEST` for each, the newest first. Two processes that
//! write at the same time may forget one of the lines: it is a note for people, and nothing is decided by it.

use super::{Named, Store, StoreError};
use crate::digest::{ImageId, ManifestDigest};
use crate::reference::Reference;

const FOLDER: &str = "digests";
/// More repositories than anybody pushes one image to.
const MAX_REMEMBERED: usize = 64;

impl Store {
    /// Remembers that the repository of `name` has `what` under `digest`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember_digest(
        &self,
        what: impl Into<Named>,
        name: &Reference,
        digest: ManifestDigest,
    ) -> Result<(), StoreError> {
        let what = what.into();
        let new = name.clone().at(digest.0);
        let mut known = self.repo_digests(what)?;
        if known.contains(&new) {
            return Ok(());
        }
        known.insert(0, new);
        known.truncate(MAX_REMEMBERED);
        let lines: String = known.iter().map(|name| name.canonical() + "\n").collect();
        self.put_in(FOLDER, &what.digest().hex(), lines.as_bytes())
    }

    /// The repositories that are known to have an image or index, with its digest there, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn repo_digests(&self, what: impl Into<Named>) -> Result<Vec<Reference>, StoreError> {
        let what = what.into();
        match (self.read_small(&path(what))?, self.lower()) {
            (None, Some(lower)) => lower.repo_digests(what),
            (text, _) => Ok(parse(&text.unwrap_or_default())),
        }
    }

    /// The digest under which the repository of `name` has an image: its own, or that of the index that it is in.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn digest_in(&self, image: ImageId, name: &Reference) -> Result<Option<ManifestDigest>, StoreError> {
        let digests = self.repo_digests(image)?;
        let same = |known: &&Reference| known.domain() == name.domain() && known.path() == name.path();
        Ok(digests.iter().find(same).and_then(Reference::digest).map(ManifestDigest))
    }
}

/// Relative to [`Store::path`].
pub(super) fn path(what: Named) -> String {
    format!("{FOLDER}/{}", what.digest().hex())
}

fn parse(text: &[u8]) -> Vec<Reference> {
    String::from_utf8_lossy(text).lines().filter_map(|line| line.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::layer::Flavour;

    #[test]
    fn digests_are_remembered_by_repository_until_the_image_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let image = ImageId(Digest::of(b"image"));
        let digest = |text: &str| ManifestDigest(Digest::of(text.as_bytes()));
        let name = |text: &str| text.parse::<Reference>().unwrap();
        assert_eq!(store.repo_digests(image).unwrap(), []);
        for (repository, text) in [("a:1", "one"), ("b/c:2", "two"), ("a:2", "one"), ("a:3", "three")] {
            store.remember_digest(image, &name(repository), digest(text)).unwrap();
        }
        let shown: Vec<String> = store.repo_digests(image).unwrap().iter().map(Reference::familiar).collect();
        assert_eq!(
            shown,
            [
                format!("a@{}", digest("three").0),
                format!("b/c@{}", digest("two").0),
                format!("a@{}", digest("one").0)
            ]
        );
        assert_eq!(store.digest_in(image, &name("a:9")).unwrap(), Some(digest("three")));
        assert_eq!(store.digest_in(image, &name("other")).unwrap(), None);
        store.remove_image(image).unwrap();
        assert_eq!(store.repo_digests(image).unwrap(), []);
    }
}
