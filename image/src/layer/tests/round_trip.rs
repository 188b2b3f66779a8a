//! Any tree that a step could make comes out of its tar as it went in.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use proptest::prelude::*;

use super::support::{Scratch, flavour, is_root};
use crate::layer::{OwnTimes, entries, identity, write_tar};

#[derive(Debug, Clone)]
enum Made {
    File(Vec<u8>, u32),
    Dir(u32, bool),
    Link(String),
    Hard(usize),
    Whiteout,
    Capable,
}

/// Names with odd characters, and long ones.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}",
        1 => "[ -.0-~\u{e4}\u{20ac}\n\t]{1,12}",
        1 => ("[a-z]", 90usize..120).prop_map(|(letter, count)| letter.repeat(count)),
    ]
    .prop_filter("names that mean something else", |name| {
        name != "." && name != ".." && !name.starts_with(".wh.")
    })
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        4 => (prop::collection::vec(any::<u8>(), 0..1500), 0u32..0o10000).prop_map(|(text, mode)| Made::File(text, mode | 0o400)),
        3 => (0u32..0o10000, any::<bool>()).prop_map(|(mode, opaque)| Made::Dir(mode | 0o700, opaque)),
        2 => "[a-z/.\u{fc}]{1,130}".prop_map(Made::Link),
        2 => (0usize..20).prop_map(Made::Hard),
        1 => Just(Made::Whiteout),
        1 => Just(Made::Capable),
    ]
}

type Plan = Vec<(Vec<String>, Made, i64)>;

fn plan() -> impl Strategy<Value = Plan> {
    let path = prop::collection::vec(name(), 1..4);
    prop::collection::vec((path, made(), -1000i64..4_000_000_000), 0..20)
}

/// Makes the tree; whatever does not fit is left out.
fn build(scratch: &Scratch, plan: &Plan) {
    let mut times: BTreeMap<String, (i64, Option<u32>)> = BTreeMap::new();
    let mut files: Vec<String> = Vec::new();
    for (parts, made, time) in plan {
        let path = parts.join("/");
        let parent = scratch.path(&parts[..parts.len() - 1].join("/"));
        if std::fs::create_dir_all(&parent).is_err() || scratch.path(&path).symlink_metadata().is_ok() {
            continue;
        }
        let mut mode = None;
        match made {
            Made::File(text, wanted) => {
                std::fs::write(scratch.path(&path), text).unwrap();
                scratch.mode(&path, *wanted);
                files.push(path.clone());
            }
            Made::Dir(wanted, opaque) => {
                scratch.dir(&path);
                if *opaque {
                    scratch.opaque(&path);
                }
                mode = Some(*wanted);
            }
            Made::Link(target) => std::os::unix::fs::symlink(target, scratch.path(&path)).unwrap(),
            Made::Hard(index) if !files.is_empty() => {
                scratch.hard(&path, &files[index % files.len()].clone());
            }
            Made::Whiteout if is_root() => {
                scratch.whiteout(&path);
                continue;
            }
            Made::Capable if is_root() => {
                scratch.file(&path, "program");
                // VFS_CAP_REVISION_2 with the effective bit, and CAP_NET_RAW.
                let value = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                let none = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(scratch.path(&path), "security.capability", &value, none).unwrap();
            }
            _ => continue,
        }
        times.insert(path, (*time, mode));
    }
    for (path, (time, mode)) in times.iter().rev() {
        if let Some(mode) = mode {
            scratch.mode(path, *mode);
        }
        scratch.time(path, *time);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_tree_comes_out_of_its_tar_as_it_went_in(plan in plan()) {
        let (before, after) = (Scratch::new(), Scratch::new());
        build(&before, &plan);
        // Parents that the plan did not name have times in nanoseconds, which no tar keeps.
        for entry in before.entries().iter().rev() {
            if entry.mtime.nanos != 0 {
                before.time(std::str::from_utf8(&entry.path).unwrap(), entry.mtime.secs);
            }
        }
        let mut tar = Vec::new();
        write_tar(before.fd().as_fd(), flavour(), &mut tar).unwrap();
        let unpacked = after.unpack(&tar).unwrap();
        let (a, b) = (before.entries(), entries(after.fd().as_fd(), flavour()).unwrap());
        prop_assert_eq!(&a, &b);
        prop_assert!(unpacked.entries >= a.len() as u64);
        let id = |scratch: &Scratch| identity(scratch.fd().as_fd(), flavour(), OwnTimes::KeepAll).unwrap();
        prop_assert_eq!(id(&before), id(&after));
        let mut again = Vec::new();
        write_tar(after.fd().as_fd(), flavour(), &mut again).unwrap();
        prop_assert!(tar == again);
    }
}
