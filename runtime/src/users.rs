//! Who a user is, by the bytes of a rootfs's `/etc/passwd` and `/etc/group`.
//!
//! Two rules live side by side, because the field has two: processes ([`lookup_user`]) refuse unknown names and
//! give an unknown number the group 0, file owners ([`owner`]) turn unknown names into 0 and give a number the
//! group of the same number.

/// Larger files are refused: nobody's passwd is that large, and it would be read into memory.
pub const MAX_FILE_SIZE: u64 = 10 << 20;

/// Largest uid or gid that a process can be given.
const MAX_ID: u32 = 2_147_483_647;

/// The ids that a process runs under.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UserIds {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids; the primary one is always among them.
    pub groups: Vec<u32>,
    /// Home directory by the passwd entry of `uid`; `/` without one.
    pub home: String,
}

/// The owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Why a user cannot be determined. The texts are the field's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum UserError {
    /// No such name.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    UnknownUser(String),
    /// No such group.
    #[error("unable to find group {0}: no matching entries in group file")]
    UnknownGroup(String),
    /// An id beyond what Docker's tools accept.
    #[error("uids and gids must be in range 0-2147483647")]
    OutOfRange,
    /// The file is larger than [`MAX_FILE_SIZE`].
    #[error("{0} is larger than 10 MiB")]
    TooLarge(String),
}

struct PasswdEntry<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

struct GroupEntry<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

/// Resolves the user of a process, `""`, `user` or `user:group`, by name or number (spec 6.3).
///
/// `extra_groups` are added to the supplementary groups, by name or number. A missing file is an empty one.
///
/// # Errors
/// Names that the files do not have, ids out of range, files that are too large.
pub fn lookup_user(
    user: &str,
    extra_groups: &[String],
    passwd: Option<&[u8]>,
    group: Option<&[u8]>,
) -> Result<UserIds, UserError> {
    let passwd = checked(passwd, "/etc/passwd")?;
    let group = checked(group, "/etc/group")?;
    let (name, group_name) = user.split_once(':').unwrap_or((user, ""));

    let mut ids = match (direct_id(name), direct_id(group_name)) {
        (Some(uid), Some(gid)) => {
            UserIds { uid: in_range(uid)?, gid: in_range(gid)?, groups: Vec::new(), home: String::new() }
        }
        _ => from_files(name, group_name, passwd, group)?,
    };
    for extra in extra_groups {
        ids.groups.push(group_id(extra, group)?);
    }
    if !ids.groups.contains(&ids.gid) {
        ids.groups.insert(0, ids.gid);
    }
    ids.home = home_of(ids.uid, passwd);
    Ok(ids)
}

/// Resolves an owner as `--chown` and WORKDIR do (spec 3.3): unknown names and missing files give 0, a numeric
/// user has the group of the same number, an explicit group wins.
///
/// # Errors
/// Files that are too large.
pub fn owner(spec: &str, passwd: Option<&[u8]>, group: Option<&[u8]>) -> Result<Owner, UserError> {
    let passwd = checked(passwd, "/etc/passwd")?;
    let group = checked(group, "/etc/group")?;
    let (user, group_name) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    let mut owner = match numeric(user) {
        Some(uid) => Owner { uid, gid: uid },
        None if user == "root" || user.is_empty() => Owner { uid: 0, gid: 0 },
        None => passwd_entries(passwd)
            .find(|entry| entry.name == user.as_bytes())
            .map_or(Owner { uid: 0, gid: 0 }, |entry| Owner { uid: entry.uid, gid: entry.gid }),
    };
    if let Some(name) = group_name.filter(|name| !name.is_empty()) {
        owner.gid = numeric(name).unwrap_or_else(|| {
            group_entries(group).find(|entry| entry.name == name.as_bytes()).map_or(0, |entry| entry.gid)
        });
    }
    Ok(owner)
}

/// Whether [`owner`] has to read the files of the rootfs for `spec`.
#[must_use]
pub fn owner_needs_files(spec: &str) -> bool {
    let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
    [user, group].iter().any(|part| !part.is_empty() && direct_id(part).is_none())
}

fn from_files(name: &str, group_name: &str, passwd: &[u8], group: &[u8]) -> Result<UserIds, UserError> {
    // Numeric strings are never names; an empty name is uid 0.
    let wanted = if name.is_empty() { Some(0) } else { numeric(name) };
    let entry = passwd_entries(passwd).find(|entry| match wanted {
        Some(uid) => entry.uid == uid,
        None => entry.name == name.as_bytes(),
    });
    let (uid, gid) = match (&entry, wanted) {
        (Some(entry), _) => (entry.uid, entry.gid),
        (None, Some(uid)) => (in_range(uid)?, 0),
        (None, None) if looks_numeric(name) => return Err(UserError::OutOfRange),
        (None, None) => return Err(UserError::UnknownUser(name.to_owned())),
    };
    let mut ids = UserIds { uid, gid, groups: Vec::new(), home: String::new() };
    if !group_name.is_empty() {
        ids.gid = group_id(group_name, group)?;
    } else if let Some(entry) = entry {
        ids.groups = group_entries(group)
            .filter(|candidate| {
                candidate.members.split(|byte| *byte == b',').any(|member| member == entry.name)
            })
            .map(|candidate| candidate.gid)
            .collect();
    }
    Ok(ids)
}

fn group_id(name: &str, group: &[u8]) -> Result<u32, UserError> {
    if let Some(gid) = numeric(name) {
        return in_range(gid);
    }
    if looks_numeric(name) {
        return Err(UserError::OutOfRange);
    }
    group_entries(group)
        .find(|entry| entry.name == name.as_bytes())
        .map(|entry| entry.gid)
        .ok_or_else(|| UserError::UnknownGroup(name.to_owned()))
}

fn home_of(uid: u32, passwd: &[u8]) -> String {
    passwd_entries(passwd)
        .find(|entry| entry.uid == uid)
        .map(|entry| String::from_utf8_lossy(entry.home).into_owned())
        .filter(|home| !home.is_empty())
        .unwrap_or_else(|| "/".to_owned())
}

fn checked<'a>(file: Option<&'a [u8]>, name: &str) -> Result<&'a [u8], UserError> {
    let bytes = file.unwrap_or_default();
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(UserError::TooLarge(name.to_owned()));
    }
    Ok(bytes)
}

fn in_range(id: u32) -> Result<u32, UserError> {
    if id <= MAX_ID { Ok(id) } else { Err(UserError::OutOfRange) }
}

/// A number, or the one name that needs no lookup.
fn direct_id(text: &str) -> Option<u32> {
    if text == "root" { Some(0) } else { numeric(text) }
}

fn numeric(text: &str) -> Option<u32> {
    if looks_numeric(text) { text.parse().ok() } else { None }
}

fn looks_numeric(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn passwd_entries(bytes: &[u8]) -> impl Iterator<Item = PasswdEntry<'_>> {
    lines(bytes).filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let uid = number(fields.nth(1)?)?;
        let gid = fields.next().and_then(number).unwrap_or(0);
        let home = fields.nth(1).unwrap_or_default();
        Some(PasswdEntry { name, uid, gid, home })
    })
}

fn group_entries(bytes: &[u8]) -> impl Iterator<Item = GroupEntry<'_>> {
    lines(bytes).filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let gid = number(fields.nth(1)?)?;
        Some(GroupEntry { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

fn number(field: &[u8]) -> Option<u32> {
    numeric(std::str::from_utf8(field).ok()?)
}

#[cfg(test)]
mod tests;
