//! What a copy between chains selects, known without looking at the files.
//!
//! The key of a `COPY --from`, and of a bind mount, has the digest of what is copied, so that it hits whatever else
//! happened in the stage that it copies from. To compute that digest the files are needed, and with them every layer of
//! that stage. But chains are identified by what they hold: the same instruction on the same chains selects the same.
//! So the digest is remembered under a name that is made of the instruction and of the chains' digests.

use rbuild_image::store::Store;
use rbuild_parser::plan::{Copy, CopySource};

use crate::chain::Chain;
use crate::key::{CopyKey, FORMAT, Origin};

/// The name under which the digest is remembered.
pub(crate) struct CopyName {
    hash: blake3::Hash,
    text: String,
}

impl CopyName {
    /// `names` is the chain whose users and groups `--chown` speaks of, if it does. None for copies that depend on
    /// more than chains: contexts, downloads.
    pub(crate) fn of(from: &Chain, names: Option<&Chain>, copy: &Copy, key: &CopyKey) -> Option<Self> {
        if key.origin != Origin::Layers {
            return None;
        }
        let sources: Option<Vec<&str>> = copy
            .sources
            .iter()
            .map(|source| match source {
                CopySource::Path(path) => Some(path.as_str()),
                _ => None,
            })
            .collect();
        let names = names.map(|chain| chain.digest().to_string());
        let key = CopyKey { content: String::new(), ..key.clone() };
        let all = (FORMAT, from.digest().to_string(), names, sources?, key);
        let text = serde_json::to_vec(&all).expect("strings, numbers and lists");
        let mut hasher = blake3::Hasher::new_derive_key("rbuild 2026 copy between chains");
        hasher.update(&text);
        let hash = hasher.finalize();
        Some(Self { hash, text: hash.to_hex().to_string() })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Has later builds know what is selected, and gives it back. Without it they only fetch more.
    pub(super) fn keep(&self, store: &Store, content: &str) -> String {
        if !matches!(store.copied(&self.hash), Ok(Some(_))) {
            let _ = store.put_copied(&self.hash, content.as_bytes());
        }
        content.to_owned()
    }

    /// What an earlier build left word of.
    pub(super) fn kept(&self, store: &Store) -> Option<String> {
        String::from_utf8(store.copied(&self.hash).ok().flatten()?).ok()
    }
}
