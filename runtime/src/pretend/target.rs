//! A process that waits for an answer: its memory, its files, its badge, and the world as it sees it.
//!
//! Everything is reached through our own `/proc`, which is this thread's working directory, because the root directory
//! of this thread is that of the process: then the kernel follows absolute links and `..` as it would for the process
//! itself, in a `chroot` too.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use rbuild_image::layer::{Owner, noted_behind};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;
use rustix::thread::UnshareFlags;

use super::people::Badge;
use crate::sys;

/// Longest path that the kernel takes, with its end.
const PATH_MAX: usize = 4096;
const PAGE: usize = 4096;
/// Paths are mostly shorter than this.
const PART: usize = 256;

/// `S_ISUID`; `S_ISGID`, which without `S_IXGRP` meant something else once.
const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2010;

/// This thread's view of the world: which root it has.
pub(super) struct Eyes {
    /// Mount and inode of the root directory at hand.
    root: Option<(u64, u64)>,
}

impl Eyes {
    /// From here on this thread's working and root directories are its own.
    pub(super) fn open() -> io::Result<Self> {
        sys::process::unshare(UnshareFlags::FS)?;
        rustix::process::chdir("/proc")?;
        rustix::process::umask(Mode::empty());
        Ok(Self { root: None })
    }

    /// Takes on the root directory of a process.
    pub(super) fn see_as(&mut self, target: &Target) -> Result<(), Errno> {
        let path = target.file("root");
        let mask = StatxFlags::INO | StatxFlags::from_bits_retain(libc::STATX_MNT_ID);
        let stat = rustix::fs::statx(CWD, &path, AtFlags::empty(), mask)?;
        let root = Some((stat.stx_mnt_id, stat.stx_ino));
        if self.root == root {
            return Ok(());
        }
        self.root = None;
        let proc = rustix::fs::openat(CWD, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        rustix::process::chdir(&path)?;
        let changed = rustix::process::chroot(".");
        rustix::process::fchdir(&proc)?;
        changed?;
        self.root = root;
        Ok(())
    }
}

/// A thread of a process that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) thread: u32,
}

/// A program with setuid or setgid.
pub(super) struct SetIdProgram {
    /// Tells it from others.
    pub(super) file: u64,
    /// Whose it is, with setuid.
    pub(super) uid: Option<u32>,
    /// Its group, with setgid.
    pub(super) gid: Option<u32>,
}

/// A file as the process named it.
#[derive(Debug)]
pub(super) enum Named {
    /// One that it has open.
    Open(u32),
    /// A path, and where it starts.
    At(OwnedFd, CString),
}

impl Target {
    fn file(self, name: &str) -> String {
        format!("{}/{name}", self.thread)
    }

    fn pid(self) -> Result<Pid, Errno> {
        i32::try_from(self.thread).map(Pid::from_raw).map_err(|_| Errno::SRCH)
    }

    /// Reads its memory until the buffer is full, or fails.
    fn read(self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        let place =
            RemoteIoVec { base: usize::try_from(address).map_err(|_| Errno::FAULT)?, len: buffer.len() };
        let length = buffer.len();
        let count = process_vm_readv(self.pid()?, &mut [IoSliceMut::new(buffer)], &[place]);
        if count == Ok(length) { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// A C string; at most a path long.
    pub(super) fn read_path(self, address: u64) -> Result<CString, Errno> {
        let mut bytes: Vec<u8> = Vec::new();
        let mut at = address;
        while bytes.len() < PATH_MAX {
            // Never over the end of a page: the next one may not be there.
            let rest = PAGE - usize::try_from(at).map_err(|_| Errno::FAULT)? % PAGE;
            let mut part = [0; PART];
            let part = &mut part[..rest.min(PART)];
            self.read(at, part)?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                bytes.extend_from_slice(&part[..end]);
                return CString::new(bytes).map_err(|_| Errno::INVAL);
            }
            bytes.extend_from_slice(part);
            at += part.len() as u64;
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Numbers of 32 bits.
    pub(super) fn read_numbers(self, address: u64, count: usize) -> Result<Vec<u32>, Errno> {
        let mut bytes = vec![0; count * 4];
        self.read(address, &mut bytes)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        Ok(numbers.iter().copied().map(u32::from_ne_bytes).collect())
    }

    pub(super) fn write(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let place =
            RemoteIoVec { base: usize::try_from(address).map_err(|_| Errno::FAULT)?, len: bytes.len() };
        let count = process_vm_writev(self.pid()?, &[IoSlice::new(bytes)], &[place]);
        if count == Ok(bytes.len()) { Ok(()) } else { Err(Errno::FAULT) }
    }

    /// What its badge is: the filter of its core dumps, of all things. The kernel hands it down to children, keeps it
    /// over an exec, and lets us read and write it; what would be dumped of a program that crashes in a container
    /// nobody asks for.
    pub(super) fn badge(self) -> Result<Badge, Errno> {
        let text = self.small("coredump_filter")?;
        u16::from_str_radix(text.trim(), 16).map(Badge).map_err(|_| Errno::IO)
    }

    pub(super) fn wear(self, badge: Badge) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, self.file("coredump_filter"), flags, Mode::empty())?;
        let written = File::from(file).write_all(format!("{:#x}", badge.0).as_bytes());
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    /// What it takes off the modes of new files.
    pub(super) fn umask(self) -> Result<u32, Errno> {
        let text = self.small("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Umask:")).ok_or(Errno::IO)?;
        u32::from_str_radix(line.trim(), 8).map_err(|_| Errno::IO)
    }

    fn small(self, name: &str) -> Result<String, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, self.file(name), flags, Mode::empty())?;
        let mut bytes = vec![0; PAGE];
        let count = rustix::io::read(file, &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..count]).into_owned())
    }

    /// The program that it runs, if that is one that makes everybody its owner.
    pub(super) fn set_id_program(self) -> Option<SetIdProgram> {
        let program = self.open_magic("exe").ok()?;
        let seen = Seen::of(&program, StatxFlags::BASIC_STATS).ok()?;
        let (mode, owner) = (u32::from(seen.stat.stx_mode), seen.owner());
        let has = |bits: u32| mode & bits == bits;
        let (uid, gid) = (has(SET_USER_ID).then_some(owner.uid), has(SET_GROUP_ID).then_some(owner.gid));
        (uid.is_some() || gid.is_some()).then_some(SetIdProgram { file: seen.stat.stx_ino, uid, gid })
    }

    /// A link of `/proc` to what the process has.
    fn open_magic(self, name: &str) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(CWD, self.file(name), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
    }

    /// What `path` means to the process, from the directory `dir` on (a file descriptor, or `AT_FDCWD`).
    pub(super) fn named(self, dir: u64, path: u64, eyes: &mut Eyes) -> Result<Named, Errno> {
        let path = self.read_path(path)?;
        self.named_as(dir, path, eyes)
    }

    pub(super) fn named_as(self, dir: u64, path: CString, eyes: &mut Eyes) -> Result<Named, Errno> {
        eyes.see_as(&self)?;
        // The kernel looks at 32 bits.
        let start = if dir as i32 == libc::AT_FDCWD || path.to_bytes().first() == Some(&b'/') {
            self.open_magic("cwd")?
        } else {
            self.open_magic(&format!("fd/{}", dir as u32))?
        };
        Ok(Named::At(start, path))
    }

    /// Opens it for nothing but to be asked and changed.
    pub(super) fn reach(self, named: &Named, follow: bool) -> Result<OwnedFd, Errno> {
        match named {
            Named::Open(fd) => self.open_magic(&format!("fd/{fd}")),
            Named::At(dir, path) => {
                let last = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
                rustix::fs::openat(dir, &**path, OFlags::PATH | OFlags::CLOEXEC | last, Mode::empty())
            }
        }
    }
}

/// What is behind a file descriptor that is open for nothing.
pub(super) struct Seen {
    pub(super) stat: Statx,
    /// The note on it.
    pub(super) note: Option<Owner>,
}

/// A path to it that begins in our `/proc`, this thread's working directory.
pub(super) fn behind(fd: &OwnedFd) -> String {
    format!("thread-self/fd/{}", fd.as_fd().as_raw_fd())
}

impl Seen {
    pub(super) fn of(fd: &OwnedFd, mask: StatxFlags) -> Result<Self, Errno> {
        let stat = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, mask | StatxFlags::BASIC_STATS)?;
        let note = noted_behind(&behind(fd), kind(&stat)).unwrap_or(None);
        Ok(Self { stat, note })
    }

    pub(super) fn owner(&self) -> Owner {
        self.note.unwrap_or(Owner { uid: self.stat.stx_uid, gid: self.stat.stx_gid })
    }

    pub(super) fn kind(&self) -> FileType {
        kind(&self.stat)
    }
}

fn kind(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}
