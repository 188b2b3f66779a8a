//! Capabilities: named bits of root's power, and Docker's choice of them.

use rustix::thread::{CapabilitySet, CapabilitySets};

/// Names by number, as in `linux/capability.h`, without `CAP_`.
#[rustfmt::skip]
const NAMES: [&str; 41] = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities, one bit each, numbered as the kernel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CapSet(pub u64);

/// A capability that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability \"{0}\"")]
pub struct UnknownCapability(pub String);

impl CapSet {
    /// What Docker gives to a container's root.
    pub const DEFAULT: Self = Self(0xa804_25fb);
    /// None at all.
    pub const EMPTY: Self = Self(0);
    /// Those that this code knows.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Docker's default set changed by `--cap-add` and `--cap-drop`, by its rules: `ALL` added gives everything
    /// but what is dropped, `ALL` dropped gives only what is added.
    ///
    /// # Errors
    /// A name that is no capability.
    pub fn tweaked(add: &[String], drop: &[String]) -> Result<Self, UnknownCapability> {
        let (add_all, added) = parse(add)?;
        let (drop_all, dropped) = parse(drop)?;
        Ok(match (add_all, drop_all) {
            (true, _) => Self(Self::ALL.0 & !dropped.0),
            (false, true) => added,
            (false, false) => Self((Self::DEFAULT.0 & !dropped.0) | added.0),
        })
    }

    /// The set of one capability by its name without `CAP_`, for tables.
    pub(crate) const fn of(name: &str) -> Self {
        let mut number = 0;
        while number < NAMES.len() {
            if same(NAMES[number], name) {
                return Self(1 << number);
            }
            number += 1;
        }
        panic!("no such capability")
    }

    /// Both together.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// They have one in common.
    pub(crate) const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

fn parse(names: &[String]) -> Result<(bool, CapSet), UnknownCapability> {
    let mut all = false;
    let mut set = 0;
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if bare == "ALL" {
            all = true;
        } else {
            let number = NAMES.iter().position(|known| *known == bare);
            set |= 1 << number.ok_or_else(|| UnknownCapability(name.clone()))?;
        }
    }
    Ok((all, CapSet(set)))
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// Takes everything but `keep` out of this thread's bounding set: nothing that it executes can have it again.
pub(crate) fn limit_bounding(keep: CapSet) -> rustix::io::Result<()> {
    for number in 0..u64::BITS {
        let single = 1_u64 << number;
        if keep.0 & single != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(single)) {
            Ok(()) => {}
            // Beyond the last capability of this kernel.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives this thread exactly these permitted and effective capabilities; none is inheritable or ambient.
pub(crate) fn set_exactly(set: CapSet) -> rustix::io::Result<()> {
    let available = rustix::thread::capabilities(None)?.permitted;
    let set = CapabilitySet::from_bits_retain(set.0) & available;
    rustix::thread::clear_ambient_capability_set()?;
    let sets = CapabilitySets { effective: set, permitted: set, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_default_set_is_dockers() {
        let named = [
            "CHOWN",
            "DAC_OVERRIDE",
            "FSETID",
            "FOWNER",
            "MKNOD",
            "NET_RAW",
            "SETGID",
            "SETUID",
            "SETFCAP",
            "SETPCAP",
            "NET_BIND_SERVICE",
            "SYS_CHROOT",
            "KILL",
            "AUDIT_WRITE",
        ];
        let union = named.iter().fold(CapSet::EMPTY, |set, name| set.with(CapSet::of(name)));
        assert_eq!(union, CapSet::DEFAULT);
    }

    #[test]
    fn sets_are_tweaked_as_docker_does() {
        let table: &[(&[&str], &[&str], u64)] = &[
            (&[], &[], 0xa804_25fb),
            (&["NET_ADMIN"], &[], 0xa804_25fb | 1 << 12),
            (&["cap_net_admin"], &["CAP_CHOWN"], (0xa804_25fb | 1 << 12) & !1),
            (&[], &["ALL"], 0),
            (&["kill"], &["all"], 1 << 5),
            (&["ALL"], &[], (1 << 41) - 1),
            (&["ALL"], &["CHECKPOINT_RESTORE"], (1 << 40) - 1),
            (&["CHOWN"], &["CHOWN"], 0xa804_25fb),
        ];
        for (add, drop, expected) in table {
            assert_eq!(CapSet::tweaked(&names(add), &names(drop)), Ok(CapSet(*expected)), "{add:?} {drop:?}");
        }
        let unknown = CapSet::tweaked(&names(&["FLY"]), &[]).unwrap_err();
        assert_eq!(unknown.to_string(), "unknown capability \"FLY\"");
    }
}
