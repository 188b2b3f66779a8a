//! Installing a system call filter.

use std::io;

use crate::seccomp::Instruction;

/// Puts this thread, and everything that it will execute, under a filter for good. Needs CAP_SYS_ADMIN or
/// no_new_privs.
pub(crate) fn install(program: &[Instruction]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let header = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // As runc: mitigations against speculation cost more than they bring where the filter is not a sandbox for
    // mutually distrusting threads of one process.
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the header points to `len` instructions with the layout of sock_filter; the kernel copies them.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const header) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
