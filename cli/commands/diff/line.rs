//! A difference as a line: `A`, `C` or `D` as docker has them, mode, owner, size, path, and what has changed.

use rbuild_image::layer::{Difference, Entity, NodeKind, Times};
use serde_json::{Value, json};

use crate::format::human;

/// For people.
pub(super) fn text(difference: &Difference, times: Times) -> String {
    let Some(shown) = difference.new.as_ref().or(difference.old.as_ref()) else { return String::new() };
    let meta = &shown.meta;
    let owner = format!("{}:{}", meta.uid, meta.gid);
    let size = match meta.kind {
        NodeKind::File => human::size(meta.size),
        NodeKind::Char(major, minor) | NodeKind::Block(major, minor) => format!("{major},{minor}"),
        _ => "-".to_owned(),
    };
    let target = shown.target.as_ref().map(|target| format!(" -> {}", visible(target))).unwrap_or_default();
    let changes = changes(difference, times);
    let note = if changes.is_empty() { String::new() } else { format!("  ({})", changes.join(", ")) };
    format!(
        "{} {} {owner:<7} {size:>8} {}{target}{note}",
        letter(difference),
        mode(meta.kind, meta.mode),
        path(difference)
    )
}

/// For programs.
pub(super) fn object(difference: &Difference, times: Times) -> Value {
    let mut object = json!({"change": letter(difference), "path": path(difference)});
    if let Some(new) = &difference.new {
        describe(new, &mut object);
    }
    if let Some(old) = &difference.old {
        let mut was = json!({});
        describe(old, &mut was);
        object["was"] = was;
    }
    if difference.old.is_some() && difference.new.is_some() {
        object["differs"] = names(difference, times).into();
    }
    object
}

fn letter(difference: &Difference) -> &'static str {
    match (&difference.old, &difference.new) {
        (None, _) => "A",
        (_, None) => "D",
        _ => "C",
    }
}

fn path(difference: &Difference) -> String {
    format!("/{}", visible(&difference.path))
}

/// A name may hold anything; what would move the cursor or end the line is escaped.
fn visible(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

fn describe(entity: &Entity, object: &mut Value) {
    let meta = &entity.meta;
    object["kind"] = kind(meta.kind).into();
    object["mode"] = format!("{:04o}", meta.mode).into();
    object["uid"] = meta.uid.into();
    object["gid"] = meta.gid.into();
    if meta.kind == NodeKind::File {
        object["size"] = meta.size.into();
    }
    object["mtime"] = meta.mtime.to_string().into();
    if let Some(target) = &entity.target {
        object["target"] = String::from_utf8_lossy(target).into_owned().into();
    }
}

/// What is not the same, by name.
fn names(difference: &Difference, times: Times) -> Vec<&'static str> {
    let (Some(Entity { meta: old, .. }), Some(Entity { meta: new, .. })) = (&difference.old, &difference.new)
    else {
        return Vec::new();
    };
    let is_link = matches!((old.kind, new.kind), (NodeKind::Symlink, NodeKind::Symlink));
    [
        ("kind", old.kind != new.kind),
        ("content", difference.content),
        ("mode", old.mode != new.mode && !is_link),
        ("owner", (old.uid, old.gid) != (new.uid, new.gid)),
        ("mtime", times == Times::Count && old.mtime != new.mtime),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

fn changes(difference: &Difference, times: Times) -> Vec<String> {
    let (Some(old), Some(_)) = (&difference.old, &difference.new) else { return Vec::new() };
    let was = |name: &str| match (name, &old.target) {
        ("kind", _) => format!("was a {}", kind(old.meta.kind)),
        ("content", Some(target)) => format!("was -> {}", visible(target)),
        ("content", None) => format!("content, was {}", human::size(old.meta.size)),
        ("mode", _) => format!("mode was {}", mode(old.meta.kind, old.meta.mode)),
        ("owner", _) => format!("owner was {}:{}", old.meta.uid, old.meta.gid),
        _ => format!("time was {}", old.meta.mtime),
    };
    names(difference, times).into_iter().map(was).collect()
}

fn kind(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::File => "file",
        NodeKind::Dir => "directory",
        NodeKind::Symlink => "symlink",
        NodeKind::Char(..) => "character device",
        NodeKind::Block(..) => "block device",
        NodeKind::Fifo => "pipe",
        NodeKind::Socket => "socket",
    }
}

/// As `ls -l` has it.
fn mode(kind: NodeKind, mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(match kind {
        NodeKind::File => '-',
        NodeKind::Dir => 'd',
        NodeKind::Symlink => 'l',
        NodeKind::Char(..) => 'c',
        NodeKind::Block(..) => 'b',
        NodeKind::Fifo => 'p',
        NodeKind::Socket => 's',
    });
    for (shift, special, letters) in [(6, 0o4000, "sS"), (3, 0o2000, "sS"), (0, 0o1000, "tT")] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => char::from(letters.as_bytes()[0]),
            (true, false) => char::from(letters.as_bytes()[1]),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_as_ls_has_them() {
        for (kind, bits, expected) in [
            (NodeKind::File, 0o644, "-rw-r--r--"),
            (NodeKind::Dir, 0o1777, "drwxrwxrwt"),
            (NodeKind::File, 0o4755, "-rwsr-xr-x"),
            (NodeKind::File, 0o6640, "-rwSr-S---"),
            (NodeKind::Symlink, 0o777, "lrwxrwxrwx"),
        ] {
            assert_eq!(mode(kind, bits), expected);
        }
    }
}
