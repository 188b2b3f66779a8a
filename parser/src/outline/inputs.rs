//! What a target takes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Location, description};
use crate::expand::{Budget, Expander, Lookup};
use crate::instruction::{Arg, Dockerfile, Field, Instruction, Kind, Mount, Stage};
use crate::plan::Options;
use crate::source::LineRange;
use crate::suggest::with_suggestion;

/// `--call outline`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outline {
    /// Name of the target; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What the comment above it says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Build arguments in file order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<ArgInput>,
    /// Secrets in file order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretInput>,
    /// SSH agents in file order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<SecretInput>,
    /// Caches in file order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache: Vec<CacheInput>,
}

/// A build argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArgInput {
    /// Its name.
    pub name: String,
    /// What the comment above its ARG says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The value that it would have in this build.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Its ARG.
    pub location: Location,
}

/// A secret or an SSH agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretInput {
    /// Its ID.
    pub name: String,
    /// Whether the build fails without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The RUN that wants it.
    pub location: Location,
}

/// A cache mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CacheInput {
    /// `id=`, else its path.
    #[serde(rename = "ID")]
    pub id: String,
    /// The RUN that mounts it.
    pub location: Location,
}

/// Finds what the target takes, in all stages that it needs: the arguments that they declare, and those before the
/// first FROM that FROM lines use. Values are expanded as far as arguments alone can tell.
///
/// # Errors
/// There is no such target.
pub fn outline(file: &Dockerfile, options: &Options) -> Result<Outline, String> {
    let target = find_target(file, options.target.as_deref())?;
    let stage = &file.stages[target];
    let name = stage.from.kind.name.as_ref().map(|name| name.lower.clone()).unwrap_or_default();
    let needed = needed(file, target);
    let mut collector = Collector {
        file,
        options,
        values: Values::default(),
        budget: Budget::default(),
        out: Outline::default(),
        seen: BTreeSet::new(),
    };
    collector.globals(&needed);
    let globals = collector.values.clone();
    for index in needed {
        collector.values = globals.clone();
        collector.stage(&file.stages[index]);
    }
    let description = description(&stage.from.comments, &name);
    Ok(Outline { description, name: name.into(), ..collector.out })
}

fn find_target(file: &Dockerfile, wanted: Option<&str>) -> Result<usize, String> {
    let last = file.stages.len().checked_sub(1).ok_or("dockerfile contains no stages to build")?;
    let Some(wanted) = wanted else { return Ok(last) };
    let name = |stage: &Stage| stage.from.kind.name.as_ref().map(|name| name.lower.to_string());
    let by_name =
        file.stages.iter().rposition(|stage| name(stage).is_some_and(|name| name == wanted.to_lowercase()));
    let by_number = || wanted.parse().ok().filter(|index| *index <= last);
    by_name.or_else(by_number).ok_or_else(|| {
        let names: Vec<String> = file.stages.iter().filter_map(name).collect();
        let message = format!("target stage {} could not be found", crate::go::quote(wanted));
        with_suggestion(message, wanted, names.iter().map(String::as_str), true)
    })
}

/// The target and the stages that it takes something from, in file order.
fn needed(file: &Dockerfile, target: usize) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    let mut todo = vec![target];
    while let Some(index) = todo.pop() {
        if !needed.insert(index) {
            continue;
        }
        let stage = &file.stages[index];
        let mut names = vec![(stage.from.kind.image.value.as_str(), false)];
        for instruction in &stage.instructions {
            match &instruction.kind {
                Kind::Copy(copy) => names.extend(copy.from.iter().map(|from| (from.value.as_str(), true))),
                Kind::Run(run) => {
                    let fields = run.mounts.iter().flat_map(|mount| &mount.fields);
                    let from = fields.filter(|field| field.key == "from");
                    names.extend(from.filter_map(|field| Some((field.value.as_deref()?, true))));
                }
                _ => {}
            }
        }
        for (name, numbers) in names {
            let name = name.to_lowercase();
            let is = |stage: &Stage| stage.from.kind.name.as_ref().is_some_and(|own| own.lower == name);
            let number = || name.parse().ok().filter(|number| numbers && *number < index);
            todo.extend(file.stages[..index].iter().rposition(is).or_else(number));
        }
    }
    needed
}

/// Variables that have a value.
#[derive(Debug, Clone, Default)]
struct Values(BTreeMap<String, String>);

impl Lookup for Values {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

struct Collector<'f> {
    file: &'f Dockerfile,
    options: &'f Options,
    values: Values,
    budget: Budget,
    out: Outline,
    seen: BTreeSet<(&'static str, String)>,
}

impl Collector<'_> {
    fn is_new(&mut self, kind: &'static str, name: &str) -> bool {
        self.seen.insert((kind, name.to_owned()))
    }

    fn expand(&self, text: &str) -> String {
        let expanded = Expander::new(&self.values, self.file.escape.char()).within(&self.budget).word(text);
        expanded.map_or_else(|_| text.to_owned(), |expanded| expanded.value)
    }

    /// Arguments before the first FROM count if a FROM of a needed stage, or an argument that does, uses them.
    fn globals(&mut self, needed: &BTreeSet<usize>) {
        let file = self.file;
        for arg in &file.global_args {
            self.declare(arg, &arg.kind, true);
        }
        let mut texts: Vec<&str> = Vec::new();
        for index in needed {
            let from = &file.stages[*index].from.kind;
            texts.push(&from.image.value);
            texts.extend(from.platform.iter().map(|platform| platform.value.as_str()));
        }
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for arg in file.global_args.iter().rev() {
            for declaration in arg.kind.declarations.iter().rev() {
                let name = declaration.name.as_str();
                if texts.iter().any(|text| mentions(text, name)) {
                    used.insert(name);
                    texts.extend(declaration.default.iter().map(|default| default.value.as_str()));
                }
            }
        }
        self.out.args.retain(|arg| used.contains(arg.name.as_str()));
        self.seen.retain(|(_, name)| used.contains(name.as_str()));
    }

    fn stage(&mut self, stage: &Stage) {
        let globals = std::mem::take(&mut self.values);
        for instruction in &stage.instructions {
            match &instruction.kind {
                Kind::Arg(arg) => {
                    for declaration in &arg.declarations {
                        // Without a default of its own, it has that of the global one.
                        let inherited = globals.0.get(declaration.name.as_str()).cloned();
                        if let (None, Some(value)) = (&declaration.default, inherited) {
                            self.values.0.insert(declaration.name.value.to_string(), value);
                        }
                    }
                    self.declare(instruction, arg, false);
                }
                Kind::Env(env) => {
                    for pair in &env.pairs {
                        let value = self.expand(pair.value.as_str());
                        self.values.0.insert(pair.name.value.to_string(), value);
                    }
                }
                Kind::Run(run) => run.mounts.iter().for_each(|mount| self.mount(mount, instruction.lines)),
                _ => {}
            }
        }
    }

    fn declare<K>(&mut self, instruction: &Instruction<K>, arg: &Arg, global: bool) {
        for declaration in &arg.declarations {
            let name = declaration.name.as_str();
            let given = self.options.build_args.get(name).cloned();
            let value = given.or_else(|| Some(self.expand(declaration.default.as_ref()?.as_str())));
            if let Some(value) = &value {
                self.values.0.insert(name.to_owned(), value.clone());
            }
            if self.is_new("arg", name) {
                let own = self.values.0.get(name).cloned().unwrap_or_default();
                self.out.args.push(ArgInput {
                    name: name.to_owned(),
                    description: description(&instruction.comments, name),
                    value: if global { value.unwrap_or_default() } else { own },
                    location: instruction.lines.into(),
                });
            }
        }
    }

    fn mount(&mut self, mount: &Mount, lines: LineRange) {
        let field = |names: &[&str]| {
            let named = |field: &&Field| names.contains(&field.key.as_str());
            mount.fields.iter().rev().find(named)
        };
        let value = |names: &[&str]| {
            field(names).and_then(|field| field.value.clone()).map(|text| self.expand(&text))
        };
        let target = value(&["target", "dst", "destination"]);
        let id = value(&["id"]);
        let required =
            field(&["required"]).is_some_and(|field| field.value.as_deref().is_none_or(|v| v == "true"));
        let location = Location::from(lines);
        match value(&["type"]).as_deref() {
            Some("secret") => {
                let file = value(&["source", "src"]).or(target);
                let name = id.or(file).map(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
                if let Some(name) = name.filter(|name| self.is_new("secret", name)) {
                    self.out.secrets.push(SecretInput { name, required, location });
                }
            }
            Some("ssh") => {
                let name = id.unwrap_or_else(|| "default".to_owned());
                if self.is_new("ssh", &name) {
                    self.out.ssh.push(SecretInput { name, required, location });
                }
            }
            Some("cache") => {
                if let Some(id) = id.or(target).filter(|id| self.is_new("cache", id)) {
                    self.out.cache.push(CacheInput { id, location });
                }
            }
            _ => {}
        }
    }
}

/// Whether a word has `$name` or `${name`.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = &text[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        rest.strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric()))
    })
}
