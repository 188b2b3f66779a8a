//! Whom processes believe to be, and how they become somebody else: the rules of `credentials(7)`.

use std::collections::HashMap;

use rustix::io::Errno;

/// What a process says who it is. The kernel knows better: it is root of a user namespace with one id.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Person {
    pub(crate) user: Ids,
    pub(crate) group: Ids,
    /// Supplementary groups.
    pub(crate) groups: Vec<u32>,
    /// The program with setuid that chose these ids, by its file: it is not its owner any more.
    pub(crate) chosen_by: Option<u64>,
}

/// The three ids that a process has of users, and the three of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ids {
    pub(crate) real: u32,
    pub(crate) effective: u32,
    pub(crate) saved: u32,
}

/// "As it is", in calls that set several ids.
const SAME: u32 = u32::MAX;

impl Ids {
    pub(crate) const fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id }
    }

    /// `setuid`, `setgid`.
    pub(crate) fn set(self, id: u32, privileged: bool) -> Result<Self, Errno> {
        match id {
            SAME => Err(Errno::INVAL),
            _ if privileged => Ok(Self::all(id)),
            _ if id == self.real || id == self.saved => Ok(Self { effective: id, ..self }),
            _ => Err(Errno::PERM),
        }
    }

    /// `setreuid`, `setregid`.
    pub(crate) fn set_two(self, real: u32, effective: u32, privileged: bool) -> Result<Self, Errno> {
        let may = |id: u32, among: &[u32]| id == SAME || privileged || among.contains(&id);
        if !may(real, &[self.real, self.effective])
            || !may(effective, &[self.real, self.effective, self.saved])
        {
            return Err(Errno::PERM);
        }
        let mut new = Self { real: or(real, self.real), effective: or(effective, self.effective), ..self };
        if real != SAME || (effective != SAME && effective != self.real) {
            new.saved = new.effective;
        }
        Ok(new)
    }

    /// `setresuid`, `setresgid`.
    pub(crate) fn set_three(self, wanted: [u32; 3], privileged: bool) -> Result<Self, Errno> {
        let mine = [self.real, self.effective, self.saved];
        if !wanted.iter().all(|id| *id == SAME || privileged || mine.contains(id)) {
            return Err(Errno::PERM);
        }
        let [real, effective, saved] = wanted;
        let (real, effective) = (or(real, self.real), or(effective, self.effective));
        Ok(Self { real, effective, saved: or(saved, self.saved) })
    }
}

fn or(wanted: u32, old: u32) -> u32 {
    if wanted == SAME { old } else { wanted }
}

impl Person {
    /// May do what only root may.
    pub(crate) fn is_privileged(&self) -> bool {
        self.user.effective == 0
    }

    pub(crate) fn is_in_group(&self, group: u32) -> bool {
        self.group.effective == group || self.groups.contains(&group)
    }
}

/// Something that a process hands down to its children and keeps when it executes a program, and that nothing else
/// means anything by: see [`super::target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Badge(pub(super) u16);

/// Badges have so many bits.
const BADGES: u16 = 1 << 9;

/// Who wears which badge.
pub(super) struct People {
    by_badge: HashMap<Badge, Person>,
    first: Badge,
    next: u16,
}

impl People {
    /// `first` is the badge that processes wear which have never changed who they are.
    pub(super) fn new(first: Badge, person: Person) -> Self {
        Self { by_badge: HashMap::from([(first, person)]), first, next: 0 }
    }

    /// Whether everybody is still who they were at the beginning; then nobody's badge has to be looked at.
    pub(super) fn one(&self) -> Option<&Person> {
        (self.by_badge.len() == 1).then(|| &self.by_badge[&self.first])
    }

    /// Who wears this badge.
    pub(super) fn by_badge(&self, badge: Badge) -> &Person {
        self.by_badge.get(&badge).unwrap_or(&self.by_badge[&self.first])
    }

    /// The badge of this person, who may be new.
    ///
    /// # Errors
    /// There were more than 500 before.
    pub(super) fn badge_of(&mut self, person: Person) -> Result<Badge, Errno> {
        if let Some((badge, _)) = self.by_badge.iter().find(|(_, known)| **known == person) {
            return Ok(*badge);
        }
        let badge = (self.next..BADGES).map(Badge).find(|badge| !self.by_badge.contains_key(badge));
        let badge = badge.ok_or(Errno::AGAIN)?;
        self.next = badge.0 + 1;
        self.by_badge.insert(badge, person);
        Ok(badge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_becomes_anybody_and_nobody_comes_back() {
        let root = Ids::all(0);
        assert_eq!(root.set(7, true), Ok(Ids::all(7)));
        assert_eq!(Ids::all(7).set(0, false), Err(Errno::PERM));
        assert_eq!(Ids::all(7).set(7, false), Ok(Ids::all(7)));
        assert_eq!(root.set(SAME, true), Err(Errno::INVAL));
        assert_eq!(Ids::all(7).set_three([SAME, 0, SAME], false), Err(Errno::PERM));
        assert_eq!(Ids::all(7).set_two(7, 0, false), Err(Errno::PERM));
    }

    #[test]
    fn the_saved_id_is_the_way_back() {
        let for_a_while = Ids::all(0).set_three([SAME, 7, SAME], true).unwrap();
        assert_eq!(for_a_while, Ids { real: 0, effective: 7, saved: 0 });
        assert_eq!(for_a_while.set(0, false), Ok(Ids::all(0)));
        let swapped = Ids { real: 7, effective: 0, saved: 0 }.set_two(0, 7, true).unwrap();
        assert_eq!(swapped, Ids { real: 0, effective: 7, saved: 7 });
        assert_eq!(Ids::all(0).set_two(SAME, 0, true), Ok(Ids::all(0)));
    }

    #[test]
    fn the_same_person_has_the_same_badge() {
        let person =
            |id| Person { user: Ids::all(id), group: Ids::all(id), groups: vec![id], chosen_by: None };
        let mut people = People::new(Badge(0x33), person(0));
        assert_eq!(people.badge_of(person(0)), Ok(Badge(0x33)));
        assert_eq!(people.one(), Some(&person(0)));
        let seven = people.badge_of(person(7)).unwrap();
        assert_eq!(people.badge_of(person(7)), Ok(seven));
        assert_eq!(people.by_badge(seven), &person(7));
        assert_eq!(people.one(), None);
        let mut made = 0;
        while people.badge_of(person(1000 + made)).is_ok() {
            made += 1;
        }
        assert_eq!(made, 510);
    }
}
