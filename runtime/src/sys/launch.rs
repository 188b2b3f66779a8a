//! Clone into new namespaces, and exec, with nothing in between.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use rustix::process::Pid;

/// Bytes of the stack on which the child lives until its exec; it needs a few hundred.
const STACK_SIZE: usize = 64 << 10;

/// A program to be executed in new namespaces.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The executable's file.
    pub(crate) executable: BorrowedFd<'a>,
    /// Its arguments, from argv\[0\] on. Its environment is empty.
    pub(crate) arguments: &'a [CString],
    /// They become file descriptors 0, 1, 2, ... of the program; all others are closed. Each must be numbered
    /// above the count.
    pub(crate) fds: &'a [BorrowedFd<'a>],
    /// `CLONE_NEW*`.
    pub(crate) namespaces: c_int,
}

/// What the child reads; it lives on the parent's stack, since the memory is shared and the parent waits.
struct Orders {
    executable: c_int,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    fds: *const c_int,
    count: c_int,
    failure: AtomicI32,
}

impl Launch<'_> {
    /// Starts the program. All signals are blocked in it.
    ///
    /// The child shares our memory until its exec and this thread waits for that, so that nothing is copied however
    /// large rbuild is, and other threads' locks do not matter: the child makes system calls only.
    pub(crate) fn start(&self) -> io::Result<(Pid, OwnedFd)> {
        let mut arguments: Vec<*const c_char> =
            self.arguments.iter().map(|argument| argument.as_ptr()).collect();
        arguments.push(std::ptr::null());
        let environment: [*const c_char; 1] = [std::ptr::null()];
        let fds: Vec<c_int> = self.fds.iter().map(AsRawFd::as_raw_fd).collect();
        let count = c_int::try_from(fds.len()).map_err(io::Error::other)?;
        if fds.iter().chain([&self.executable.as_raw_fd()]).any(|fd| *fd < count) {
            return Err(io::Error::other("a file descriptor would be overwritten before it is used"));
        }
        let orders = Orders {
            executable: self.executable.as_raw_fd(),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            fds: fds.as_ptr(),
            count,
            failure: AtomicI32::new(0),
        };
        // A signal handler of ours must not run in the child, on our memory.
        let mut old_mask = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut old_mask))?;
        let cloned = self.clone_and_exec(&orders);
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&old_mask), None)?;
        let (pid, pidfd) = cloned?;
        match orders.failure.load(Ordering::Relaxed) {
            0 => Ok((pid, pidfd)),
            errno => {
                let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }

    fn clone_and_exec(&self, orders: &Orders) -> io::Result<(Pid, OwnedFd)> {
        let mut stack = vec![0_u128; STACK_SIZE / size_of::<u128>()];
        let flags = self.namespaces | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: c_int = -1;
        let argument: *const Orders = orders;
        let top = stack.as_mut_ptr_range().end;
        // SAFETY: the child runs `child` on a stack of its own, which lives until this call returns, and so do the
        // orders: CLONE_VFORK holds this thread until the child has executed or exited. `child` does system calls
        // only. `pidfd` is where CLONE_PIDFD wants its result.
        let pid = unsafe {
            libc::clone(
                child,
                top.cast::<c_void>(),
                flags,
                argument.cast_mut().cast::<c_void>(),
                &raw mut pidfd,
            )
        };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        let pid = Pid::from_raw(pid).expect("only the child gets a zero");
        // SAFETY: the kernel has just made this file descriptor for us.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        Ok((pid, pidfd))
    }
}

/// The child: puts the file descriptors where they belong and executes.
extern "C" fn child(argument: *mut c_void) -> c_int {
    // SAFETY: `clone_and_exec` passes its orders, which outlive this function.
    let orders = unsafe { &*argument.cast::<Orders>() };
    for target in 0..orders.count {
        // SAFETY: `fds` has `count` elements.
        let source = unsafe { orders.fds.offset(target as isize) };
        // SAFETY: as above; they are initialised and outlive this function.
        let source = unsafe { *source };
        // SAFETY: dup2 takes numbers only.
        if unsafe { libc::dup2(source, target) } < 0 {
            return fail(orders);
        }
    }
    // Kernels before 5.11 cannot do this; rbuild opens everything close-on-exec anyway.
    // SAFETY: numbers only; the table is ours alone, since CLONE_FILES was not asked for.
    unsafe {
        libc::syscall(libc::SYS_close_range, orders.count, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    // SAFETY: null-terminated arrays of C strings, an empty path, an open file.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            orders.executable,
            c"".as_ptr(),
            orders.arguments,
            orders.environment,
            libc::AT_EMPTY_PATH,
        );
    }
    fail(orders)
}

fn fail(orders: &Orders) -> c_int {
    // SAFETY: takes nothing; errno is this thread's, and the parent, whose thread storage we share, waits.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it points to this thread's errno.
    let errno = unsafe { *errno };
    orders.failure.store(errno, Ordering::Relaxed);
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(127) }
}
