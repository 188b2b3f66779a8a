//! Finding and executing the program, inside the rootfs and as its user.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::sandbox::error::Failure;
use crate::sandbox::spec::Spec;
use crate::sys;

/// Where programs are when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What will be executed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Program {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    home: String,
}

impl Program {
    /// `home` is HOME for the case that the environment has none.
    pub(super) fn new(spec: &Spec, home: &str) -> Self {
        Self { argv: spec.argv.clone(), env: spec.env.clone(), home: home.to_owned() }
    }

    /// Becomes the program.
    pub(super) fn execute(&self) -> Result<Infallible, Failure> {
        // Changing the user has cleared it.
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| Failure::setup("tie", "the program to rbuild", error))?;
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let path = self.find()?;
        let arguments: Vec<CString> =
            self.argv.iter().map(|argument| c_string(argument)).collect::<Result<_, _>>()?;
        let environment = self.environment()?;
        sys::process::default_signals();
        let Err(error) = nix::unistd::execve(&path, &arguments, &environment);
        Err(self.refused(&path, error))
    }

    fn find(&self) -> Result<CString, Failure> {
        let program = &self.argv[0];
        if program.contains('/') {
            return c_string(program);
        }
        let path = self.variable("PATH").unwrap_or(DEFAULT_PATH);
        for folder in path.split(':') {
            let folder = if folder.is_empty() { "." } else { folder };
            let candidate = Path::new(folder).join(program);
            if is_executable(&candidate) {
                return c_string_of(candidate.as_os_str());
            }
        }
        Err(Failure::NotFound { program: program.clone(), searched: true })
    }

    fn environment(&self) -> Result<Vec<CString>, Failure> {
        let mut environment: Vec<CString> = self
            .env
            .iter()
            .map(|(name, value)| c_string(&format!("{name}={value}")))
            .collect::<Result<_, _>>()?;
        if self.variable("HOME").is_none() {
            environment.push(c_string(&format!("HOME={}", self.home))?);
        }
        Ok(environment)
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn refused(&self, path: &CString, error: nix::Error) -> Failure {
        let program = self.argv[0].clone();
        let exists = rustix::fs::statat(CWD, path.as_c_str(), AtFlags::empty()).is_ok();
        match error {
            nix::Error::ENOENT | nix::Error::ENOTDIR if !exists => {
                Failure::NotFound { program, searched: false }
            }
            error => Failure::NotExecutable { program, errno: error as i32 },
        }
    }
}

fn is_executable(path: &Path) -> bool {
    let is_file = rustix::fs::statat(CWD, path, AtFlags::empty())
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    is_file && rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

fn c_string(text: &str) -> Result<CString, Failure> {
    c_string_of(OsStr::new(text))
}

fn c_string_of(text: &OsStr) -> Result<CString, Failure> {
    CString::new(text.as_bytes())
        .map_err(|_| Failure::Invalid("an argument or variable contains a NUL byte".to_owned()))
}
