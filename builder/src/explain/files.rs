//! Two lists of files, side by side.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::change::{FileChange, FileChanges};
use crate::context::Kind;
use crate::context::path::{base_name, printable};
use crate::copy::{Details, FileRecord};

/// Files of the same content among which the one with the old name is looked for.
const NAMESAKES: usize = 64;

type Name<'a> = (u32, &'a [u8]);

/// What differs. Everything that is in a digest is compared, so two lists with different digests differ here, but
/// for names of single files that several sources share.
pub(super) fn compare(before: &[FileRecord], after: &[FileRecord]) -> FileChanges {
    let (old, new) = (by_name(before), by_name(after));
    let mut changes = commits(before, after);
    let mut added = Added::default();
    for (name, file) in &new {
        match old.get(name) {
            None => added.put(file),
            Some(earlier) => changes.extend(difference(earlier, file)),
        }
    }
    let renamed = |file, to| FileChange::Renamed { path: show(file), to: show(to) };
    let mut gone = Vec::new();
    for file in old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(_, file)| *file) {
        match added.take_namesake(file) {
            Some(to) => changes.push(renamed(file, to)),
            None => gone.push(file),
        }
    }
    changes.extend(gone.into_iter().map(|file| match added.take_same(file) {
        Some(to) => renamed(file, to),
        None => FileChange::Removed { path: show(file) },
    }));
    changes.extend(added.left().map(|file| FileChange::Added { path: show(file) }));
    changes.sort_by(|a, b| a.path().cmp(b.path()));
    FileChanges { of: new.len(), changes }
}

/// By the number of the source and the path below it. The directory that is copied has no name of its own.
fn by_name(files: &[FileRecord]) -> BTreeMap<Name<'_>, &FileRecord> {
    let named = files.iter().filter(|file| !file.path.is_empty());
    named.map(|file| ((file.source, &file.path[..]), file)).collect()
}

/// Repositories of which something else is taken.
fn commits(before: &[FileRecord], after: &[FileRecord]) -> Vec<FileChange> {
    let of = |files: &[FileRecord]| -> BTreeMap<u32, String> {
        let checkout = |file: &FileRecord| {
            let checkout = file.details.as_ref()?.checkout.as_ref()?;
            Some((file.source, printable(checkout)))
        };
        files.iter().filter_map(checkout).collect()
    };
    let (old, new) = (of(before), of(after));
    let pairs = new.iter().filter_map(|(source, to)| Some((old.get(source)?, to)));
    let changed = pairs.filter(|(from, to)| from != to);
    changed
        .map(|(from, to)| FileChange::Commit { path: String::new(), from: from.clone(), to: to.clone() })
        .collect()
}

/// All that counts of a file but its name.
type Sameness = (u32, u32, u32, u64, [u8; 32], [u8; 32]);

fn sameness(file: &FileRecord) -> Sameness {
    (file.mode, file.uid, file.gid, file.size, file.content, file.rest)
}

/// Files that were not there, by what they are: of thousands that were moved each finds its old self at once.
#[derive(Default)]
struct Added<'a> {
    files: HashMap<Sameness, VecDeque<&'a FileRecord>>,
    others: Vec<&'a FileRecord>,
}

impl<'a> Added<'a> {
    fn put(&mut self, file: &'a FileRecord) {
        match file.kind {
            Kind::File => self.files.entry(sameness(file)).or_default().push_back(file),
            _ => self.others.push(file),
        }
    }

    /// The same file in another folder.
    fn take_namesake(&mut self, file: &FileRecord) -> Option<&'a FileRecord> {
        let same = self.same_as(file)?;
        let is_namesake = |other: &&FileRecord| base_name(&other.path) == base_name(&file.path);
        let place = same.iter().take(NAMESAKES).position(is_namesake)?;
        same.remove(place)
    }

    /// The same file under whatever name.
    fn take_same(&mut self, file: &FileRecord) -> Option<&'a FileRecord> {
        self.same_as(file)?.pop_front()
    }

    fn same_as(&mut self, file: &FileRecord) -> Option<&mut VecDeque<&'a FileRecord>> {
        self.files.get_mut(&sameness(file)).filter(|_| file.kind == Kind::File)
    }

    fn left(self) -> impl Iterator<Item = &'a FileRecord> {
        self.files.into_values().flatten().chain(self.others)
    }
}

fn difference(before: &FileRecord, after: &FileRecord) -> Vec<FileChange> {
    let path = show(after);
    let mut changes = Vec::new();
    if before.kind != after.kind {
        return vec![FileChange::Kind { path, from: kind_of(before), to: kind_of(after) }];
    }
    if (before.size, &before.content[..16]) != (after.size, &after.content[..16]) && after.kind == Kind::File
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
        changes.extend(other_details(before, after, path));
    }
    changes
}

/// What differs of the rest, by name as far as both lists say what there is.
fn other_details(before: &FileRecord, after: &FileRecord, path: String) -> Vec<FileChange> {
    let (none, mut changes) = (Details::default(), Vec::new());
    let details = |file| Option::unwrap_or(FileRecord::details(file), &none);
    let is_known = |file: &FileRecord| file.details.is_some() || file.rest[..16] == [0; 16];
    if is_known(before) && is_known(after) {
        let (old, new) = (details(before), details(after));
        let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(printable);
        if old.target != new.target {
            let (from, to) = (text(&old.target), text(&new.target));
            changes.push(FileChange::Target { path: path.clone(), from, to });
        }
        if old.hard_link != new.hard_link {
            let (from, to) = (text(&old.hard_link), text(&new.hard_link));
            changes.push(FileChange::HardLink { path: path.clone(), from, to });
        }
        if let (Some((major, minor)), Some((new_major, new_minor))) = (old.device, new.device)
            && old.device != new.device
        {
            let (from, to) = (format!("{major}:{minor}"), format!("{new_major}:{new_minor}"));
            changes.push(FileChange::Device { path: path.clone(), from, to });
        }
        changes.extend(other_xattrs(old, new, &path));
    }
    if changes.is_empty() {
        changes.push(match after.kind {
            Kind::Symlink => FileChange::Target { path, from: None, to: None },
            _ => FileChange::Attributes { path },
        });
    }
    changes
}

fn other_xattrs(before: &Details, after: &Details, path: &str) -> Vec<FileChange> {
    let by_name = |details: &Details| -> BTreeMap<String, String> {
        details.xattrs.iter().map(|(name, value)| (printable(name), printable(value))).collect()
    };
    let (old, mut new) = (by_name(before), by_name(after));
    let change = |name: String, from: Option<String>, to: Option<String>| FileChange::Attribute {
        path: path.to_owned(),
        name,
        from,
        to,
    };
    let mut changes = Vec::new();
    for (name, from) in old {
        let to = new.remove(&name);
        if to.as_ref() != Some(&from) {
            changes.push(change(name, Some(from), to));
        }
    }
    changes.extend(new.into_iter().map(|(name, to)| change(name, None, Some(to))));
    changes
}

fn kind_of(file: &FileRecord) -> String {
    match file.details().and_then(|details| details.target.as_ref()) {
        Some(target) => format!("{} to {}", kind(file.kind), printable(target)),
        None => kind(file.kind).to_owned(),
    }
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
    printable(&file.path)
}

#[cfg(test)]
mod tests {
    use super::super::change::FileChange;
    use super::compare;
    use crate::context::Kind;
    use crate::copy::{Details, FileRecord};

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
            details: None,
        }
    }

    fn with_details(kind: Kind, details: Details) -> FileRecord {
        let rest = [u8::try_from(format!("{details:?}").len() % 251).expect("it is small") + 1; 32];
        FileRecord { kind, rest, details: Some(Box::new(details)), ..file("b", 2) }
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

    /// One change each, as it is printed.
    #[test]
    fn what_only_some_files_have() {
        let link =
            |to: &str| with_details(Kind::Symlink, Details { target: Some(to.into()), ..Details::default() });
        let hard =
            |to: &str| with_details(Kind::File, Details { hard_link: Some(to.into()), ..Details::default() });
        let noted = |value: &str| {
            let xattrs = vec![(b"user.x".to_vec(), value.into())];
            with_details(Kind::File, Details { xattrs, ..Details::default() })
        };
        let unknown = |file: FileRecord| FileRecord { details: None, ..file };
        let plain = || file("b", 2);
        let cases = [
            (link("a"), link("bcd"), "b: the link leads to bcd, not to a"),
            (unknown(link("a")), link("bcd"), "b: the link leads elsewhere"),
            (plain(), link("a\n"), r"b: was a file, is a symbolic link to a\n"),
            (plain(), hard("a"), "b: a hard link of a, not a file of its own"),
            (hard("a"), hard("cde"), "b: a hard link of cde, not of a"),
            (hard("a"), plain(), "b: no hard link of a any more"),
            (plain(), noted("1"), "b: attribute user.x: \"1\" was not there"),
            (noted("1"), noted("234"), "b: attribute user.x: \"1\" -> \"234\""),
            (unknown(noted("1")), noted("234"), "b: other attributes or hard links"),
        ];
        for (before, after, want) in cases {
            let found = compare(&[before], &[after]).changes;
            assert_eq!(found.iter().map(FileChange::to_string).collect::<Vec<_>>(), [want]);
        }
    }

    #[test]
    fn of_several_the_namesake_was_moved() {
        let found = compare(&[file("a/x", 1), file("a/y", 1)], &[file("b/y", 1), file("b/z", 1)]);
        let renamed = |path: &str, to: &str| FileChange::Renamed { path: path.into(), to: to.into() };
        assert_eq!(found.changes, [renamed("a/x", "b/z"), renamed("a/y", "b/y")]);
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
