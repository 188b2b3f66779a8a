//! Re-executing rbuild as root of a new user and mount namespace.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, WaitOptions};
use rustix::thread::UnshareFlags;

use super::ranges;
use crate::{limits, sys};

/// Why there is no user namespace for us.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel does not let us make one.
    #[error(
        "cannot create a user namespace: {0}; rbuild needs root, or user namespaces (sysctl \
         user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
    )]
    Forbidden(io::Error),
    /// Our own id could not be mapped.
    #[error("cannot map user {uid} to root of a user namespace: {error}")]
    Map {
        /// Our user id outside.
        uid: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// The second start of rbuild failed.
    #[error("cannot start rbuild again inside its user namespace: {0}")]
    Restart(io::Error),
}

/// Makes this process root: at once when it is already, else by re-executing rbuild in a new user and mount
/// namespace, with the id ranges of `/etc/subuid` and `/etc/subgid` where newuidmap and newgidmap give them, else
/// with the single id that everybody may map. Must be called before any thread exists; returns in the process that
/// is root.
///
/// # Errors
/// See [`NamespaceError`].
pub fn ensure_user_namespace() -> Result<(), NamespaceError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let helper = Helper::start(uid, gid).map_err(NamespaceError::Forbidden)?;
    sys::process::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(NamespaceError::Forbidden)?;
    if !helper.map_ranges() {
        map_single(uid, gid).map_err(|error| NamespaceError::Map { uid, error })?;
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let executable = std::env::current_exe().map_err(NamespaceError::Restart)?;
    // The second start shall find the limit that the first one was given.
    if let Some(soft) = limits::open_files_before() {
        limits::set_open_files(soft);
    }
    Err(NamespaceError::Restart(Command::new(executable).arg0(name).args(arguments).exec()))
}

/// A process that stays outside and calls the set-uid programs once we are inside; None without ranges.
struct Helper(Option<(Pid, io::PipeWriter)>);

impl Helper {
    fn start(uid: u32, gid: u32) -> io::Result<Self> {
        let name = user_name(uid);
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let uids = ranges::of_user(&read("/etc/subuid"), &name, uid);
        let gids = ranges::of_user(&read("/etc/subgid"), &name, uid);
        if uids.is_empty() || gids.is_empty() {
            return Ok(Self(None));
        }
        let parent = rustix::process::getpid().as_raw_nonzero().to_string();
        let (mut reader, writer) = io::pipe()?;
        match sys::process::fork()? {
            Some(child) => Ok(Self(Pid::from_raw(child.as_raw()).map(|child| (child, writer)))),
            None => {
                drop(writer);
                // Its end says that the namespace is there.
                let _ = io::copy(&mut reader, &mut io::sink());
                let mapped = run("newuidmap", &parent, &ranges::map_arguments(uid, &uids))
                    && run("newgidmap", &parent, &ranges::map_arguments(gid, &gids));
                sys::process::exit_now(i32::from(!mapped))
            }
        }
    }

    /// Has the ranges mapped; false when there are none, or the set-uid programs are missing or refuse.
    fn map_ranges(self) -> bool {
        let Some((child, writer)) = self.0 else { return false };
        drop(writer);
        let status = rustix::process::waitpid(Some(child), WaitOptions::empty());
        matches!(status, Ok(Some((_, status))) if status.exit_status() == Some(0))
    }
}

fn run(program: &str, pid: &str, map: &[String]) -> bool {
    let status = Command::new(program).arg(pid).args(map).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn map_single(uid: u32, gid: u32) -> io::Result<()> {
    // newuidmap may have succeeded where newgidmap failed; what is mapped stays.
    let uids = std::fs::write("/proc/self/uid_map", format!("0 {uid} 1\n"));
    if !rustix::process::geteuid().is_root() {
        uids?;
    }
    // Without it an unprivileged process may not map its group.
    std::fs::write("/proc/self/setgroups", "deny\n")?;
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1\n"))
}

/// Not asked of the C library: a static program would load the libraries that nsswitch.conf names, and some of those
/// crash in one. A user of another directory has ranges by number.
fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = uid.to_string();
    let is_it = |line: &&str| line.split(':').nth(2) == Some(&uid);
    let line = passwd.lines().find(is_it).unwrap_or_default();
    line.split(':').next().unwrap_or_default().to_owned()
}
