//! `--chmod` with symbolic modes, as in BSD's chmod(1) with a umask of 0 (spec, appendix C).

/// Text that is not a symbolic mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid syntax")]
pub struct BadMode;

/// A checked symbolic mode: `u=rwX,go-w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolicMode(Vec<Clause>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    /// The classes named; all of them if none is.
    who: u32,
    actions: Vec<(Operator, Vec<Permission>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Permission {
    /// Bits of one class: 4, 2 or 1.
    Bits(u32),
    /// `X`
    ExecuteIfAny,
    /// `s`
    SetId,
    /// `t`
    Sticky,
    /// The bits of another class, by its shift.
    CopyOf(u32),
}

const USER: u32 = 0o700;
const GROUP: u32 = 0o070;
const OTHER: u32 = 0o007;
const ALL: u32 = 0o777;

impl SymbolicMode {
    /// Checks and compiles `text`.
    pub fn parse(text: &str) -> Result<Self, BadMode> {
        text.split(',').map(clause).collect::<Result<_, _>>().map(Self)
    }

    /// The mode (permission, set-ID and sticky bits) that an entry with `mode` gets.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        self.0.iter().fold(mode & 0o7777, |mode, clause| clause.apply(mode, is_dir))
    }
}

fn clause(text: &str) -> Result<Clause, BadMode> {
    let mut chars = text.chars().peekable();
    let mut who = 0;
    while let Some(class) = chars.peek().and_then(|c| class(*c)) {
        who |= class;
        chars.next();
    }
    let mut actions: Vec<(Operator, Vec<Permission>)> = Vec::new();
    for c in chars {
        let operator = match c {
            '+' => Some(Operator::Add),
            '-' => Some(Operator::Remove),
            '=' => Some(Operator::Set),
            _ => None,
        };
        match (operator, actions.last_mut()) {
            (Some(operator), _) => actions.push((operator, Vec::new())),
            (None, Some((_, permissions))) => permissions.push(permission(c).ok_or(BadMode)?),
            (None, None) => return Err(BadMode),
        }
    }
    if actions.is_empty() {
        return Err(BadMode);
    }
    Ok(Clause { who: if who == 0 { ALL } else { who }, actions })
}

fn class(c: char) -> Option<u32> {
    match c {
        'u' => Some(USER),
        'g' => Some(GROUP),
        'o' => Some(OTHER),
        'a' => Some(ALL),
        _ => None,
    }
}

fn permission(c: char) -> Option<Permission> {
    Some(match c {
        'r' => Permission::Bits(4),
        'w' => Permission::Bits(2),
        'x' => Permission::Bits(1),
        'X' => Permission::ExecuteIfAny,
        's' => Permission::SetId,
        't' => Permission::Sticky,
        'u' => Permission::CopyOf(6),
        'g' => Permission::CopyOf(3),
        'o' => Permission::CopyOf(0),
        _ => return None,
    })
}

impl Clause {
    fn apply(&self, before: u32, is_dir: bool) -> u32 {
        let mut mode = before;
        let mut cleared = false;
        for (operator, permissions) in &self.actions {
            if *operator == Operator::Set && !cleared {
                mode &= !(self.who | self.special());
                cleared = true;
            }
            for permission in permissions {
                let bits = self.bits(*permission, *operator, before, mode, is_dir);
                mode = if *operator == Operator::Remove { mode & !bits } else { mode | bits };
            }
        }
        mode
    }

    /// The set-ID and sticky bits that belong to the selected classes.
    fn special(&self) -> u32 {
        let set_user = if self.who & USER != 0 { 0o4000 } else { 0 };
        let set_group = if self.who & GROUP != 0 { 0o2000 } else { 0 };
        let sticky = if self.who == ALL { 0o1000 } else { 0 };
        set_user | set_group | sticky
    }

    fn bits(&self, permission: Permission, operator: Operator, before: u32, now: u32, is_dir: bool) -> u32 {
        let each_class = |bits: u32| (bits << 6 | bits << 3 | bits) & self.who;
        match permission {
            Permission::Bits(bits) => each_class(bits),
            Permission::ExecuteIfAny if is_dir || before & 0o111 != 0 || operator == Operator::Remove => {
                each_class(1)
            }
            Permission::ExecuteIfAny => 0,
            Permission::SetId => self.special() & 0o6000,
            Permission::Sticky if self.who == OTHER => 0,
            Permission::Sticky => 0o1000,
            Permission::CopyOf(shift) => {
                let source = if operator == Operator::Set { before } else { now };
                each_class(source >> shift & 7)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies() {
        for (text, mode, is_dir, expected) in [
            ("u=rw,g=r,o=r", 0o777, false, 0o644),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o744, false, 0o755),
            ("a+X", 0o644, true, 0o755),
            ("u=rwX,go-w", 0o666, true, 0o744),
            ("go-w", 0o777, false, 0o755),
            ("+x", 0o644, false, 0o755),
            ("=", 0o777, false, 0),
            ("u+s", 0o755, false, 0o4755),
            ("g+s", 0o755, false, 0o2755),
            ("o+s", 0o755, false, 0o755),
            ("ug-s", 0o6755, false, 0o755),
            ("+t", 0o755, true, 0o1755),
            ("o+t", 0o755, true, 0o755),
            ("g=u", 0o740, false, 0o770),
            ("o+g", 0o750, false, 0o755),
            ("u-g", 0o750, false, 0o250),
            ("u=r+w-r", 0o700, false, 0o200),
            ("a-X", 0o644, false, 0o644),
        ] {
            let result = SymbolicMode::parse(text).unwrap().apply(mode, is_dir);
            assert_eq!(result, expected, "{text} on {mode:o}: {result:o}");
        }
    }

    #[test]
    fn rejects() {
        for text in ["", "u", "rwx", "u=q", "u+x,", ",u+x", "u~x", "755", "a"] {
            assert_eq!(SymbolicMode::parse(text), Err(BadMode), "{text}");
        }
    }
}
