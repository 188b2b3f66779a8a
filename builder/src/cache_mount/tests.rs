use std::fs;
use std::path::Path;

use rbuild_image::layer::Flavour;
use rbuild_image::store::Store;
use rbuild_parser::plan::Sharing;

use super::place::Place;
use super::take::Access;
use super::*;

const PLAIN: CacheIdentity<'_> = CacheIdentity { id: "/root/.cache", owner: None, content: None };

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Flavour::User).unwrap();
    (folder, store)
}

/// Without owners: the tests are run by anybody.
fn owned() -> CacheIdentity<'static> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    CacheIdentity { owner: Some((uid, gid, 0o755)), ..PLAIN }
}

fn wish(identity: CacheIdentity<'static>, sharing: Sharing, transaction: bool) -> Wish<'static> {
    Wish { identity, sharing, start: Start::Kept, transaction, patience: Patience::ENDLESS }
}

fn taken(store: &Store, wish: &Wish<'_>) -> CacheMount {
    take(store, wish, |_| Ok::<_, CacheError>(())).unwrap()
}

fn folder(mount: &CacheMount) -> std::path::PathBuf {
    match mount.access() {
        Access::Folder(path) => path,
        // What the container writes through the overlay ends up here.
        Access::Overlay(transaction) => transaction.upper(),
    }
}

fn files(store: &Store) -> Vec<String> {
    let cache = &list(store).unwrap()[0];
    let mut names: Vec<String> = fs::read_dir(&cache.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn write(folder: &Path, name: &str) {
    fs::write(folder.join(name), "x").unwrap();
}

#[test]
fn a_cache_is_found_again_by_id_and_start() {
    let (_folder, store) = store();
    let mut filled = 0;
    for _ in 0..2 {
        let mount = take(&store, &wish(owned(), Sharing::Shared, false), |new| {
            filled += 1;
            write(new, "kept");
            Ok::<_, CacheError>(())
        });
        assert!(folder(&mount.unwrap()).join("kept").exists());
    }
    assert_eq!(filled, 1);
    let other = CacheIdentity { content: Some("abc"), ..owned() };
    assert!(!folder(&taken(&store, &wish(other, Sharing::Shared, false))).join("kept").exists());
    let names: Vec<_> = list(&store).unwrap().into_iter().map(|cache| cache.id).collect();
    assert_eq!(names, [Some("/root/.cache".to_owned()), Some("/root/.cache".to_owned())]);
}

#[test]
fn private_takes_one_that_nobody_uses() {
    let (_folder, store) = store();
    let first = taken(&store, &wish(owned(), Sharing::Private, false));
    let second = taken(&store, &wish(owned(), Sharing::Private, false));
    assert_ne!(folder(&first), folder(&second));
    let path = folder(&first);
    drop(first);
    assert_eq!(folder(&taken(&store, &wish(owned(), Sharing::Private, false))), path);
}

#[test]
fn locked_waits_and_says_who_has_it() {
    let (_folder, store) = store();
    let first = taken(&store, &wish(owned(), Sharing::Locked, false));
    let looks = std::cell::Cell::new(0);
    let go_on = || {
        looks.set(looks.get() + 1);
        looks.get() < 3
    };
    let said = std::cell::RefCell::new(Vec::new());
    let waits = |holders: &[u32]| said.borrow_mut().push(holders.to_vec());
    let waiting =
        Wish { patience: Patience { go_on: &go_on, waits: &waits }, ..wish(owned(), Sharing::Locked, false) };
    let refused = take(&store, &waiting, |_| Ok::<_, CacheError>(()));
    assert!(matches!(refused, Err(CacheError::Interrupted)));
    assert_eq!(said.into_inner(), [[std::process::id()], [std::process::id()]]);
    let cache = &list(&store).unwrap()[0];
    assert!(cache.in_use);
    assert_eq!(cache.users, [std::process::id()]);
    assert!(matches!(remove(&store, cache), Err(CacheError::InUse { .. })));
    drop(first);
    let cache = &list(&store).unwrap()[0];
    assert!(!cache.in_use);
    remove(&store, cache).unwrap();
    assert!(list(&store).unwrap().is_empty());
    assert_eq!(fs::read_dir(folder_of(&store)).unwrap().count(), 0, "nothing is left of it");
}

#[test]
fn who_comes_second_shares_what_the_first_has_just_made() {
    let (_folder, store) = store();
    let first = std::cell::RefCell::new(None);
    let looks = std::cell::Cell::new(0);
    // The first comes when the second has found that there is no such cache yet.
    let go_on = || {
        looks.set(looks.get() + 1);
        if looks.get() == 2 {
            *first.borrow_mut() = Some(taken(&store, &wish(owned(), Sharing::Shared, false)));
        }
        looks.get() < 10
    };
    let late = Wish {
        patience: Patience { go_on: &go_on, ..Patience::ENDLESS },
        ..wish(owned(), Sharing::Shared, false)
    };
    let second = take(&store, &late, |_| Ok::<_, CacheError>(())).unwrap();
    let first = first.into_inner().unwrap();
    assert_eq!(folder(&first), folder(&second));
}

#[test]
fn a_transaction_counts_when_it_is_committed() {
    let (_folder, store) = store();
    let wish = wish(owned(), Sharing::Locked, true);
    // A new cache that nobody commits is none.
    write(&folder(&taken(&store, &wish)), "lost");
    assert!(list(&store).unwrap().is_empty());
    for name in ["a", "b"] {
        let mount = taken(&store, &wish);
        write(&folder(&mount), name);
        mount.commit().unwrap();
    }
    write(&folder(&taken(&store, &wish)), "lost");
    assert_eq!(files(&store), ["a", "b"]);
    // A build without a cache begins with nothing; what it leaves takes the place of the rest.
    let anew = Wish { start: Start::Anew, ..wish };
    write(&folder(&taken(&store, &anew)), "lost");
    assert_eq!(files(&store), ["a", "b"]);
    let mount = taken(&store, &anew);
    write(&folder(&mount), "c");
    mount.commit().unwrap();
    assert_eq!(files(&store), ["c"]);
}

#[test]
fn what_was_decided_is_done_by_the_next_one() {
    let (_folder, store) = store();
    let place = Place::new(&store, owned().folder_name());
    drop(taken(&store, &wish(owned(), Sharing::Shared, false)));
    for sharing in [Sharing::Shared, Sharing::Private, Sharing::Locked] {
        // As a process that was killed right after it had decided.
        fs::create_dir(place.changes()).unwrap();
        write(&place.changes(), "late");
        let mount = taken(&store, &wish(owned(), sharing, false));
        assert!(folder(&mount).join("late").exists(), "{sharing:?}");
        assert!(!place.is_unsettled());
        fs::remove_file(folder(&mount).join("late")).unwrap();
    }
    fs::create_dir(place.next()).unwrap();
    write(&place.next(), "new");
    assert_eq!(files(&store), ["new"], "looking at it is enough");
}

#[test]
fn a_cache_travels() {
    let (_folder, store) = store();
    let mount = taken(&store, &wish(owned(), Sharing::Shared, false));
    write(&folder(&mount), "file");
    fs::create_dir(folder(&mount).join("dir")).unwrap();
    drop(mount);
    let mut archive = Vec::new();
    export(&store, &list(&store).unwrap()[0], &mut archive).unwrap();
    let (_other_folder, other) = self::store();
    let (id, name) = import(&other, &archive[..], None).unwrap();
    assert_eq!((id.as_str(), name), (PLAIN.id, owned().folder_name()));
    assert_eq!(files(&other), ["dir", "file"]);
    // Without its first member it is any tar, and needs a name.
    let plain = &archive[1024..];
    assert!(matches!(import(&other, plain, None), Err(CacheError::Nameless)));
    import(&other, plain, Some("x")).unwrap();
    assert_eq!(find(&other, "x").unwrap().len(), 1);
    // Damage leaves what was there.
    let cut = &archive[..archive.len() - 1300];
    assert!(import(&other, cut, None).is_err());
    assert_eq!(files(&other).len(), 2);
    assert!(matches!(find(&other, "nothing"), Err(CacheError::NotFound(_))));
}
