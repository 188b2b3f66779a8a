//! System calls that a filter hands to another process: installing such a filter, and answering.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{Stat, Statx};

use crate::seccomp::Instruction;

/// The kernel's `_IOWR('!', number, T)`.
const fn read_and_write<T>(number: u64) -> u64 {
    3 << 30 | (size_of::<T>() as u64) << 16 | (b'!' as u64) << 8 | number
}

/// The kernel's `_IOW('!', number, T)`.
const fn write<T>(number: u64) -> u64 {
    1 << 30 | (size_of::<T>() as u64) << 16 | (b'!' as u64) << 8 | number
}

const RECEIVE: u64 = read_and_write::<libc::seccomp_notif>(0);
const SEND: u64 = read_and_write::<libc::seccomp_notif_resp>(1);
const ADD_FD: u64 = write::<libc::seccomp_notif_addfd>(3);
const SET_FLAGS: u64 = write::<u64>(4);
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, from Linux 6.6 on.
const WAKE_UP_ON_THE_SAME_CORE: u64 = 1;

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`, `SECCOMP_ADDFD_FLAG_SEND`, in the width that the kernel's structures have.
const CONTINUE: u32 = 1;
const ADD_AND_SEND: u32 = 2;

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    id: u64,
    /// The calling thread in our pid namespace.
    pub(crate) thread: u32,
    /// The call's number, in the architecture that this program is made for.
    pub(crate) number: i64,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The kernel does it.
    GoOn,
    /// It returns this.
    Value(i64),
    /// It fails with this.
    Error(rustix::io::Errno),
    /// It returns a file descriptor for this file, to be closed by an exec or not.
    File { file: OwnedFd, close_on_exec: bool },
}

/// Puts this thread, and everything that it will execute, under a filter whose calls wait for answers; returns where
/// they arrive. Needs CAP_SYS_ADMIN or no_new_privs.
pub(crate) fn install(program: &[Instruction]) -> io::Result<OwnedFd> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let header = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the header points to `len` instructions with the layout of sock_filter; the kernel copies them.
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const header) }
    };
    let listen = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // Signals would make a call that is being answered begin anew; kernels before 5.19 cannot help that.
    let mut fd = install(listen | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if fd < 0 {
        fd = install(listen);
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this file descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets the kernel hand the core over directly when a call waits for us, where it can.
pub(crate) fn hurry(listener: BorrowedFd<'_>) {
    // SAFETY: the flags are passed by value; a kernel that does not know the request refuses it.
    unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS as _, WAKE_UP_ON_THE_SAME_CORE) };
}

/// Waits for the next call.
///
/// # Errors
/// ENOENT when the caller was killed meanwhile.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> rustix::io::Result<Call> {
    // SAFETY: all zeros are a valid notification, and what the kernel asks for.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request takes a pointer to a notification, which lives for the call.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE as _, &raw mut call) };
    if result < 0 {
        return Err(last_error());
    }
    let data = call.data;
    Ok(Call { id: call.id, thread: call.pid, number: data.nr.into(), arguments: data.args })
}

/// Answers a call. A caller that was killed meanwhile is no error.
pub(crate) fn answer(listener: BorrowedFd<'_>, call: &Call, answer: Answer) -> io::Result<()> {
    let (id, mut response) = (call.id, libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags: 0 });
    match answer {
        Answer::GoOn => response.flags = CONTINUE,
        Answer::Value(value) => response.val = value,
        Answer::Error(error) => response.error = -error.raw_os_error(),
        Answer::File { file, close_on_exec } => {
            let newfd_flags = if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 };
            let srcfd = u32::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
            let add = libc::seccomp_notif_addfd { id, flags: ADD_AND_SEND, srcfd, newfd: 0, newfd_flags };
            // SAFETY: the request takes a pointer to this structure, which lives for the call.
            let result = unsafe { libc::ioctl(listener.as_raw_fd(), ADD_FD as _, &raw const add) };
            if result >= 0 {
                return Ok(());
            }
            response.error = -last_error().raw_os_error();
        }
    }
    // SAFETY: the request takes a pointer to a response, which lives for the call.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), SEND as _, &raw const response) };
    match last_error() {
        _ if result >= 0 => Ok(()),
        rustix::io::Errno::NOENT => Ok(()),
        error => Err(error.into()),
    }
}

/// The kernel's form of what `stat` says.
pub(crate) fn bytes_of_stat(stat: &Stat) -> &[u8] {
    // SAFETY: a structure of integers without gaps, which lives as long as the bytes.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(stat).cast(), size_of::<Stat>()) }
}

/// The kernel's form of what `statx` says.
pub(crate) fn bytes_of_statx(stat: &Statx) -> &[u8] {
    // SAFETY: a structure of integers without gaps, which lives as long as the bytes.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(stat).cast(), size_of::<Statx>()) }
}

fn last_error() -> rustix::io::Errno {
    rustix::io::Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(rustix::io::Errno::IO)
}
