//! Running git, hardened: nothing asks on a terminal, nothing of a repository is executed, and a repository cannot
//! name places that are not on the network.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::GitError;

/// Of what git knows, the transports that a Dockerfile may name.
const PROTOCOLS: &str = "http:https:git:ssh";

/// How git is run.
#[derive(Debug, Clone)]
pub(super) struct Program {
    protocols: &'static str,
    /// The agent whose keys ssh uses; None for the one of the environment.
    agent: Option<PathBuf>,
}

impl Program {
    pub(super) fn new(agent: Option<PathBuf>) -> Self {
        Self { protocols: PROTOCOLS, agent }
    }

    /// For repositories in folders of this machine: only the store's own.
    pub(super) fn local() -> Self {
        Self { protocols: "file", agent: None }
    }

    /// Runs git, and gives what it says on standard output.
    pub(super) fn run(&self, what: &str, dir: &Path, args: &[&str]) -> Result<String, GitError> {
        let output = self.command(dir, args).output().map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => GitError::NoProgram,
            _ => GitError::Io { what: "run git in", path: dir.to_owned(), cause },
        })?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(GitError::Failed { what: what.to_owned(), status: output.status.to_string(), said })
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
