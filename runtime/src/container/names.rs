//! What people call containers: unique names, generated where nobody gives one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rbuild_image::store::Store;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::error::ContainerError;
use super::folder::{self, make_folder};
use super::id::ContainerId;

/// Where the names are, relative to the store.
const ALL: &str = "container-names";

const ADJECTIVES: [&str; 32] = [
    "able", "amber", "bold", "brave", "bright", "calm", "clear", "clever", "cosy", "eager", "fair", "fresh",
    "gentle", "glad", "golden", "happy", "jolly", "keen", "kind", "lively", "lucky", "merry", "neat",
    "noble", "polite", "proud", "quick", "quiet", "steady", "sunny", "warm", "witty",
];

const NOUNS: [&str; 64] = [
    "anchor",
    "badger",
    "barge",
    "beacon",
    "beaver",
    "bollard",
    "bosun",
    "brig",
    "buoy",
    "canal",
    "capstan",
    "clipper",
    "compass",
    "coot",
    "cormorant",
    "crane",
    "curlew",
    "cutter",
    "delta",
    "dinghy",
    "dock",
    "dolphin",
    "eider",
    "ferry",
    "fjord",
    "gannet",
    "galley",
    "gull",
    "harbour",
    "heron",
    "hull",
    "island",
    "jetty",
    "kayak",
    "keel",
    "ketch",
    "lagoon",
    "lantern",
    "lighthouse",
    "lugger",
    "mast",
    "mooring",
    "narwhal",
    "oar",
    "orca",
    "otter",
    "pelican",
    "petrel",
    "pier",
    "pilot",
    "porpoise",
    "puffin",
    "quay",
    "rudder",
    "sail",
    "schooner",
    "seal",
    "sloop",
    "swan",
    "tern",
    "tide",
    "tug",
    "walrus",
    "whale",
];

/// A name from random bytes; `attempt` is how many were taken already.
pub(super) fn generate(random: [u8; 2], attempt: usize) -> String {
    let adjective = ADJECTIVES[usize::from(random[0]) % ADJECTIVES.len()];
    let noun = NOUNS[usize::from(random[1]) % NOUNS.len()];
    if attempt == 0 { format!("{adjective}_{noun}") } else { format!("{adjective}_{noun}{attempt}") }
}

/// Docker's rule for names.
pub(super) fn check(what: &'static str, name: &str) -> Result<(), ContainerError> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() > 1 && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Ok(());
    }
    Err(ContainerError::InvalidName { what, name: name.to_owned() })
}

/// Gives a name to a container whose folder is in place. Whose it is instead, if it is taken.
pub(super) fn claim(
    store: &Store,
    name: &str,
    id: &ContainerId,
) -> Result<Option<ContainerId>, ContainerError> {
    if link(store, name, id)? {
        return Ok(None);
    }
    // Containers come before their names, so a name that leads nowhere was left behind. Of those who see that, one
    // at a time clears it away.
    let all = store.path().join(ALL);
    let dir = rustix::fs::openat(CWD, &all, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(ContainerError::io("open", &all))?;
    rustix::fs::flock(&dir, FlockOperation::LockExclusive).map_err(ContainerError::io("lock", &all))?;
    if let Some(owner) = owner(store, name)? {
        if store.path().join(folder::ALL).join(owner.as_str()).exists() {
            return Ok(Some(owner));
        }
        release(store, name, &owner)?;
    }
    if link(store, name, id)? { Ok(None) } else { owner(store, name) }
}

/// Takes a name away from a container.
pub(super) fn release(store: &Store, name: &str, id: &ContainerId) -> Result<(), ContainerError> {
    if owner(store, name)?.as_ref() != Some(id) {
        return Ok(());
    }
    let path = path(store, name);
    match rustix::fs::unlink(&path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(ContainerError::io("remove", path)(error)),
    }
}

/// All names.
pub(super) fn all(store: &Store) -> Result<BTreeMap<ContainerId, String>, ContainerError> {
    let folder = store.path().join(ALL);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(ContainerError::io("list", folder)(error)),
    };
    let mut names = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(ContainerError::io("list", &folder))?;
        if let Some(name) = entry.file_name().to_str()
            && let Some(id) = owner(store, name)?
        {
            names.insert(id, name.to_owned());
        }
    }
    Ok(names)
}

fn link(store: &Store, name: &str, id: &ContainerId) -> Result<bool, ContainerError> {
    let path = path(store, name);
    let made = match rustix::fs::symlink(id.as_str(), &path) {
        Err(Errno::NOENT) => {
            make_folder(&store.path().join(ALL))?;
            rustix::fs::symlink(id.as_str(), &path)
        }
        other => other,
    };
    match made {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(ContainerError::io("write the name", path)(error)),
    }
}

fn owner(store: &Store, name: &str) -> Result<Option<ContainerId>, ContainerError> {
    let path = path(store, name);
    match rustix::fs::readlink(&path, Vec::new()) {
        Ok(id) => Ok(id.to_str().ok().and_then(|id| id.parse().ok())),
        Err(Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(error) => Err(ContainerError::io("read the name", path)(error)),
    }
}

fn path(store: &Store, name: &str) -> PathBuf {
    store.path().join(ALL).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rbuild_image::layer::Flavour;

    #[test]
    fn a_name_has_one_owner() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path(), Flavour::User).unwrap();
        let [first, second] = [[1; 32], [2; 32]].map(|random| ContainerId::of(&random));
        for id in [&first, &second] {
            std::fs::create_dir_all(store.path().join(folder::ALL).join(id.as_str())).unwrap();
        }
        assert_eq!(claim(&store, "web", &first).unwrap(), None);
        assert_eq!(claim(&store, "web", &second).unwrap(), Some(first.clone()));
        release(&store, "web", &second).unwrap();
        assert_eq!(all(&store).unwrap(), BTreeMap::from([(first.clone(), "web".to_owned())]));
        // Its container is gone: the name is free, although nobody gave it back.
        std::fs::remove_dir(store.path().join(folder::ALL).join(first.as_str())).unwrap();
        assert_eq!(claim(&store, "web", &second).unwrap(), None);
        assert_eq!(all(&store).unwrap(), BTreeMap::from([(second.clone(), "web".to_owned())]));
        release(&store, "web", &second).unwrap();
        assert!(all(&store).unwrap().is_empty());
    }

    #[test]
    fn names_follow_docker_s_rule() {
        for random in 0..=255 {
            check("container", &generate([random, 255 - random], 0)).unwrap();
        }
        assert_eq!(generate([0, 0], 0), "able_anchor");
        assert_eq!(generate([0, 0], 3), "able_anchor3");
        for wrong in ["", "a", "-a", "a/b", "..", "a b", "ä1"] {
            assert!(check("volume", wrong).is_err(), "{wrong}");
        }
    }
}
