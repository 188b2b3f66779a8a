//! The system calls that are answered, by their numbers on this architecture.

use crate::seccomp::{Instruction, Trap, notifying};

/// A call that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `path, uid, gid`, following a link.
    Chown,
    Lchown,
    Fchown,
    Fchownat,
    /// `path, stat`, following a link.
    Stat,
    Lstat,
    Fstat,
    Fstatat,
    Statx,
    /// `path, flags, mode`.
    Open,
    Openat,
    Creat,
    Mkdir,
    Mkdirat,
    Mknod,
    Mknodat,
    Symlink,
    Symlinkat,
    Get(Whose, Which),
    GetThree(Whose),
    GetGroups,
    Set(Whose),
    SetTwo(Whose),
    SetThree(Whose),
    SetGroups,
    /// The ids for file systems, which follow the effective ones.
    SetForFiles(Whose),
}

/// Ids of users, or of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Users,
    Groups,
}

/// Which of the three ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Real,
    Effective,
}

use Kind as K;
use Which::{Effective, Real};
use Whose::{Groups, Users};

#[rustfmt::skip]
const CALLS: &[(i64, Kind)] = &[
    (libc::SYS_fchown, K::Fchown), (libc::SYS_fchownat, K::Fchownat),
    (libc::SYS_fstat, K::Fstat), (libc::SYS_newfstatat, K::Fstatat), (libc::SYS_statx, K::Statx),
    (libc::SYS_openat, K::Openat), (libc::SYS_mkdirat, K::Mkdirat), (libc::SYS_mknodat, K::Mknodat),
    (libc::SYS_symlinkat, K::Symlinkat),
    (libc::SYS_getuid, K::Get(Users, Real)), (libc::SYS_geteuid, K::Get(Users, Effective)),
    (libc::SYS_getgid, K::Get(Groups, Real)), (libc::SYS_getegid, K::Get(Groups, Effective)),
    (libc::SYS_getresuid, K::GetThree(Users)), (libc::SYS_getresgid, K::GetThree(Groups)),
    (libc::SYS_getgroups, K::GetGroups), (libc::SYS_setgroups, K::SetGroups),
    (libc::SYS_setuid, K::Set(Users)), (libc::SYS_setgid, K::Set(Groups)),
    (libc::SYS_setreuid, K::SetTwo(Users)), (libc::SYS_setregid, K::SetTwo(Groups)),
    (libc::SYS_setresuid, K::SetThree(Users)), (libc::SYS_setresgid, K::SetThree(Groups)),
    (libc::SYS_setfsuid, K::SetForFiles(Users)), (libc::SYS_setfsgid, K::SetForFiles(Groups)),
];

/// Those that newer architectures never had.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLD_CALLS: &[(i64, Kind)] = &[
    (libc::SYS_chown, K::Chown), (libc::SYS_lchown, K::Lchown),
    (libc::SYS_stat, K::Stat), (libc::SYS_lstat, K::Lstat),
    (libc::SYS_open, K::Open), (libc::SYS_creat, K::Creat), (libc::SYS_mkdir, K::Mkdir),
    (libc::SYS_mknod, K::Mknod), (libc::SYS_symlink, K::Symlink),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[(i64, Kind)] = &[];

fn all() -> impl Iterator<Item = &'static (i64, Kind)> {
    CALLS.iter().chain(OLD_CALLS)
}

/// What a number means.
pub(super) fn kind(number: i64) -> Option<Kind> {
    all().find(|(known, _)| *known == number).map(|(_, kind)| *kind)
}

/// The filter that hands these calls over, and no others: files are opened more often than anything else, and only
/// one that may be made is of interest.
pub(crate) fn filter() -> Vec<Instruction> {
    const CREATE: u32 = libc::O_CREAT as u32;
    let traps: Vec<Trap> = all()
        .map(|(number, kind)| {
            let with_bits = match kind {
                Kind::Open => Some((1, CREATE)),
                Kind::Openat => Some((2, CREATE)),
                _ => None,
            };
            Trap { number: u32::try_from(*number).expect("numbers of calls are small"), with_bits }
        })
        .collect();
    notifying(&traps)
}
