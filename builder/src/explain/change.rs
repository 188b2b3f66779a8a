//! A difference between two records of a step, and how it reads.

use std::fmt;

use serde::Serialize;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "field")]
pub enum Change {
    /// The file system that the step starts from.
    Parent {
        /// What made it differ.
        because: Culprit,
    },
    /// A variable, of ARG or ENV.
    Variable {
        /// Its name.
        name: String,
        /// Its value before; None if it was not there.
        from: Option<String>,
        /// Its value now; None if it is not there.
        to: Option<String>,
    },
    /// Files that are copied, or shown by a mount.
    Files {
        /// Where they are mounted; None for COPY and ADD.
        mount: Option<String>,
        /// Which; None if the earlier list is not known any more.
        files: Option<FileChanges>,
    },
    /// A mount of a RUN, but for the files that it shows.
    Mount {
        /// What it is of, and where: `cache at /root/.cache`.
        mount: String,
        /// What differs of it, as `--mount` calls it; None if there was no such mount, or is none any more.
        member: Option<String>,
        /// Before; None if it was not there.
        from: Option<String>,
        /// Now; None if it is not there.
        to: Option<String>,
    },
    /// Anything else: the command, a flag, a directory.
    Value {
        /// What it is, as the Dockerfile or the command line calls it.
        name: String,
        /// Before; None if it was not there.
        from: Option<String>,
        /// Now; None if it is not there.
        to: Option<String>,
    },
}

/// What makes a parent differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Culprit {
    /// The base image, or the folder in its place.
    Base {
        /// Before: its name and the beginning of its ID.
        from: String,
        /// Now.
        to: String,
    },
    /// The result of an earlier step of the build.
    Step {
        /// Its number in the build, from 1.
        step: usize,
        /// As written.
        instruction: String,
        /// Its line.
        line: u32,
        /// True if there was no such step before.
        new: bool,
    },
    /// There was one more step before.
    Removed {
        /// As it was written.
        instruction: String,
    },
    /// The earlier build is not known well enough.
    Unknown,
}

/// Which files differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChanges {
    /// How many there are now.
    pub of: usize,
    /// Sorted by path.
    pub changes: Vec<FileChange>,
}

/// One file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
#[expect(missing_docs, reason = "path, and what it was before and is now")]
pub enum FileChange {
    /// Other bytes; the sizes may be the same.
    Content { path: String, from: u64, to: u64 },
    /// Other permissions.
    Mode { path: String, from: u32, to: u32 },
    /// Another owner or group.
    Owner { path: String, from: String, to: String },
    /// Another kind of file.
    Kind { path: String, from: String, to: String },
    /// A symbolic link that leads elsewhere; None where the earlier list does not say whereto.
    Target { path: String, from: Option<String>, to: Option<String> },
    /// An extended attribute; None where there is none of that name.
    Attribute { path: String, name: String, from: Option<String>, to: Option<String> },
    /// A further name of another file; None for a file of its own.
    HardLink { path: String, from: Option<String>, to: Option<String> },
    /// Other numbers of a device.
    Device { path: String, from: String, to: String },
    /// Attributes, hard links or numbers, of which the earlier list does not say more.
    Attributes { path: String },
    /// Another commit of a repository, or another folder of it.
    Commit { path: String, from: String, to: String },
    /// It was not there.
    Added { path: String },
    /// It is gone.
    Removed { path: String },
    /// The same file under another name.
    Renamed { path: String, to: String },
}

impl FileChange {
    /// The file, by its earlier name.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Content { path, .. }
            | Self::Mode { path, .. }
            | Self::Owner { path, .. }
            | Self::Kind { path, .. }
            | Self::Target { path, .. }
            | Self::Attribute { path, .. }
            | Self::HardLink { path, .. }
            | Self::Device { path, .. }
            | Self::Attributes { path }
            | Self::Commit { path, .. }
            | Self::Added { path }
            | Self::Removed { path }
            | Self::Renamed { path, .. } => path,
        }
    }
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content { path, from, to } if from == to => {
                write!(f, "{path}: other content of the same size")
            }
            Self::Content { path, from, to } => write!(f, "{path}: other content, {from} -> {to} bytes"),
            Self::Mode { path, from, to } => write!(f, "{path}: mode {from:04o} -> {to:04o}"),
            Self::Owner { path, from, to } => write!(f, "{path}: owner {from} -> {to}"),
            Self::Kind { path, from, to } => write!(f, "{path}: was {from}, is {to}"),
            Self::Target { path, from: Some(from), to: Some(to) } => {
                write!(f, "{path}: the link leads to {to}, not to {from}")
            }
            Self::Target { path, .. } => write!(f, "{path}: the link leads elsewhere"),
            Self::Attribute { path, name, from, to } => {
                write!(f, "{path}: attribute {name}: {}", ValueChange(from, to))
            }
            Self::HardLink { path, from, to: None } => {
                write!(f, "{path}: no hard link of {} any more", from.as_deref().unwrap_or("another file"))
            }
            Self::HardLink { path, from, to: Some(to) } => {
                write!(f, "{path}: a hard link of {to}, not ")?;
                match from {
                    Some(from) => write!(f, "of {from}"),
                    None => f.write_str("a file of its own"),
                }
            }
            Self::Device { path, from, to } => write!(f, "{path}: device {from} -> {to}"),
            Self::Attributes { path } => write!(f, "{path}: other attributes or hard links"),
            Self::Commit { from, to, .. } => write!(f, "commit {from} -> {to}"),
            Self::Added { path } => write!(f, "{path}: added"),
            Self::Removed { path } => write!(f, "{path}: removed"),
            Self::Renamed { path, to } => write!(f, "{path}: renamed to {to}"),
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base { from, to } => write!(f, "the base is another one: {from} -> {to}"),
            Self::Step { instruction, line, new: true, .. } => {
                write!(f, "line {line} is new: {instruction}")
            }
            Self::Step { instruction, line, .. } => {
                write!(f, "line {line} has another result: {instruction}")
            }
            Self::Removed { instruction } => write!(f, "a step is gone: {instruction}"),
            Self::Unknown => f.write_str("it starts from other files"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parent { because } => because.fmt(f),
            Self::Variable { name, from, to } => write!(f, "variable {name}: {}", ValueChange(from, to)),
            Self::Value { name, from, to } => write!(f, "{name}: {}", ValueChange(from, to)),
            Self::Mount { mount, member: Some(member), from, to } => {
                write!(f, "--mount, {mount}: {member} {}", ValueChange(from, to))
            }
            Self::Mount { mount, member: None, from: None, .. } => write!(f, "--mount is new: {mount}"),
            Self::Mount { mount, member: None, .. } => write!(f, "--mount is gone: {mount}"),
            Self::Files { mount, files } => {
                match mount {
                    Some(target) => write!(f, "files mounted at {target}: ")?,
                    None => f.write_str("files: ")?,
                }
                match files {
                    None => f.write_str("they differ; which they were is not known any more"),
                    Some(files) if files.changes.is_empty() => f.write_str("other sources"),
                    Some(files) => {
                        write!(f, "{} changed, of {}", files.changes.len(), files.of)
                    }
                }
            }
        }
    }
}

struct ValueChange<'a>(&'a Option<String>, &'a Option<String>);

impl fmt::Display for ValueChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (None, Some(to)) => write!(f, "{to:?} was not there"),
            (Some(from), None) => write!(f, "{from:?} is gone"),
            (Some(from), Some(to)) => write!(f, "{from:?} -> {to:?}"),
            (None, None) => f.write_str("unchanged"),
        }
    }
}
