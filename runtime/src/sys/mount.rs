//! `mount_setattr`, which neither rustix nor nix has.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sets and clears attributes (`MOUNT_ATTR_*`) of the mount at `fd`; `recursive` includes everything mounted below.
/// A non-zero `propagation` (`MS_PRIVATE` and so on) changes that too.
pub(crate) fn mount_setattr(
    fd: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    propagation: u64,
    recursive: bool,
) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: an empty C string, and a pointer to a structure of the size given with it, both alive for the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
