//! `rbuild run`.

use std::path::Path;

use rbuild_image::registry;
use rbuild_runtime::container::{self, Tmpfs, Volume, VolumeSource};
use rbuild_runtime::sandbox::Network;
use rbuild_runtime::ulimit::Ulimit;

use super::{Environment, pairs};
use crate::args::{PullPolicy, RunArgs};
use crate::exit::{Failure, USAGE};
use crate::format::human;

/// Which image, and how its container is to be.
#[derive(Debug)]
pub(crate) struct RunSettings {
    /// The image: a name, an ID, or the path of an archive.
    pub(crate) image: String,
    /// How to talk to registries.
    pub(crate) registry: registry::Settings,
    /// When one is asked for the image.
    pub(crate) pull: registry::Policy,
    /// For which platform.
    pub(crate) pull_options: registry::PullOptions,
    /// Pulling is shown by a view that moves the cursor.
    pub(crate) live: bool,
    /// How the container differs from what the image says.
    pub(crate) container: container::RunSettings,
}

impl RunSettings {
    /// What the arguments mean in this environment. `here` is the working directory.
    pub(crate) fn new(args: RunArgs, environment: &Environment, here: &Path) -> Result<Self, Failure> {
        let mut words = args.image_and_command.into_iter();
        let image = words.next().ok_or_else(|| Failure::usage("no image"))?;
        if image.starts_with('-') {
            return Err(unknown_flag(&image));
        }
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
        let container = container::RunSettings {
            command: words.collect(),
            entrypoint: args.entrypoint.map(|e| if e.is_empty() { Vec::new() } else { vec![e] }),
            env,
            name: args.name,
            hostname: args.hostname,
            workdir,
            user: args.user,
            extra_groups: args.group_add,
            volumes: args.volume.iter().map(|v| volume(v, here)).collect::<Result<_, _>>()?,
            tmpfs: args.tmpfs.iter().map(|t| tmpfs(t)).collect::<Result<_, _>>()?,
            network: network(&args.network)?,
            init: args.init,
            privileged: args.privileged,
            cap_add: args.cap_add,
            cap_drop: args.cap_drop,
            no_new_privileges: no_new_privileges(&args.security_opt)?,
            read_only: args.read_only,
            shm_size: args.shm_size.as_deref().map(|s| size("--shm-size", s)).transpose()?,
            ulimits: ulimits(&args.ulimit)?,
            interactive: args.interactive,
            tty: args.tty,
            remove: args.rm,
        };
        let pull_options = match args.platform.filter(|text| !text.is_empty()) {
            None => registry::PullOptions::default(),
            Some(text) => registry::PullOptions {
                platform: text
                    .parse()
                    .map_err(|e| Failure::usage(format!("invalid platform {text:?}: {e}")))?,
                exact_platform: true,
            },
        };
        Ok(Self {
            image,
            registry: super::registry(environment)?,
            pull: match args.pull {
                PullPolicy::Missing => registry::Policy::Missing,
                PullPolicy::Always => registry::Policy::Always,
                PullPolicy::Never => registry::Policy::Never,
            },
            pull_options,
            live: environment.live_terminal(),
            container,
        })
    }
}

fn network(mode: &str) -> Result<Network, Failure> {
    match mode {
        "host" | "default" => Ok(Network::Host),
        "none" => Ok(Network::None),
        _ => Err(Failure::usage(format!("network {mode:?} is not supported: host or none"))),
    }
}

pub(super) fn size(flag: &str, text: &str) -> Result<u64, Failure> {
    human::parse_size(text)
        .ok_or_else(|| Failure::usage(format!("invalid argument {text:?} for {flag}: no size")))
}

/// The first word that is none of our flags is the image; so a flag that we do not have would be one.
fn unknown_flag(word: &str) -> Failure {
    let name = word.split('=').next().unwrap_or(word);
    let failure = Failure::usage(format!("unknown flag: {name}"));
    match name {
        "-d" | "--detach" => {
            failure.with_hint("containers run in the foreground; the shell's & puts one aside")
        }
        "-p" | "-P" | "--publish" | "--publish-all" => {
            failure.with_hint("nothing has to be published: containers have the host's network")
        }
        _ => failure.with_hint("rbuild run --help lists them"),
    }
}

/// `--ulimit`.
pub(super) fn ulimits(texts: &[String]) -> Result<Vec<Ulimit>, Failure> {
    let parse = |text: &String| {
        text.parse().map_err(|why| Failure::usage(format!("invalid argument {text:?} for --ulimit: {why}")))
    };
    texts.iter().map(parse).collect()
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

/// `PATH[:OPTIONS]`.
fn tmpfs(text: &str) -> Result<Tmpfs, Failure> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    if !path.starts_with('/') {
        return Err(Failure::usage(format!("--tmpfs {text}: mount path must be absolute")));
    }
    let mut tmpfs = Tmpfs { target: path.to_owned(), size: None, mode: None, readonly: false };
    for option in options.split(',').filter(|o| !o.is_empty()) {
        let wrong = || Failure::usage(format!("--tmpfs {text}: option {option:?} is not supported"));
        match option.split_once('=') {
            Some(("size", value)) => tmpfs.size = Some(size("--tmpfs", value)?),
            Some(("mode", value)) => tmpfs.mode = Some(u32::from_str_radix(value, 8).map_err(|_| wrong())?),
            None if option == "ro" => tmpfs.readonly = true,
            // What every tmpfs of rbuild has anyway.
            None if matches!(option, "rw" | "nosuid" | "nodev") => {}
            _ => return Err(wrong()),
        }
    }
    Ok(tmpfs)
}

/// `CONTAINER`, `HOST:CONTAINER[:OPTIONS]` or `NAME:CONTAINER[:OPTIONS]`.
fn volume(text: &str, here: &Path) -> Result<Volume, Failure> {
    let wrong = |what: &str| Failure::usage(format!("invalid volume specification: '{text}': {what}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => return Err(wrong("HOST:CONTAINER[:ro] is wanted")),
    };
    if !target.starts_with('/') || target == "/" {
        return Err(wrong("the path in the container must be absolute, and not '/'"));
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
    let source = match source {
        None => VolumeSource::Anonymous,
        // As docker: what has no slash at its beginning is the name of a volume, and the dot stands for here.
        Some(path) if path.starts_with(['/', '.']) => VolumeSource::Host(here.join(path)),
        Some("") => return Err(wrong("the source is empty")),
        Some(name) => VolumeSource::Named(name.to_owned()),
    };
    Ok(Volume { source, target: target.to_owned(), readonly })
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
