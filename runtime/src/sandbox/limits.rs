//! The limits of a restricted program: they depend on nothing but its spec, so they can be on before there is a program.

use rustix::system::uname;
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::spec::Privilege;
use crate::caps::{self, CapSet, UnknownCapability};
use crate::seccomp::{self, Conditions};
use crate::sys;

/// What a program may do at most (spec 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// What it can ever have.
    pub(crate) caps: CapSet,
    no_new_privileges: bool,
}

impl Limits {
    /// None for a program that may do everything.
    pub(crate) fn of(privilege: &Privilege) -> Result<Option<Self>, UnknownCapability> {
        match privilege {
            Privilege::All => Ok(None),
            Privilege::Default { add, drop, no_new_privileges } => {
                let caps = CapSet::tweaked(add, drop)?;
                Ok(Some(Self { caps, no_new_privileges: *no_new_privileges }))
            }
        }
    }

    /// Takes what this thread must never have again out of its reach; what it has it keeps.
    pub(crate) fn limit_capabilities(self) -> Result<(), Failure> {
        caps::limit_bounding(self.caps).map_err(|error| Failure::setup("limit", "capabilities", error))?;
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true)
                .map_err(|error| Failure::setup("set", "no_new_privs", error))?;
        }
        Ok(())
    }

    /// Puts this thread under the system call filter. Without no_new_privs this needs CAP_SYS_ADMIN, so it comes before
    /// the user; what follows is allowed.
    pub(crate) fn filter_calls(self) -> Result<(), Failure> {
        let program = seccomp::program(Conditions { caps: self.caps, kernel: kernel_version() });
        sys::filter::install(&program)
            .map_err(|error| Failure::setup("install", "the system call filter", error))
    }
}

fn kernel_version() -> (u32, u32) {
    let uname = uname();
    let release = uname.release().to_string_lossy();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
