//! `RUN --mount`: fields to a mount with all defaults filled in (spec 3.2).
//!
//! Fields are read from left to right, and some are checked against the type that was seen so far.

use super::options::{PlanError, fail};
use super::types::{Mount, MountKind, Root, Sharing};
use crate::go::{parse_bool, quote};
use crate::instruction::Field;
use crate::paths::{clean, join};
use crate::suggest::with_suggestion;

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const KEYS: [&str; 18] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "env",
];

/// What the fields say.
#[derive(Debug, Default)]
struct Parsed {
    kind: String,
    from: String,
    source: String,
    target: String,
    id: String,
    readonly: Option<bool>,
    required: bool,
    size: Option<u64>,
    sharing: Option<Sharing>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    env: Option<String>,
}

/// What a mount needs to know about its RUN.
pub(super) struct Scene<'s> {
    pub(super) workdir: &'s str,
    /// How many ssh mounts the RUN has so far.
    pub(super) ssh_mounts: usize,
}

/// Reads one mount, whose values are expanded. `root` gives the files of a stage, context or image.
pub(super) fn mount(
    fields: &[Field],
    scene: &Scene<'_>,
    root: &mut dyn FnMut(&str, &str) -> Result<Root, PlanError>,
) -> Result<Mount, PlanError> {
    let mut parsed = Parsed { kind: "bind".to_owned(), ..Parsed::default() };
    for field in fields {
        parsed.field(field)?;
    }
    parsed.check()?;
    parsed.build(scene, root)
}

impl Parsed {
    fn field(&mut self, field: &Field) -> Result<(), PlanError> {
        let key = field.key.as_str();
        let Some(value) = field.value.clone() else { return self.bare(field) };
        match key {
            "type" if TYPES.contains(&&*value) => self.kind = value,
            "type" => {
                let message = format!("unsupported mount type {}", quote(&value));
                return fail(with_suggestion(message, &value, TYPES, true));
            }
            "from" => self.from = value,
            "source" | "src" => self.source = value,
            "target" | "dst" | "destination" => self.target = value,
            "readonly" | "ro" => self.readonly = Some(flag(key, &value)?),
            "readwrite" | "rw" => self.readonly = Some(!flag(key, &value)?),
            "required" => {
                self.only_for(key, &["secret", "ssh"])?;
                self.required = flag(key, &value)?;
            }
            "size" => {
                self.only_for(key, &["tmpfs"])?;
                let size = bytes(&value);
                self.size =
                    Some(size.ok_or_else(|| PlanError::new(format!("invalid value for size: {value}")))?);
            }
            "id" => self.id = value,
            "sharing" => self.sharing = Some(sharing(&value)?),
            "mode" => self.mode = Some(number(key, &value, 8)?),
            "uid" => self.uid = Some(number(key, &value, 10)?),
            "gid" => self.gid = Some(number(key, &value, 10)?),
            "env" => self.env = Some(value),
            _ => {
                let message = format!("unexpected key '{key}' in '{}'", field.text);
                return fail(with_suggestion(message, key, KEYS, true));
            }
        }
        Ok(())
    }

    /// A key without a value.
    fn bare(&mut self, field: &Field) -> Result<(), PlanError> {
        match field.key.as_str() {
            "readonly" | "ro" => self.readonly = Some(true),
            "readwrite" | "rw" => self.readonly = Some(false),
            "required" => {
                self.only_for("required", &["secret", "ssh"])?;
                self.required = true;
            }
            _ => return fail(format!("invalid field '{}' must be a key=value pair", field.text)),
        }
        Ok(())
    }

    fn only_for(&self, key: &str, kinds: &[&str]) -> Result<(), PlanError> {
        if kinds.contains(&self.kind.as_str()) {
            return Ok(());
        }
        fail(format!("unexpected key '{key}' for mount type '{}'", self.kind))
    }

    /// What can only be said when all fields are known.
    fn check(&self) -> Result<(), PlanError> {
        let kind = self.kind.as_str();
        if matches!(kind, "bind" | "tmpfs") {
            for (key, given) in [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)] {
                if given.is_some() {
                    return fail(format!("{key} not allowed for {} type mounts", quote(kind)));
                }
            }
        }
        if kind == "secret" {
            if !self.from.is_empty() {
                return fail("secret mount should not have a from");
            }
            if self.sharing.is_some() {
                return fail("secret mount should not define sharing");
            }
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                return fail("invalid secret mount. one of source, target required");
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                return fail("both source and id can't be set");
            }
        } else if self.sharing.is_some() && kind != "cache" {
            return fail(format!("invalid cache sharing set for {kind} mount"));
        }
        if kind == "ssh" && !self.source.is_empty() {
            return fail("ssh does not support source");
        }
        Ok(())
    }

    fn build(
        self,
        scene: &Scene<'_>,
        root: &mut dyn FnMut(&str, &str) -> Result<Root, PlanError>,
    ) -> Result<Mount, PlanError> {
        match self.kind.as_str() {
            "secret" => self.secret(scene),
            "ssh" => self.ssh(scene),
            _ => {
                let target = Some(place(&self.target, scene.workdir)?);
                let from = match self.from.as_str() {
                    "" => None,
                    from => Some(root(from, &self.target)?),
                };
                let kind = match self.kind.as_str() {
                    "tmpfs" => MountKind::Tmpfs { size: self.size },
                    "cache" => self.cache(from),
                    _ => MountKind::Bind {
                        from: from.unwrap_or(Root::MainContext),
                        source: join("/", &self.source),
                        writable: self.readonly == Some(false),
                    },
                };
                Ok(Mount { target, kind })
            }
        }
    }

    fn cache(self, from: Option<Root>) -> MountKind {
        let owned = self.mode.is_some() || self.uid.is_some() || self.gid.is_some();
        let source = join("/", &self.source);
        MountKind::Cache {
            id: if self.id.is_empty() { clean(&self.target) } else { self.id },
            sharing: self.sharing.unwrap_or(Sharing::Shared),
            source: if from.is_some() { "/".to_owned() } else { source.clone() },
            readonly: self.readonly.unwrap_or(false),
            owner: (owned && source == "/")
                .then(|| (self.uid.unwrap_or(0), self.gid.unwrap_or(0), self.mode.unwrap_or(0o755))),
            from: from.map(|root| (root, source)),
        }
    }

    fn secret(self, scene: &Scene<'_>) -> Result<Mount, PlanError> {
        let base = |path: &str| clean(path).rsplit('/').next().unwrap_or("").to_owned();
        let id = match (self.source.as_str(), self.id.as_str()) {
            ("", "") => base(&self.target),
            ("", id) => id.to_owned(),
            (source, _) => source.to_owned(),
        };
        let target = match (self.target.as_str(), &self.env) {
            ("", Some(_)) => None,
            ("", None) => Some(format!("/run/secrets/{}", base(&id))),
            (target, _) => Some(place(target, scene.workdir)?),
        };
        let kind = MountKind::Secret {
            id,
            env: self.env,
            required: self.required,
            mode: self.mode.unwrap_or(0o400),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        };
        Ok(Mount { target, kind })
    }

    fn ssh(self, scene: &Scene<'_>) -> Result<Mount, PlanError> {
        let target = match self.target.as_str() {
            "" => format!("/run/buildkit/ssh_agent.{}", scene.ssh_mounts),
            target => place(target, scene.workdir)?,
        };
        let kind = MountKind::Ssh {
            id: if self.id.is_empty() { "default".to_owned() } else { self.id },
            required: self.required,
            mode: self.mode.unwrap_or(0o600),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        };
        Ok(Mount { target: Some(target), kind })
    }
}

/// The absolute target; the root itself cannot be one.
fn place(target: &str, workdir: &str) -> Result<String, PlanError> {
    let cleaned = clean(target);
    let absolute = if cleaned.starts_with('/') { cleaned } else { join("/", &format!("{workdir}/{target}")) };
    if absolute == "/" {
        return fail(format!("invalid mount target {}", quote(&absolute)));
    }
    Ok(absolute)
}

fn flag(key: &str, value: &str) -> Result<bool, PlanError> {
    parse_bool(value).ok_or_else(|| PlanError::new(format!("invalid value for {key}: {value}")))
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32, PlanError> {
    let digits = !value.starts_with('+');
    let number = u32::from_str_radix(value, radix).ok().filter(|_| digits);
    number.ok_or_else(|| PlanError::new(format!("invalid value {value} for {key}")))
}

fn sharing(value: &str) -> Result<Sharing, PlanError> {
    match value {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => {
            let message = format!("unsupported sharing value {}", quote(value));
            fail(with_suggestion(message, value, ["shared", "private", "locked"], true))
        }
    }
}

/// A number of bytes with an optional binary suffix: `128m`, `1.5GiB`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a negative size does not parse, and one above 2^64 saturates"
)]
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let suffix = suffix.trim_start().to_lowercase();
    let unit = suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix);
    let shift = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit)?;
    Some((number * 1024_f64.powi(i32::try_from(shift).ok()?)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("128m", Some(128 << 20)),
            ("10", Some(10)),
            ("1.5KiB", Some(1536)),
            ("2 GB", Some(2 << 30)),
            ("b", None),
            ("1x", None),
            ("-1", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
