//! What pruning removes, and what it must not.

use super::*;

#[test]
fn locks_of_killed_builds_are_pruned_and_those_of_living_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (store, other) = (open(folder.path()), open(folder.path()));
    let (dead, alive) = (RecordKey([1; 32]), RecordKey([2; 32]));
    fs::write(store.path().join(format!("steps/{dead}")), "1234").unwrap();
    let held = other.lock_step(alive).unwrap();
    store.prune(&request(false)).unwrap();
    assert_eq!(store.names_in("steps").unwrap(), [alive.to_string()]);
    assert!(store.try_lock_step(alive).unwrap().is_none());
    drop(held);
}

/// As if another process had pruned the rest while the store was read.
#[test]
fn what_is_gone_is_no_problem() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let gone = LayerId([1; 32]);
    let digest = Digest::of(b"gone");
    for problem in [
        Problem::LayerUnreadable(gone),
        Problem::BlobDamaged(digest.hex()),
        Problem::ImageDamaged(crate::digest::ImageId(digest)),
        Problem::ManifestDamaged(digest.hex()),
        Problem::RecordDamaged(RecordKey([1; 32])),
        Problem::NameDangling {
            name: "a:b".to_owned(),
            image: super::super::Named::Image(crate::digest::ImageId(digest)),
        },
    ] {
        assert!(!store.is_there(&problem).unwrap(), "{problem}");
    }
}

#[test]
fn pruning_keeps_what_somebody_needs() {
    let folder = tempfile::tempdir().unwrap();
    let ids = {
        let store = open(folder.path());
        let [named, cached, nobodys, contained] =
            ["named", "cached", "nobodys", "contained"].map(|text| layer(&store, text));
        let image = image_of(&store, &named);
        store.set_name(&"some:name".parse().unwrap(), image).unwrap();
        store.put_record(RecordKey([1; 32]), cached.id().to_string().as_bytes()).unwrap();
        store.put_record(RecordKey([2; 32]), b"nonsense").unwrap();
        fs::create_dir_all(store.path().join("containers/c")).unwrap();
        fs::write(store.path().join("containers/c/layers"), format!("{}\n", contained.id())).unwrap();
        // Everything is in this process's lease as long as the store is open.
        assert_eq!(store.prune(&request(true)).unwrap().layers, []);
        store.put_record(RecordKey([1; 32]), cached.id().to_string().as_bytes()).unwrap();
        store.put_record(RecordKey([2; 32]), b"nonsense").unwrap();
        [named, cached, nobodys, contained].map(|layer| layer.id())
    };
    let store = open(folder.path());
    let pruned = store.prune(&request(false)).unwrap();
    assert_eq!((pruned.layers.as_slice(), pruned.records), (&[ids[2]][..], 1));
    assert!(pruned.bytes >= 4096, "{pruned:?}");
    let pruned = store.prune(&request(true)).unwrap();
    assert_eq!((pruned.layers.as_slice(), pruned.records), (&[ids[1]][..], 1));
    assert_eq!(store.fsck().unwrap(), []);
    assert!(store.remove_name(&"some:name".parse().unwrap()).unwrap());
    let pruned = store.prune(&request(false)).unwrap();
    assert_eq!((pruned.images.len(), pruned.layers.as_slice()), (1, &[ids[0]][..]));
    assert_eq!(store.layer_ids().unwrap(), [ids[3]]);
    assert_eq!(fs::read_dir(store.path().join("diffids")).unwrap().count(), 0);
    assert_eq!(temporaries(&store), 0);
}

#[test]
fn the_lease_of_a_living_process_counts_and_that_of_a_dead_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let id = layer(&open(folder.path()), "x").id();
    let path = folder.path().join("v1/leases/another-process");
    fs::write(&path, format!("{id}\n")).unwrap();
    let lease = fs::File::open(&path).unwrap();
    flock(&lease, FlockOperation::LockExclusive).unwrap();
    let store = open(folder.path());
    assert_eq!(store.prune(&request(true)).unwrap().layers, []);
    drop(lease);
    assert_eq!(store.prune(&request(true)).unwrap().layers, [id]);
    assert!(!path.exists());
}

#[test]
fn blobs_go_with_their_layers() {
    let folder = tempfile::tempdir().unwrap();
    let blob = {
        let store = open(folder.path());
        let layer = foreign(&store, "text");
        store.prune(&request(true)).unwrap();
        store.path().join("blobs/sha256").join(layer.foreign_blob().unwrap().digest.hex())
    };
    assert!(blob.exists());
    open(folder.path()).prune(&request(true)).unwrap();
    assert!(!blob.exists());
}
