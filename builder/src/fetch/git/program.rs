//! Running git, hardened: nothing asks on a terminal, nothing of a repository is executed, and a repository cannot
//! name places that are not on the network.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rbuild_runtime::signals;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal};

use super::GitError;
use crate::cancel::Cancel;

/// Of what git knows, the transports that a Dockerfile may name.
const PROTOCOLS: &str = "http:https:git:ssh";

/// How git is run.
#[derive(Debug, Clone)]
pub(super) struct Program {
    protocols: &'static str,
    /// The agent whose keys ssh uses; None for the one of the environment.
    agent: Option<PathBuf>,
    cancel: Cancel,
}

impl Program {
    pub(super) fn new(agent: Option<PathBuf>, cancel: Cancel) -> Self {
        Self { protocols: PROTOCOLS, agent, cancel }
    }

    /// The same for repositories in folders of this machine: only the store's own.
    pub(super) fn for_folders(&self) -> Self {
        Self { protocols: "file", agent: None, cancel: self.cancel.clone() }
    }

    /// What ends it.
    pub(super) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Runs git, and gives what it says on standard output.
    pub(super) fn run(&self, what: &str, dir: &Path, args: &[&str]) -> Result<String, GitError> {
        let fail = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => GitError::NoProgram,
            _ => GitError::Io { what: "run git in", path: dir.to_owned(), cause },
        };
        let (status, output, errors) = self.run_to_end(dir, args).map_err(fail)?;
        if status.success() {
            return Ok(output);
        }
        Err(GitError::Failed {
            what: what.to_owned(),
            status: status.to_string(),
            said: errors.trim().to_owned(),
        })
    }

    /// How it ended, and what it wrote. Its streams are files in memory: of a git that was ended, programs that it has
    /// started may live on for a while, and the end of a pipe would have to be waited for.
    fn run_to_end(&self, dir: &Path, args: &[&str]) -> io::Result<(ExitStatus, String, String)> {
        if self.cancel.requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let file = || rustix::fs::memfd_create("git", MemfdFlags::CLOEXEC).map(File::from);
        let (output, errors) = (file()?, file()?);
        let mut command = self.command(dir, args);
        command.stdout(output.try_clone()?).stderr(errors.try_clone()?);
        let mut git = signals::unblocked(|| command.spawn())??;
        let process = Pid::from_child(&git);
        let _guard = self.cancel.on_cancel(move || end(process));
        let status = git.wait()?;
        Ok((status, text(output)?, text(errors)?))
    }

    fn command(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            // Whoever owns the folder, it is the store's.
            .args(["-c", "safe.directory=*"])
            .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"])
            .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false"])
            .args(["-c", "core.autocrlf=false", "-c", "core.symlinks=true", "-c", "core.fileMode=true"])
            .args(["-c", "protocol.version=2", "-c", "transfer.fsckObjects=false"])
            .args(args)
            .current_dir(dir)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", self.protocols)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        if let Some(agent) = &self.agent {
            command.env("SSH_AUTH_SOCK", agent);
        }
        // A git that runs rbuild (in a hook, say) must not have its repository taken for ours.
        for name in [
            "GIT_DIR",
            "GIT_WORK_TREE",
            "GIT_INDEX_FILE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_COMMON_DIR",
            "GIT_NAMESPACE",
            "GIT_PREFIX",
        ] {
            command.env_remove(name);
        }
        command
    }
}

/// Asks git to end, and those that it has started, who would go on without it: the one who talks to the server waits
/// for that alone. All of them are found before the first is told, since an orphan is nobody's child any more.
fn end(process: Pid) {
    let (mut all, mut next) = (vec![process], 0);
    while let Some(parent) = all.get(next) {
        let path = format!("/proc/{0}/task/{0}/children", parent.as_raw_nonzero());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)));
        next += 1;
    }
    for process in all.into_iter().rev() {
        // Who is gone needs not be told.
        let _ = rustix::process::kill_process(process, Signal::TERM);
    }
}

fn text(mut file: File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
