//! Answering, call by call.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::calls::{self, Kind, Which, Whose};
use super::files::{self, New};
use super::people::{Ids, People, Person};
use super::target::{Eyes, Named, Target};
use crate::sys::notify::{self, Answer, Call};

/// As many groups as the kernel lets a process have.
const MAX_GROUPS: usize = 65536;
const HERE: u64 = libc::AT_FDCWD as u64;

/// One sandbox's processes and who they are.
pub(super) struct Server {
    listener: OwnedFd,
    /// Readable when the sandbox has ended; old kernels do not say so of the listener.
    pidfd: OwnedFd,
    eyes: Eyes,
    people: People,
}

impl Server {
    pub(super) fn new(listener: OwnedFd, pidfd: OwnedFd, eyes: Eyes, people: People) -> Self {
        notify::hurry(listener.as_fd());
        Self { listener, pidfd, eyes, people }
    }

    /// Answers until no process is left that could ask.
    pub(super) fn serve(mut self) {
        loop {
            let mut fds = [&self.listener, &self.pidfd].map(|fd| PollFd::new(fd, PollFlags::IN));
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            if !fds[0].revents().contains(PollFlags::IN) {
                return;
            }
            let Ok(call) = notify::receive(self.listener.as_fd()) else { continue };
            let answer = self.answer(&call).unwrap_or_else(Answer::Error);
            // Who cannot be answered is gone.
            let _ = notify::answer(self.listener.as_fd(), &call, answer);
        }
    }

    fn answer(&mut self, call: &Call) -> Result<Answer, Errno> {
        let Some(kind) = calls::kind(call.number) else { return Ok(Answer::GoOn) };
        let target = Target { thread: call.thread };
        match kind {
            Kind::Stat | Kind::Lstat | Kind::Fstat | Kind::Fstatat | Kind::Statx => {
                // Whatever is wrong with the call, the kernel says it better.
                Ok(self.stat(kind, target, call.arguments).unwrap_or(Answer::GoOn))
            }
            Kind::Chown | Kind::Lchown | Kind::Fchown | Kind::Fchownat => {
                self.chown(kind, target, call.arguments)
            }
            Kind::Open
            | Kind::Openat
            | Kind::Creat
            | Kind::Mkdir
            | Kind::Mkdirat
            | Kind::Mknod
            | Kind::Mknodat
            | Kind::Symlink
            | Kind::Symlinkat => self.make(kind, target, call.arguments),
            Kind::Get(..) | Kind::GetThree(_) | Kind::GetGroups => self.get(kind, target, call.arguments),
            Kind::Set(_) | Kind::SetTwo(_) | Kind::SetThree(_) | Kind::SetGroups | Kind::SetForFiles(_) => {
                self.set(kind, target, call.arguments)
            }
        }
    }

    /// Who a process is. A program of another owner that says so makes it that owner, as long as it runs.
    fn person(&self, target: Target) -> Result<Person, Errno> {
        let mut person = match self.people.one() {
            Some(only) => only.clone(),
            None => self.people.by_badge(target.badge()?).clone(),
        };
        if person.is_privileged() {
            return Ok(person);
        }
        let program = target.set_id_program().filter(|program| person.chosen_by != Some(program.file));
        if let Some(program) = program {
            for (ids, id) in [(&mut person.user, program.uid), (&mut person.group, program.gid)] {
                let Some(id) = id else { continue };
                (ids.effective, ids.saved) = (id, id);
            }
        }
        Ok(person)
    }

    fn stat(&mut self, kind: Kind, target: Target, [a, b, c, d, e, _]: [u64; 6]) -> Result<Answer, Errno> {
        let follows = |flags: u64| flags as i32 & libc::AT_SYMLINK_NOFOLLOW == 0;
        let eyes = &mut self.eyes;
        match kind {
            Kind::Stat | Kind::Lstat => {
                let named = target.named(HERE, a, eyes)?;
                files::stat(&target.reach(&named, kind == Kind::Stat)?, target, b)
            }
            Kind::Fstat => files::stat(&target.reach(&Named::Open(a as u32), true)?, target, b),
            Kind::Fstatat => {
                let named = Self::named_or_open(target, a, b, d, eyes)?;
                files::stat(&target.reach(&named, follows(d))?, target, c)
            }
            _ => {
                let named = Self::named_or_open(target, a, b, c, eyes)?;
                files::statx(&target.reach(&named, follows(c))?, target, d, e)
            }
        }
    }

    /// With `AT_EMPTY_PATH` the file descriptor itself may be meant.
    fn named_or_open(
        target: Target,
        dir: u64,
        path: u64,
        flags: u64,
        eyes: &mut Eyes,
    ) -> Result<Named, Errno> {
        if flags as i32 & libc::AT_EMPTY_PATH == 0 {
            return target.named(dir, path, eyes);
        }
        let path = if path == 0 { c"".to_owned() } else { target.read_path(path)? };
        match (path.is_empty(), dir as i32) {
            (true, libc::AT_FDCWD) => target.named_as(dir, c".".to_owned(), eyes),
            (true, _) => Ok(Named::Open(dir as u32)),
            (false, _) => target.named_as(dir, path, eyes),
        }
    }

    fn chown(&mut self, kind: Kind, target: Target, [a, b, c, d, e, _]: [u64; 6]) -> Result<Answer, Errno> {
        let person = self.person(target)?;
        let eyes = &mut self.eyes;
        let (named, follow, uid, gid) = match kind {
            Kind::Chown => (target.named(HERE, a, eyes), true, b, c),
            Kind::Lchown => (target.named(HERE, a, eyes), false, b, c),
            Kind::Fchown => (Ok(Named::Open(a as u32)), true, b, c),
            _ => {
                let follow = e as i32 & libc::AT_SYMLINK_NOFOLLOW == 0;
                (Self::named_or_open(target, a, b, e, eyes), follow, c, d)
            }
        };
        let named = named?;
        match target.reach(&named, follow) {
            Ok(file) => files::chown(&file, uid as u32, gid as u32, &person),
            // What is behind `/dev/stdout` is a link that only the process itself can follow. It is nobody's file.
            Err(Errno::NOENT) if is_stream(&named) => Ok(Answer::Value(0)),
            Err(error) => Err(error),
        }
    }

    fn make(&mut self, kind: Kind, target: Target, [a, b, c, d, _, _]: [u64; 6]) -> Result<Answer, Errno> {
        let person = self.person(target)?;
        if person.user.effective == 0 && person.group.effective == 0 {
            return Ok(Answer::GoOn);
        }
        let eyes = &mut self.eyes;
        let file = |flags: u64, mode: u64| New::File { flags: flags as i32, mode: mode as u32 };
        let created = (OFlags::WRONLY | OFlags::TRUNC).bits().into();
        let node = |mode: u64, device: u64| New::Node { mode: mode as u32, device };
        let to;
        let (dir, path, new) = match kind {
            Kind::Open => (HERE, a, file(b, c)),
            Kind::Creat => (HERE, a, file(created, b)),
            Kind::Openat => (a, b, file(c, d)),
            Kind::Mkdir => (HERE, a, New::Dir { mode: b as u32 }),
            Kind::Mkdirat => (a, b, New::Dir { mode: c as u32 }),
            Kind::Mknod => (HERE, a, node(b, c)),
            Kind::Mknodat => (a, b, node(c, d)),
            _ => {
                to = target.read_path(a)?;
                let (dir, path) = if kind == Kind::Symlink { (HERE, b) } else { (b, c) };
                (dir, path, New::Link { to: &to })
            }
        };
        let named = target.named(dir, path, eyes)?;
        files::make(&new, &named, target, &person)
    }

    fn get(&self, kind: Kind, target: Target, [a, b, c, ..]: [u64; 6]) -> Result<Answer, Errno> {
        let person = self.person(target)?;
        match kind {
            Kind::Get(whose, which) => {
                let ids = ids(&person, whose);
                let id = if which == Which::Real { ids.real } else { ids.effective };
                Ok(Answer::Value(id.into()))
            }
            Kind::GetThree(whose) => {
                let ids = ids(&person, whose);
                for (address, id) in [a, b, c].into_iter().zip([ids.real, ids.effective, ids.saved]) {
                    target.write(address, &id.to_ne_bytes())?;
                }
                Ok(Answer::Value(0))
            }
            _ => {
                let count = person.groups.len();
                let room = usize::try_from(a as u32).unwrap_or(0);
                if room != 0 && room < count {
                    return Err(Errno::INVAL);
                }
                if room != 0 && count != 0 {
                    let bytes: Vec<u8> = person.groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
                    target.write(b, &bytes)?;
                }
                Ok(Answer::Value(i64::try_from(count).unwrap_or(0)))
            }
        }
    }

    fn set(&mut self, kind: Kind, target: Target, [a, b, c, ..]: [u64; 6]) -> Result<Answer, Errno> {
        let mut person = self.person(target)?;
        let privileged = person.is_privileged();
        let id = |argument: u64| argument as u32;
        match kind {
            Kind::Set(whose) => {
                let ids = ids_mut(&mut person, whose);
                *ids = ids.set(id(a), privileged)?;
            }
            Kind::SetTwo(whose) => {
                let ids = ids_mut(&mut person, whose);
                *ids = ids.set_two(id(a), id(b), privileged)?;
            }
            Kind::SetThree(whose) => {
                let ids = ids_mut(&mut person, whose);
                *ids = ids.set_three([id(a), id(b), id(c)], privileged)?;
            }
            Kind::SetForFiles(whose) => return Ok(Answer::Value(ids(&person, whose).effective.into())),
            _ => {
                let count = usize::try_from(id(a)).unwrap_or(usize::MAX);
                if !privileged {
                    return Err(Errno::PERM);
                }
                if count > MAX_GROUPS {
                    return Err(Errno::INVAL);
                }
                person.groups = target.read_numbers(b, count)?;
            }
        }
        person.chosen_by = target.set_id_program().map(|program| program.file);
        target.wear(self.people.badge_of(person)?)?;
        Ok(Answer::Value(0))
    }
}

fn ids(person: &Person, whose: Whose) -> Ids {
    match whose {
        Whose::Users => person.user,
        Whose::Groups => person.group,
    }
}

fn ids_mut(person: &mut Person, whose: Whose) -> &mut Ids {
    match whose {
        Whose::Users => &mut person.user,
        Whose::Groups => &mut person.group,
    }
}

fn is_stream(named: &Named) -> bool {
    let Named::At(_, path) = named else { return false };
    let beginnings: [&[u8]; 3] = [b"/dev/std", b"/dev/fd/", b"/proc/self/fd/"];
    beginnings.iter().any(|beginning| path.to_bytes().starts_with(beginning))
}
