//! What modes the files of a folder are taken to have.
//!
//! A checkout has the modes that somebody's umask made: 0644 here, 0664 there, 0600 on a careful machine. git itself
//! keeps one bit, whether a file can be executed. Looking at files as git does makes keys and layers the same for
//! everybody who has the same commit.

use super::meta::{Kind, Meta};

/// How permissions of a folder's files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Permissions {
    /// As the file system has them, like docker.
    #[default]
    AsFound,
    /// As git would check them out under umask 022: 0755 for directories and for what its owner can execute, 0644
    /// for everything else. Never setuid, setgid or sticky.
    Git,
}

impl Permissions {
    /// The mode that an entry counts with.
    pub(super) fn mode(self, meta: &Meta) -> u32 {
        match self {
            Self::AsFound => meta.mode,
            Self::Git if meta.kind == Kind::Dir || meta.mode & 0o100 != 0 => 0o755,
            Self::Git => 0o644,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Meta, Permissions};

    #[test]
    fn git_knows_two_modes_of_files_and_one_of_directories() {
        let seen = |kind, mode| Permissions::Git.mode(&Meta { kind, mode, ..Meta::of_nothing() });
        for (mode, expected) in
            [(0o600, 0o644), (0o664, 0o644), (0o700, 0o755), (0o4755, 0o755), (0o011, 0o644)]
        {
            assert_eq!(seen(Kind::File, mode), expected, "{mode:o}");
        }
        assert_eq!((seen(Kind::Dir, 0o700), seen(Kind::Dir, 0o1777)), (0o755, 0o755));
        let found = Meta { mode: 0o4751, ..Meta::of_nothing() };
        assert_eq!(Permissions::AsFound.mode(&found), 0o4751);
    }
}
