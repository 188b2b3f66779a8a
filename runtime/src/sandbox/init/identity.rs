//! Who the program is and what it may do (spec 6.2, 6.3).

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::unistd::{Gid, Uid};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::thread::{CapabilitiesSecureBits, CapabilitySet};
use serde::{Deserialize, Serialize};

use super::place;
use crate::caps::{self, CapSet};
use crate::pretend::{self, Person};
use crate::sandbox::error::Failure;
use crate::sandbox::limits::Limits;
use crate::sandbox::message::{self, News, ReceivedOrder};
use crate::sys;
use crate::users::{self, UserError, UserIds};

/// Everything about the program's rights, worked out; [`Identity::assume`] makes it so.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Identity {
    ids: UserIds,
    /// None for a program that may do everything.
    limits: Option<Limits>,
    in_user_namespace: bool,
    has_single_id: bool,
}

impl Identity {
    /// Looks the user up in the rootfs.
    pub(super) fn of(order: &ReceivedOrder, root: &OwnedFd) -> Result<Self, Failure> {
        let spec = &order.spec;
        let passwd = read(root, "/etc/passwd")?;
        let group = read(root, "/etc/group")?;
        let ids = users::lookup_user(&spec.user, &spec.extra_groups, passwd.as_deref(), group.as_deref())?;
        let limits = Limits::of(&spec.privilege).map_err(|error| Failure::Invalid(error.to_string()))?;
        Ok(Self {
            ids,
            limits,
            in_user_namespace: order.in_user_namespace,
            has_single_id: order.has_single_id,
        })
    }

    pub(super) fn home(&self) -> &str {
        &self.ids.home
    }

    pub(super) fn owner(&self) -> (u32, u32) {
        (self.ids.uid, self.ids.gid)
    }

    /// Becomes the user, in the order in which the rights that each step needs are still there.
    pub(super) fn assume(&self, parent: BorrowedFd<'_>) -> Result<(), Failure> {
        match self.limits {
            Some(limits) => limits.limit_capabilities()?,
            None => rustix::thread::set_keep_capabilities(true)
                .map_err(|error| Failure::setup("keep", "capabilities", error))?,
        }
        let pretends = self.has_single_id && self.pretend(parent)?;
        if let Some(limits) = self.limits {
            limits.filter_calls()?;
        }
        self.become_user(pretends)
    }

    /// The same in a process that has its limits already.
    pub(super) fn assume_within_limits(&self) -> Result<(), Failure> {
        self.become_user(false)
    }

    fn become_user(&self, pretends: bool) -> Result<(), Failure> {
        self.own_pipes();
        if !pretends {
            self.switch_user()?;
        } else if self.limits.is_some() && self.ids.uid != 0 {
            // As far as the kernel knows it is root, whom every exec gives its capabilities back.
            rustix::thread::set_capabilities_secure_bits(CapabilitiesSecureBits::NO_ROOT)
                .map_err(|error| Failure::setup("give up", "capabilities", error))?;
        }
        self.settle_capabilities().map_err(|error| Failure::setup("set", "capabilities", error))
    }

    /// Has the parent answer calls about owners and ids; false where the kernel cannot, or somebody else answers already.
    fn pretend(&self, parent: BorrowedFd<'_>) -> Result<bool, Failure> {
        let Ok(listener) = sys::notify::install(&pretend::filter()) else { return Ok(false) };
        let person = Person {
            user: pretend::Ids::all(self.ids.uid),
            group: pretend::Ids::all(self.ids.gid),
            groups: self.ids.groups.clone(),
            chosen_by: None,
        };
        message::send(parent, &News::Asking { person }, Some(listener.as_fd()))
            .map_err(|error| Failure::setup("report to", "rbuild", error))?;
        Ok(true)
    }

    fn switch_user(&self) -> Result<(), Failure> {
        let fail = |what: String| move |error: nix::Error| Failure::setup("become", what, error);
        let groups: Vec<Gid> = self.ids.groups.iter().copied().map(Gid::from_raw).collect();
        match nix::unistd::setgroups(&groups) {
            // With a single mapped id, groups cannot be set, and there are none to set.
            Err(nix::Error::EPERM | nix::Error::EINVAL) if self.in_user_namespace => {}
            other => other.map_err(fail(format!("a member of groups {:?}", self.ids.groups)))?,
        }
        let gid = Gid::from_raw(self.ids.gid);
        nix::unistd::setresgid(gid, gid, gid).map_err(fail(format!("group {gid}")))?;
        let uid = Uid::from_raw(self.ids.uid);
        nix::unistd::setresuid(uid, uid, uid).map_err(fail(format!("user {uid}")))
    }

    fn settle_capabilities(&self) -> rustix::io::Result<()> {
        let Some(limits) = self.limits else {
            let mut sets = rustix::thread::capabilities(None)?;
            sets.inheritable = sets.permitted;
            sets.effective = sets.permitted;
            rustix::thread::set_capabilities(None, sets)?;
            let each = sets.permitted.iter();
            return each.into_iter().try_for_each(|one: CapabilitySet| {
                rustix::thread::configure_capability_in_ambient_set(one, true)
            });
        };
        // Leaving uid 0 has already taken everything.
        caps::set_exactly(if self.ids.uid == 0 { limits.caps } else { CapSet::EMPTY })
    }

    /// Gives pipes on the standard streams to the user, who could otherwise not open `/dev/stderr`; as runc does.
    fn own_pipes(&self) {
        for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
            let Ok(stat) = rustix::fs::fstat(stream) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != self.ids.uid {
                // A pipe of somebody else's stays theirs.
                let _ = rustix::fs::fchown(stream, Some(rustix::fs::Uid::from_raw(self.ids.uid)), None);
            }
        }
    }
}

fn read(root: &OwnedFd, path: &str) -> Result<Option<Vec<u8>>, Failure> {
    let fail = |error: std::io::Error| Failure::setup("read", path, error);
    let file = match place::open(root, path, OFlags::RDONLY | OFlags::NONBLOCK) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(fail(error.into())),
    };
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(Failure::Invalid(format!("{path} is not a regular file")));
    }
    if metadata.len() > users::MAX_FILE_SIZE {
        return Err(UserError::TooLarge(path.to_owned()).into());
    }
    let mut bytes = Vec::new();
    file.take(users::MAX_FILE_SIZE).read_to_end(&mut bytes).map_err(fail)?;
    Ok(Some(bytes))
}
