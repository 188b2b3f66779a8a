//! Two lists of files, side by side.

use std::collections::{BTreeMap, VecDeque};

use super::change::{FileChange, FileChanges};
use crate::context::Kind;
use crate::copy::FileRecord;

type Name<'a> = (u32, &'a [u8]);

/// What differs. Everything that is in a digest is compared, so two lists with different digests differ here, but
/// for names of single files that several sources share.
pub(super) fn compare(before: &[FileRecord], after: &[FileRecord]) -> FileChanges {
    let (old, new) = (by_name(before), by_name(after));
    let mut changes = Vec::new();
    // Those that look the same together, by name: of these the first that was removed became the first that was added.
    let mut added: BTreeMap<Look, VecDeque<&FileRecord>> = BTreeMap::new();
    for (name, file) in &new {
        match old.get(name) {
            None => added.entry(look(file)).or_default().push_back(file),
            Some(earlier) => changes.extend(difference(earlier, file)),
        }
    }
    let removed = old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(_, file)| *file);
    for file in removed {
        let same = added.get_mut(&look(file)).filter(|_| file.kind == Kind::File);
        changes.push(match same.and_then(VecDeque::pop_front) {
            Some(to) => FileChange::Renamed { path: show(file), to: show(to) },
            None => FileChange::Removed { path: show(file) },
        });
    }
    changes.extend(added.into_values().flatten().map(|file| FileChange::Added { path: show(file) }));
    changes.sort_by(|a, b| a.path().cmp(b.path()));
    FileChanges { of: new.len(), changes }
}

/// By the number of the source and the path below it. The directory that is copied has no name of its own.
fn by_name(files: &[FileRecord]) -> BTreeMap<Name<'_>, &FileRecord> {
    let named = files.iter().filter(|file| !file.path.is_empty());
    named.map(|file| ((file.source, &file.path[..]), file)).collect()
}

/// All of a file but its name.
type Look = (Kind, [u32; 3], u64, [u8; 32], [u8; 32]);

fn look(file: &FileRecord) -> Look {
    (file.kind, [file.mode, file.uid, file.gid], file.size, file.content, file.rest)
}

fn difference(before: &FileRecord, after: &FileRecord) -> Vec<FileChange> {
    let path = show(after);
    let mut changes = Vec::new();
    if before.kind != after.kind {
        let (from, to) = (kind(before.kind).to_owned(), kind(after.kind).to_owned());
        return vec![FileChange::Kind { path, from, to }];
    }
    if (before.size, before.content[..16].to_vec()) != (after.size, after.content[..16].to_vec())
        && after.kind == Kind::File
    {
        changes.push(FileChange::Content { path: path.clone(), from: before.size, to: after.size });
    }
    if before.mode != after.mode {
        changes.push(FileChange::Mode { path: path.clone(), from: before.mode, to: after.mode });
    }
    if (before.uid, before.gid) != (after.uid, after.gid) {
        let owner = |file: &FileRecord| format!("{}:{}", file.uid, file.gid);
        changes.push(FileChange::Owner { path: path.clone(), from: owner(before), to: owner(after) });
    }
    if before.rest[..16] != after.rest[..16] {
        changes.push(match after.kind {
            Kind::Symlink => FileChange::Target { path },
            _ => FileChange::Attributes { path },
        });
    }
    changes
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Dir => "a directory",
        Kind::Symlink => "a symbolic link",
        Kind::Char => "a character device",
        Kind::Block => "a block device",
        Kind::Fifo => "a named pipe",
        Kind::Socket => "a socket",
    }
}

fn show(file: &FileRecord) -> String {
    String::from_utf8_lossy(&file.path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::change::FileChange;
    use super::compare;
    use crate::context::Kind;
    use crate::copy::FileRecord;

    fn file(path: &str, content: u8) -> FileRecord {
        FileRecord {
            source: 0,
            path: path.into(),
            kind: Kind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 1,
            content: [content; 32],
            rest: [0; 32],
        }
    }

    #[test]
    fn every_kind_of_change() {
        let changed = |change: fn(&mut FileRecord)| {
            let mut after = vec![file("a", 1), file("b", 2)];
            change(&mut after[1]);
            let found = compare(&[file("a", 1), file("b", 2)], &after);
            assert_eq!(found.of, 2);
            found.changes
        };
        let path = || "b".to_owned();
        assert_eq!(changed(|_| ()), []);
        assert_eq!(changed(|f| f.content = [3; 32]), [FileChange::Content { path: path(), from: 1, to: 1 }]);
        assert_eq!(changed(|f| f.mode = 0o755), [FileChange::Mode { path: path(), from: 0o644, to: 0o755 }]);
        assert_eq!(
            changed(|f| f.uid = 5),
            [FileChange::Owner { path: path(), from: "0:0".into(), to: "5:0".into() }]
        );
        assert_eq!(changed(|f| f.rest = [1; 32]), [FileChange::Attributes { path: path() }]);
        assert_eq!(changed(|f| f.path = b"c".into()), [FileChange::Renamed { path: path(), to: "c".into() }]);
        assert_eq!(
            changed(|f| f.kind = Kind::Dir),
            [FileChange::Kind { path: path(), from: "a file".into(), to: "a directory".into() }]
        );
    }

    #[test]
    fn added_and_removed() {
        let found = compare(&[file("a", 1)], &[file("b", 2)]);
        assert_eq!(
            found.changes,
            [FileChange::Removed { path: "a".into() }, FileChange::Added { path: "b".into() }]
        );
    }

    #[test]
    fn files_that_look_the_same_are_renamed_in_their_order_and_folders_never() {
        let dir = |path: &str| FileRecord { kind: Kind::Dir, ..file(path, 0) };
        let found = compare(
            &[dir("a"), file("a/1", 1), file("a/2", 1), file("a/3", 1)],
            &[dir("b"), file("b/1", 1), file("b/2", 1)],
        );
        let renamed = |path: &str, to: &str| FileChange::Renamed { path: path.into(), to: to.into() };
        assert_eq!(
            found.changes,
            [
                FileChange::Removed { path: "a".into() },
                renamed("a/1", "b/1"),
                renamed("a/2", "b/2"),
                FileChange::Removed { path: "a/3".into() },
                FileChange::Added { path: "b".into() },
            ]
        );
    }
}
