//! `rbuild run`.

use std::path::{Path, PathBuf};

use super::{Environment, pairs};
use crate::args::RunArgs;
use crate::exit::{Failure, USAGE};
use crate::format::human;

/// What a container is to be.
#[derive(Debug)]
pub(crate) struct RunSettings {
    /// The image: a name, an ID, or the path of an archive.
    pub(crate) image: String,
    /// Program and arguments in place of the image's CMD; empty for those of the image.
    pub(crate) command: Vec<String>,
    /// In place of the image's ENTRYPOINT; `Some(None)` for none at all.
    pub(crate) entrypoint: Option<Option<String>>,
    /// Variables beside those of the image, later ones win.
    pub(crate) env: Vec<(String, String)>,
    /// Name of the container.
    pub(crate) name: Option<String>,
    /// Name of the machine.
    pub(crate) hostname: Option<String>,
    /// Loopback only.
    pub(crate) network_none: bool,
    /// Process 1 is rbuild's own init.
    pub(crate) init: bool,
    /// Standard input is handed on.
    pub(crate) interactive: bool,
    /// The program gets a terminal.
    pub(crate) tty: bool,
    /// Everything allowed.
    pub(crate) privileged: bool,
    /// `--cap-add`.
    pub(crate) cap_add: Vec<String>,
    /// `--cap-drop`.
    pub(crate) cap_drop: Vec<String>,
    /// `--security-opt no-new-privileges`.
    pub(crate) no_new_privileges: bool,
    /// Root file system without writes.
    pub(crate) read_only: bool,
    /// The container goes when its program has ended.
    pub(crate) remove: bool,
    /// Bytes of /dev/shm.
    pub(crate) shm_size: Option<u64>,
    /// Paths with a file system in memory: path, bytes.
    pub(crate) tmpfs: Vec<(String, Option<u64>)>,
    /// `user[:group]` in place of the image's.
    pub(crate) user: Option<String>,
    /// `--group-add`.
    pub(crate) extra_groups: Vec<String>,
    /// Working directory in place of the image's.
    pub(crate) workdir: Option<String>,
    /// Files and folders of the host.
    pub(crate) volumes: Vec<Volume>,
}

/// `-v HOST:CONTAINER[:ro]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    /// Absolute path of the host; made as a folder if it is not there.
    pub(crate) source: PathBuf,
    /// Absolute path in the container.
    pub(crate) target: String,
    /// No writes.
    pub(crate) readonly: bool,
}

impl RunSettings {
    /// What the arguments mean in this environment. `here` is the working directory.
    pub(crate) fn new(args: RunArgs, environment: &Environment, here: &Path) -> Result<Self, Failure> {
        let mut words = args.image_and_command.into_iter();
        let image = words.next().ok_or_else(|| Failure::usage("no image"))?;
        let mut env = Vec::new();
        for file in &args.env_file {
            env.extend(env_file(file, environment)?);
        }
        env.extend(pairs::assignments("--env", &args.env, environment)?);
        let workdir = args.workdir.filter(|w| !w.is_empty());
        if let Some(dir) = workdir.as_ref().filter(|d| !d.starts_with('/')) {
            return Err(Failure::usage(format!(
                "the working directory '{dir}' is invalid, it needs to be an absolute path"
            )));
        }
        Ok(Self {
            image,
            command: words.collect(),
            entrypoint: args.entrypoint.map(|e| Some(e).filter(|e| !e.is_empty())),
            env,
            name: args.name.map(name).transpose()?,
            hostname: args.hostname,
            network_none: network(&args.network)?,
            init: args.init,
            interactive: args.interactive,
            tty: args.tty,
            privileged: args.privileged,
            cap_add: args.cap_add,
            cap_drop: args.cap_drop,
            no_new_privileges: no_new_privileges(&args.security_opt)?,
            read_only: args.read_only,
            remove: args.rm,
            shm_size: args.shm_size.as_deref().map(|s| size("--shm-size", s)).transpose()?,
            tmpfs: args.tmpfs.iter().map(|t| tmpfs(t)).collect::<Result<_, _>>()?,
            user: args.user,
            extra_groups: args.group_add,
            workdir,
            volumes: args.volume.iter().map(|v| volume(v, here)).collect::<Result<_, _>>()?,
        })
    }
}

fn network(mode: &str) -> Result<bool, Failure> {
    match mode {
        "host" | "default" => Ok(false),
        "none" => Ok(true),
        _ => Err(Failure::usage(format!("network {mode:?} is not supported: host or none"))),
    }
}

fn size(flag: &str, text: &str) -> Result<u64, Failure> {
    human::parse_size(text)
        .ok_or_else(|| Failure::usage(format!("invalid argument {text:?} for {flag}: no size")))
}

/// Docker's rule for names of containers.
fn name(text: String) -> Result<String, Failure> {
    let mut chars = text.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && text.len() > 1 && chars.all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Ok(text);
    }
    Err(Failure::usage(format!(
        "invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )))
}

fn no_new_privileges(options: &[String]) -> Result<bool, Failure> {
    let mut set = false;
    for option in options {
        match option.as_str() {
            "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => set = true,
            "no-new-privileges:false" | "no-new-privileges=false" => set = false,
            _ => return Err(Failure::usage(format!("--security-opt {option}: not supported"))),
        }
    }
    Ok(set)
}

/// `PATH[:size=N]`.
fn tmpfs(text: &str) -> Result<(String, Option<u64>), Failure> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    if !path.starts_with('/') {
        return Err(Failure::usage(format!("--tmpfs {text}: mount path must be absolute")));
    }
    let mut bytes = None;
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => bytes = Some(size("--tmpfs", value)?),
            // What every tmpfs of rbuild has anyway.
            None if matches!(option, "rw" | "nosuid" | "nodev") => {}
            _ => return Err(Failure::usage(format!("--tmpfs {text}: option {option:?} is not supported"))),
        }
    }
    Ok((path.to_owned(), bytes))
}

fn volume(text: &str, here: &Path) -> Result<Volume, Failure> {
    let wrong = |what: &str| Failure::usage(format!("invalid volume specification: '{text}': {what}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(wrong("HOST:CONTAINER[:ro] is wanted")),
    };
    if !target.starts_with('/') || target == "/" {
        return Err(wrong("the path in the container must be absolute, and not '/'"));
    }
    // docker takes a source without a slash for the name of a volume; rbuild keeps no volumes.
    if !source.starts_with(['/', '.', '~']) {
        return Err(wrong("named volumes are not supported; a folder begins with / or ."));
    }
    let mut readonly = false;
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option {
            "ro" | "readonly" => readonly = true,
            // Labels are for SELinux hosts; where it is off, docker ignores them as well.
            "rw" | "z" | "Z" => {}
            _ => return Err(wrong(&format!("option {option:?} is not supported"))),
        }
    }
    Ok(Volume { source: here.join(source), target: target.to_owned(), readonly })
}

/// Lines `KEY=VALUE` or `KEY`; empty lines and those that begin with `#` are left out (docker's opts.ParseEnvFile).
fn env_file(path: &Path, environment: &Environment) -> Result<Vec<(String, String)>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::new(format!("open {}: {e}", path.display())).with_code(USAGE))?;
    let mut pairs = Vec::new();
    for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(&text).lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').map_or((line, None), |(k, v)| (k, Some(v)));
        if key.is_empty() || key.contains(char::is_whitespace) {
            let place = format!("{}:{}", path.display(), number + 1);
            return Err(Failure::usage(format!("{place}: invalid variable name {key:?}")));
        }
        if let Some(value) = value.map(str::to_owned).or_else(|| environment.value(key)) {
            pairs.push((key.to_owned(), value));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests;
