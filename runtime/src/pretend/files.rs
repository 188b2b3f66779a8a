//! Owners of files: asked for, given, and put on what is made.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rbuild_image::layer::{Owner, note_behind};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, StatxFlags, Uid};
use rustix::io::Errno;

use super::people::Person;
use super::target::{Named, Seen, Target, behind};
use crate::sys::notify::{Answer, bytes_of_stat, bytes_of_statx};

/// "As it is", for `chown`.
const SAME: u32 = u32::MAX;
const SET_GROUP_ID: u16 = 0o2000;

/// Gives a file away. The kernel does its part with the owner that it knows: it copies the file up, takes setuid
/// off it, and refuses where nothing can be written.
pub(super) fn chown(file: &OwnedFd, uid: u32, gid: u32, person: &Person) -> Result<Answer, Errno> {
    let seen = Seen::of(file, StatxFlags::BASIC_STATS)?;
    let old = seen.owner();
    let pick = |wanted: u32, old: u32| if wanted == SAME { old } else { wanted };
    let new = Owner { uid: pick(uid, old.uid), gid: pick(gid, old.gid) };
    let is_theirs = old.uid == person.user.effective;
    let may = person.is_privileged()
        || (is_theirs && new.uid == old.uid && (new.gid == old.gid || person.is_in_group(new.gid)));
    if !may {
        return Err(Errno::PERM);
    }
    let root = |wanted: u32| wanted != SAME;
    let (user, group) = (root(uid).then_some(Uid::ROOT), root(gid).then_some(Gid::ROOT));
    rustix::fs::chownat(file, c"", user, group, AtFlags::EMPTY_PATH)?;
    note(file, seen.kind(), new)?;
    Ok(Answer::Value(0))
}

/// Notes an owner, where notes can be kept: what is in no file system of ours gets into no layer.
fn note(file: &OwnedFd, kind: FileType, owner: Owner) -> Result<(), Errno> {
    match note_behind(&behind(file), kind, owner) {
        Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS) => Ok(()),
        other => other,
    }
}

/// `stat` of a file with a note; the kernel does the others.
pub(super) fn stat(file: &OwnedFd, target: Target, address: u64) -> Result<Answer, Errno> {
    let Some(owner) = Seen::of(file, StatxFlags::TYPE)?.note else { return Ok(Answer::GoOn) };
    let mut stat = rustix::fs::statat(file, c"", AtFlags::EMPTY_PATH)?;
    (stat.st_uid, stat.st_gid) = (owner.uid, owner.gid);
    target.write(address, bytes_of_stat(&stat))?;
    Ok(Answer::Value(0))
}

/// `statx` of a file with a note.
pub(super) fn statx(file: &OwnedFd, target: Target, mask: u64, address: u64) -> Result<Answer, Errno> {
    let mut seen = Seen::of(file, StatxFlags::from_bits_retain(mask as u32))?;
    let Some(owner) = seen.note else { return Ok(Answer::GoOn) };
    (seen.stat.stx_uid, seen.stat.stx_gid) = (owner.uid, owner.gid);
    target.write(address, bytes_of_statx(&seen.stat))?;
    Ok(Answer::Value(0))
}

/// What is made.
pub(super) enum New<'a> {
    File { flags: i32, mode: u32 },
    Dir { mode: u32 },
    Node { mode: u32, device: u64 },
    Link { to: &'a CStr },
}

/// Makes something for a process that is somebody else than root, whose it then is.
pub(super) fn make(new: &New<'_>, named: &Named, target: Target, person: &Person) -> Result<Answer, Errno> {
    let Named::At(dir, path) = named else { return Ok(Answer::GoOn) };
    let mode = |mode: u32| Ok::<_, Errno>(Mode::from_raw_mode(mode & 0o7777 & !target.umask()?));
    let mut answer = Answer::Value(0);
    match *new {
        New::File { flags, mode: wanted } => {
            let flags = OFlags::from_bits_retain(flags as u32);
            let alone = flags | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            match rustix::fs::openat(dir, &**path, alone, mode(wanted)?) {
                Ok(file) => {
                    let close_on_exec = flags.contains(OFlags::CLOEXEC);
                    answer = Answer::File { file, close_on_exec };
                }
                // There already, and not to be made.
                Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => return Ok(Answer::GoOn),
                Err(error) => return Err(error),
            }
        }
        New::Dir { mode: wanted } => rustix::fs::mkdirat(dir, &**path, mode(wanted)?)?,
        New::Node { mode: wanted, device } => {
            let kind = match FileType::from_raw_mode(wanted) {
                FileType::Unknown => FileType::RegularFile,
                kind => kind,
            };
            rustix::fs::mknodat(dir, &**path, kind, mode(wanted)?, device)?;
        }
        New::Link { to } => rustix::fs::symlinkat(to, dir, &**path)?,
    }
    let made = target.reach(named, false)?;
    let seen = Seen::of(&made, StatxFlags::BASIC_STATS)?;
    let owner = Owner { uid: person.user.effective, gid: group_of_new(dir, path, person) };
    note(&made, seen.kind(), owner)?;
    Ok(answer)
}

/// In a directory with setgid new files have its group.
fn group_of_new(dir: &OwnedFd, path: &CStr, person: &Person) -> u32 {
    let path = path.to_bytes();
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let parent = match path[..end].iter().rposition(|byte| *byte == b'/') {
        Some(0) => b"/".as_slice(),
        Some(slash) => &path[..slash],
        None => b".",
    };
    let seen = rustix::fs::openat(dir, parent, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .and_then(|parent| Seen::of(&parent, StatxFlags::BASIC_STATS));
    match seen {
        Ok(seen) if seen.stat.stx_mode & SET_GROUP_ID != 0 => seen.owner().gid,
        _ => person.group.effective,
    }
}
