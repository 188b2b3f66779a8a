//! The store under concurrent processes, sudden deaths and losses of power.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir as Folder;

use super::{Came, ForeignBlob, Layer, LayerUser, Origin, Problem, PruneRequest, Store};
use crate::config::ImageConfig;
use crate::digest::{BlobDigest, DiffId, Digest, Hasher, LayerId, RecordKey};
use crate::layer::{Flavour, OwnTimes};
use crate::time::Timestamp;

mod pruning;

fn open(folder: &Path) -> Store {
    let root = rustix::process::geteuid().is_root();
    Store::open(folder, if root { Flavour::Trusted } else { Flavour::User }).unwrap()
}

/// A layer with one file, whose times do not count.
fn layer(store: &Store, text: &str) -> Layer {
    let temp = store.temp().unwrap();
    temp.make_dir("fs", 0o755).unwrap();
    temp.make_dir("work", 0o755).unwrap();
    fs::write(temp.path().join("fs/file"), text).unwrap();
    store.publish_layer(temp, OwnTimes::IgnoreAll).unwrap()
}

fn record_of(bytes: &[u8]) -> Option<LayerId> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn request(cache: bool) -> PruneRequest<'static> {
    PruneRequest {
        forget: if cache { &|_| true } else { &|_| false },
        nameless: &|_| true,
        min_age: Duration::ZERO,
        min_log_age: Duration::ZERO,
        layer_of_record: &record_of,
    }
}

fn temporaries(store: &Store) -> usize {
    fs::read_dir(store.path().join("tmp")).unwrap().count()
}

/// Changes `meta.json` as if the machine had been started anew since.
fn reboot(store: &Store, id: LayerId) {
    let path = store.path().join(format!("layers/{id}/meta.json"));
    let text = fs::read_to_string(&path).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(text.contains(boot.trim()));
    fs::write(&path, text.replace(boot.trim(), "another boot")).unwrap();
}

fn image_of(store: &Store, layer: &Layer) -> crate::digest::ImageId {
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids = vec![layer.diff_id().unwrap()];
    store.put_image(&config.to_bytes(), &[layer.id()]).unwrap()
}

#[test]
fn a_layer_is_published_by_a_rename_and_the_first_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let first = layer(&store, "hello");
    let again = layer(&store, "hello");
    assert_eq!(first.id(), again.id());
    assert_ne!(first.id(), layer(&store, "other").id());
    assert_eq!((first.size(), first.entries()), (5, 1));
    assert_eq!(fs::read(first.fs_path().join("file")).unwrap(), b"hello");
    assert!(!store.path().join(format!("layers/{}/work", first.id())).exists());
    assert_eq!(temporaries(&store), 0);
    assert!(open(folder.path()).layer(first.id()).unwrap().is_some());
    assert!(store.layer(LayerId([1; 32])).unwrap().is_none());
}

#[test]
fn diff_ids_are_computed_once_by_whoever_asks_first() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let layer = layer(&store, "hello");
    let other = open(folder.path()).layer(layer.id()).unwrap().unwrap();
    let barrier = Barrier::new(8);
    let ids: Vec<DiffId> = thread::scope(|scope| {
        let asking = (0..8).map(|index| {
            let (layer, barrier) = (if index % 2 == 0 { &layer } else { &other }, &barrier);
            scope.spawn(move || {
                barrier.wait();
                layer.diff_id().unwrap()
            })
        });
        asking.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    let mut tar = Vec::new();
    crate::layer::write_tar(layer.open_fs().unwrap().as_folders(), store.flavour(), &mut tar).unwrap();
    assert_eq!(ids[0], DiffId(Digest::of(&tar)));
    assert_eq!(layer.tar().unwrap().size, tar.len() as u64);
    assert_eq!(store.by_diff_id(ids[0]).unwrap(), Some(layer.id()));
    assert_eq!(store.by_diff_id(DiffId(Digest([0; 32]))).unwrap(), None);
    // What was cut off is computed again.
    fs::write(store.path().join(format!("layers/{}/diff_id", layer.id())), "sha256:12").unwrap();
    assert_eq!(open(folder.path()).layer(layer.id()).unwrap().unwrap().diff_id().unwrap(), ids[0]);
}

/// A layer travels as a tar, which has whole seconds: what is old in it must be so on the other side, too, though the step
/// began in the middle of a second.
#[test]
fn a_layer_that_travelled_proves_itself() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, there) = (open(here.path()), open(there.path()));
    let begun = Timestamp::new(1_000_000_000, 500_000_000);
    let temp = here.temp().unwrap();
    temp.make_dir("fs", 0o755).unwrap();
    for (name, secs, nanos) in
        [("old", 999_999_999, 7), ("same", 1_000_000_000, 1), ("new", 1_000_000_000, 900_000_000)]
    {
        let file = fs::File::create(temp.path().join("fs").join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::new(secs, nanos)).unwrap();
    }
    let times = OwnTimes::IgnoreSince(begun);
    let layer = here.publish_layer(temp, times).unwrap();
    let (id, diff_id) = (layer.id(), layer.diff_id().unwrap());
    let mut tar = Vec::new();
    crate::layer::write_tar(layer.open_fs().unwrap().as_folders(), here.flavour(), &mut tar).unwrap();

    let arrive = |id, diff_id| {
        let temp = there.temp().unwrap();
        let root = temp.make_dir("fs", 0o755).unwrap();
        crate::layer::unpack_blob(&tar[..], 1 << 20, root.as_fd(), there.flavour()).unwrap();
        there.publish_carried_layer(temp, times, id, diff_id).unwrap()
    };
    assert!(arrive(LayerId([1; 32]), diff_id).is_none());
    assert!(arrive(id, DiffId(Digest::of(b"another tar"))).is_none());
    assert_eq!(there.layer_ids().unwrap(), []);
    let arrived = arrive(id, diff_id).unwrap();
    assert!(arrived.knows_diff_id());
    assert_eq!((arrived.id(), arrived.diff_id().unwrap()), (id, diff_id));
    assert_eq!(there.fsck().unwrap(), []);
}

fn foreign(store: &Store, text: &str) -> Layer {
    let temp = store.temp().unwrap();
    temp.make_dir("fs", 0o755).unwrap();
    fs::write(temp.path().join("fs/file"), text).unwrap();
    let mut hasher = Hasher::new();
    hasher.update(text.as_bytes());
    let digest = BlobDigest(hasher.finish());
    let file = temp.path().join("blob");
    fs::write(&file, text).unwrap();
    // It was long on its way.
    fs::File::open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let blob = ForeignBlob { digest, size: text.len() as u64, media_type: "x".to_owned() };
    let came = Came { diff_id: DiffId(Digest::of(b"its tar")), blob: Some(blob), implied: Vec::new() };
    store.publish_foreign_layer(temp, came, Some(&file)).unwrap()
}

#[test]
fn a_foreign_layer_keeps_the_digest_that_it_came_with() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let layer = foreign(&store, "text");
    assert_eq!(layer.diff_id().unwrap(), DiffId(Digest::of(b"its tar")));
    assert_eq!(layer.foreign_blob().unwrap().size, 4);
    assert!(matches!(layer.origin(), Origin::Foreign { .. }));
    let blob = layer.blob_path().unwrap();
    assert_eq!(fs::read(&blob).unwrap(), b"text");
    let age = blob.metadata().unwrap().modified().unwrap().elapsed().unwrap_or_default();
    assert!(age < Duration::from_secs(3600), "a prune takes it for one that is about to be used");
    fs::remove_file(store.path().join("diffids").join(Digest::of(b"its tar").hex())).unwrap();
    assert_eq!(open(folder.path()).by_diff_id(layer.diff_id().unwrap()).unwrap(), Some(layer.id()));
}

#[test]
fn processes_that_publish_the_same_layer_all_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(6);
    let ids: Vec<LayerId> = thread::scope(|scope| {
        let makers = (0..6).map(|_| {
            scope.spawn(|| {
                let store = open(folder.path());
                barrier.wait();
                layer(&store, "the same").id()
            })
        });
        makers.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(fs::read_dir(folder.path().join("v1/layers")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder.path().join("v1/tmp")).unwrap().count(), 0);
}

#[test]
fn what_dead_processes_left_is_swept_and_what_living_ones_hold_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let left = store.path().join("tmp/1234-0-dead");
    fs::create_dir_all(left.join("fs/read-only/deep")).unwrap();
    fs::write(left.join("fs/read-only/deep/f"), "x").unwrap();
    std::os::unix::fs::symlink("/", left.join("fs/out")).unwrap();
    for dir in ["fs/read-only/deep", "fs/read-only", "fs"] {
        fs::set_permissions(left.join(dir), std::os::unix::fs::PermissionsExt::from_mode(0o500)).unwrap();
    }
    fs::write(store.path().join("tmp/1234-1-dead"), "half a record").unwrap();
    let held = store.temp().unwrap();
    fs::write(held.path().join("mine"), "x").unwrap();
    assert_eq!(open(folder.path()).sweep().unwrap(), 2);
    assert!(held.path().join("mine").exists());
    assert_eq!(temporaries(&store), 1);
    drop(held);
    assert_eq!(temporaries(&store), 0);
}

#[test]
fn a_half_published_layer_is_not_there_and_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = layer(&store, "hello").id();
    for damage in ["", "{\"tree\":"] {
        fs::write(store.path().join(format!("layers/{id}/meta.json")), damage).unwrap();
        let after = open(folder.path());
        assert!(after.layer(id).unwrap().is_none());
        assert_eq!(layer(&after, "hello").id(), id);
        assert_eq!(temporaries(&store), 0);
    }
}

#[test]
fn after_a_loss_of_power_a_layer_has_to_prove_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (whole, short, durable) = (layer(&store, "whole"), layer(&store, "short"), layer(&store, "durable"));
    store.make_durable(&[durable.id()]).unwrap();
    for layer in [&whole, &short, &durable] {
        reboot(&store, layer.id());
    }
    fs::write(short.fs_path().join("file"), "").unwrap();
    fs::write(durable.fs_path().join("file"), "not looked at").unwrap();
    let gone = layer(&store, "gone");
    reboot(&store, gone.id());
    fs::remove_dir_all(gone.fs_path()).unwrap();
    assert!(store.fsck().unwrap().contains(&Problem::LayerChanged(gone.id())));
    let after = open(folder.path());
    assert!(after.layer(gone.id()).unwrap().is_none());
    assert!(after.layer(whole.id()).unwrap().is_some());
    assert!(store.path().join(format!("layers/{}/durable", whole.id())).exists());
    assert!(after.layer(durable.id()).unwrap().is_some());
    assert!(after.layer(short.id()).unwrap().is_none());
    assert!(!store.path().join(format!("layers/{}", short.id())).exists());
}

#[test]
fn what_another_process_has_mended_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let id = layer(&store, "whole").id();
    store.drop_broken(id).unwrap();
    assert_eq!(store.layer_ids().unwrap(), [id]);
}

#[test]
fn nobody_begins_to_use_a_layer_while_layers_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let id = layer(&open(folder.path()), "x").id();
    let store = open(folder.path());
    layer(&store, "so that there is a lease");
    let begun = Barrier::new(2);
    thread::scope(|scope| {
        let user = store
            .excluding_leases(|_| {
                let user = scope.spawn(|| {
                    begun.wait();
                    store.layer(id).unwrap()
                });
                begun.wait();
                // If it did not wait for us, it would be done before long.
                (0..1000).for_each(|_| thread::yield_now());
                fs::remove_dir_all(store.path().join(format!("layers/{id}"))).unwrap();
                Ok(user)
            })
            .unwrap();
        assert!(user.join().unwrap().is_none());
    });
}

#[test]
fn records_come_back_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let key = RecordKey([3; 32]);
    assert_eq!(store.record(key).unwrap(), None);
    store.put_record(key, b"one").unwrap();
    store.put_record(key, b"two").unwrap();
    assert_eq!(store.record(key).unwrap().unwrap(), b"two");
    assert_eq!(store.record_keys().unwrap(), [key]);
    let path = store.path().join(format!("records/{key}"));
    let whole = fs::read(&path).unwrap();
    for length in [0, 10, 80, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(store.record(key).unwrap(), None, "{length}");
    }
    assert_eq!(store.fsck().unwrap(), [Problem::RecordDamaged(key)]);
    fs::write(&path, &whole).unwrap();
    fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(store.peek_record(key).unwrap().is_some());
    assert_eq!(store.record_used(key).unwrap(), Some(0));
    assert!(store.record(key).unwrap().is_some());
    assert!(store.record_used(key).unwrap().is_some_and(|used| used > 0), "it was used");
    assert!(store.remove_record(key).unwrap());
    assert!(!store.remove_record(key).unwrap());
}

#[test]
fn one_step_is_made_by_one_build_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let key = RecordKey([9; 32]);
    let running = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let store = open(folder.path());
                for _ in 0..20 {
                    let lock = store.lock_step(key).unwrap();
                    assert_eq!(running.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    assert!(store.try_lock_step(key).unwrap().is_none());
                    assert_eq!(store.step_holder(key), Some(std::process::id()));
                    running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
    });
    let store = open(folder.path());
    assert!(store.try_lock_step(key).unwrap().is_some());
    assert_eq!(fs::read_dir(store.path().join("steps")).unwrap().count(), 0);
}

#[test]
fn usage_counts_a_file_of_several_names_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let big = "x".repeat(1 << 20);
    let first = layer(&store, &big);
    let temp = store.temp().unwrap();
    temp.make_dir("fs", 0o755).unwrap();
    fs::hard_link(first.fs_path().join("file"), temp.path().join("fs/linked")).unwrap();
    let second = store.publish_layer(temp, OwnTimes::IgnoreAll).unwrap();
    image_of(&store, &second);
    let usage = store.usage().unwrap();
    let sum: u64 = usage.layers.values().map(|layer| layer.bytes).sum();
    assert!(((1 << 20)..(1 << 20) + 100_000).contains(&sum), "{sum}");
    assert!(
        usage.total() >= sum
            && usage.layers[&second.id()].images == 1
            && usage.layers[&first.id()].images == 0
    );
    let own = LayerUser::Process(std::process::id());
    assert!(usage.layers[&first.id()].users.contains(&own));
}

#[test]
fn after_a_copy_a_layer_has_to_prove_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let store = open(&first);
    let (good, bad) = (layer(&store, "good").id(), layer(&store, "bad").id());
    store.make_durable(&[good, bad]).unwrap();
    drop(store);
    let copied = std::process::Command::new("cp").arg("-a").args([&first, &second]).status().unwrap();
    assert!(copied.success());
    // What copies may lose something; a rename does not.
    fs::write(second.join(format!("v1/layers/{bad}/fs/file")), "worse").unwrap();
    let below = Store::open_over(&folder.path().join("third"), open(&first).flavour(), &second).unwrap();
    assert!(below.layer(good).unwrap().is_some() && below.layer(bad).unwrap().is_none());
    assert!(below.path().join(format!("below/{good}.proof")).exists());
    for _ in 0..2 {
        let store = open(&second);
        assert!(store.layer(good).unwrap().is_some() && store.layer(bad).unwrap().is_none());
    }
    let moved = folder.path().join("moved");
    fs::rename(&first, &moved).unwrap();
    let store = open(&moved);
    fs::write(moved.join(format!("v1/layers/{bad}/fs/file")), "not looked at").unwrap();
    assert!(store.layer(bad).unwrap().is_some(), "it is the same store");
}

#[test]
fn fsck_finds_every_kind_of_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (built, came, image) = {
        let store = open(folder.path());
        let (built, came) = (layer(&store, "built"), foreign(&store, "came"));
        let image = image_of(&store, &built);
        store.set_name(&"a:b".parse().unwrap(), image).unwrap();
        assert_eq!(store.fsck().unwrap(), []);
        (built, came, image)
    };
    let store = open(folder.path());
    let has = |wanted: &dyn Fn(&Problem) -> bool| {
        let problems = store.fsck().unwrap();
        assert!(problems.iter().any(wanted), "{problems:?}");
        assert!(problems.iter().all(|problem| !problem.to_string().is_empty()));
    };
    let blob = store.path().join("blobs/sha256").join(came.foreign_blob().unwrap().digest.hex());
    fs::write(&blob, "came?").unwrap();
    has(&|problem| matches!(problem, Problem::BlobDamaged(_)));
    fs::remove_file(&blob).unwrap();
    has(&|problem| matches!(problem, Problem::BlobMissing { .. }));
    let wrong = format!("{} 1024\n", DiffId(Digest([1; 32])));
    fs::write(store.path().join(format!("layers/{}/diff_id", built.id())), wrong).unwrap();
    has(&|problem| matches!(problem, Problem::DiffIdWrong { .. }));
    fs::write(built.fs_path().join("file"), "Built").unwrap();
    has(&|problem| *problem == Problem::LayerChanged(built.id()));
    fs::remove_file(store.path().join(format!("layers/{}/meta.json", built.id()))).unwrap();
    has(&|problem| *problem == Problem::LayerUnreadable(built.id()));
    has(&|problem| matches!(problem, Problem::ImageIncomplete { .. }));
    fs::write(store.path().join(format!("images/{}", image.hex())), "\n{}").unwrap();
    has(&|problem| *problem == Problem::ImageDamaged(image));
    fs::remove_file(store.path().join(format!("images/{}", image.hex()))).unwrap();
    has(&|problem| matches!(problem, Problem::NameDangling { .. }));
}

#[test]
fn a_store_of_the_other_privilege_is_refused() {
    let folder: Folder = tempfile::tempdir().unwrap();
    Store::open(folder.path(), Flavour::Trusted).unwrap();
    let error = Store::open(folder.path(), Flavour::User).unwrap_err().to_string();
    assert!(error.contains("was made as root, and is now used without root"), "{error}");
    Store::open(&folder.path().join("a/b"), Flavour::User).unwrap();
}
