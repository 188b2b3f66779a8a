//! `rbuild build`.

mod rights;

use std::path::PathBuf;

use rbuild_builder::cache_mount::Locked;
use rbuild_builder::fetch::git::is_git_url;
use rbuild_builder::lock::{Lock, Mode};
use rbuild_builder::room::Rule;
use rbuild_image::daemon::Address;
use rbuild_image::registry;
use rbuild_runtime::ulimit::Ulimit;

pub(crate) use self::rights::{Entitlements, Network, SshAgent};
use super::run::{size, ulimits};
use super::{
    CachePlace, CacheTo, Config, Environment, OutputFormat, OutputSettings, OutputTarget, ProgressMode,
    cache, pairs, progress,
};
use crate::args::{BuildArgs, CheckFormat, Method, Perm, PrintForm};
use crate::exit::Failure;

/// What a build is to do.
#[derive(Debug)]
pub(crate) struct BuildSettings {
    /// Where the files come from.
    pub(crate) context: ContextSource,
    /// Where the Dockerfile comes from.
    pub(crate) dockerfile: DockerfileSource,
    /// Names of the image, as typed.
    pub(crate) tags: Vec<String>,
    /// Build arguments.
    pub(crate) build_args: Vec<(String, String)>,
    /// Labels, in the order typed.
    pub(crate) labels: Vec<(String, String)>,
    /// The stage to build; None for the last.
    pub(crate) target: Option<String>,
    /// `os/arch[/variant]`, as typed; none for this machine's.
    pub(crate) platforms: Vec<String>,
    /// Whose modes the files of contexts have.
    pub(crate) perm: Perm,
    /// No step may come from the cache.
    pub(crate) no_cache: bool,
    /// No step of these stages may.
    pub(crate) no_cache_stages: Vec<String>,
    /// Where results of other builds are looked up.
    pub(crate) cache_from: Vec<CachePlace>,
    /// Where credentials are looked up again for the caches of earlier builds.
    pub(crate) environment: Environment,
    /// Where the results of this build are written to.
    pub(crate) cache_to: Vec<CacheTo>,
    /// The image is to be a cache, too.
    pub(crate) inline_cache: bool,
    /// Show the output of steps that come from the cache.
    pub(crate) replay_logs: bool,
    /// Say at the end why steps ran.
    pub(crate) explain: bool,
    /// What RUN steps without a network mode of their own get.
    pub(crate) network: Network,
    /// What the Dockerfile may ask for beyond that.
    pub(crate) allow: Entitlements,
    /// Further sources of files by name.
    pub(crate) contexts: Vec<(String, String)>,
    /// What RUN --mount=type=secret can ask for.
    pub(crate) secrets: Vec<Secret>,
    /// What RUN --mount=type=ssh can ask for.
    pub(crate) agents: Vec<SshAgent>,
    /// Lines for /etc/hosts: name, address.
    pub(crate) hosts: Vec<(String, String)>,
    /// Results besides the image in the store.
    pub(crate) outputs: Vec<OutputSettings>,
    /// Bytes of /dev/shm in RUN steps; None for docker's default.
    pub(crate) shm_size: Option<u64>,
    /// Limits of the processes of RUN steps.
    pub(crate) ulimits: Vec<Ulimit>,
    /// File that digests and names are written to.
    pub(crate) metadata_file: Option<PathBuf>,
    /// File that the image ID is written to.
    pub(crate) iidfile: Option<PathBuf>,
    /// Only the ID is printed, on standard output.
    pub(crate) quiet: bool,
    /// How progress is shown.
    pub(crate) progress: ProgressMode,
    /// What names must mean.
    pub(crate) lock: Option<Lock>,
    /// How caches with `sharing=locked` are written.
    pub(crate) locked_caches: Locked,
    /// What the build cache may take; None if it is not looked after.
    pub(crate) cache_rules: Vec<Rule>,
    /// How to talk to registries.
    pub(crate) registry: registry::Settings,
    /// When a registry is asked for a base image.
    pub(crate) pull: registry::Policy,
    /// How the image is pushed when it is built; None if it is not.
    pub(crate) push: Option<registry::PushOptions>,
    /// What is run where the build fails: nothing without `--debug`, a shell for an empty line.
    pub(crate) debug: Option<String>,
    /// Somebody sits at a terminal.
    pub(crate) terminal: bool,
    /// So many bytes of a step's output are shown as lines; None for all.
    pub(crate) log_limit: Option<u64>,
    /// Where docker listens that is handed the image; None if it is not.
    pub(crate) daemon: Option<Address>,
    /// What to do instead of building.
    pub(crate) look: Option<Look>,
}

/// Looking at a Dockerfile instead of building it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// `--check`.
    Check {
        /// Form of the output.
        format: CheckFormat,
        /// Whether the file is rewritten first.
        fix: bool,
        /// Warnings make no difference to the exit code.
        ignore_status: bool,
    },
    /// `--call outline`.
    Outline(CheckFormat),
    /// `--call targets`.
    Targets(CheckFormat),
    /// `--print`.
    Print(PrintForm),
}

impl Look {
    fn new(args: &BuildArgs) -> Option<Self> {
        let format = args.call.and_then(|call| call.format).unwrap_or(args.format);
        let check = |ignore_status| Some(Self::Check { format, fix: args.fix, ignore_status });
        match (args.check, args.call.map(|call| call.method), args.print) {
            (true, ..) => check(false),
            (_, Some(Method::Check), _) => check(args.call.is_some_and(|call| call.ignore_status)),
            (_, Some(Method::Outline), _) => Some(Self::Outline(format)),
            (_, Some(Method::Targets), _) => Some(Self::Targets(format)),
            (.., Some(form)) => Some(Self::Print(form)),
            _ => None,
        }
    }
}

/// The build context.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ContextSource {
    /// A folder.
    Folder(PathBuf),
    /// A git repository, or a URL of a tar archive or of a Dockerfile.
    Remote(String),
    /// A tar archive, or a Dockerfile without a context, on standard input.
    Stdin,
}

/// The Dockerfile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DockerfileSource {
    /// `Dockerfile` in the context.
    Context,
    /// A file, relative to the working directory.
    Path(PathBuf),
    /// Standard input.
    Stdin,
}

/// A secret of the build: its ID and where its value is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    /// In a file.
    File {
        /// Its ID.
        id: String,
        /// The file.
        path: PathBuf,
    },
    /// The value of an environment variable.
    Value {
        /// Its ID.
        id: String,
        /// The value.
        value: Vec<u8>,
    },
}

impl BuildSettings {
    /// What the arguments mean in this environment.
    pub(crate) fn new(args: BuildArgs, environment: &Environment) -> Result<Self, Failure> {
        let look = Look::new(&args);
        let context = match args.context.to_str() {
            Some("-") => ContextSource::Stdin,
            Some(text) if is_remote(text) => ContextSource::Remote(text.to_owned()),
            _ => ContextSource::Folder(args.context),
        };
        let dockerfile = match args.file {
            None => DockerfileSource::Context,
            Some(path) if path.as_os_str() == "-" => DockerfileSource::Stdin,
            Some(path) => DockerfileSource::Path(path),
        };
        if context == ContextSource::Stdin && dockerfile == DockerfileSource::Stdin {
            return Err(Failure::new(
                "invalid argument: can't use stdin for both build context and dockerfile",
            ));
        }
        let mode = lock_mode(args.lock, args.locked, args.update, args.lock_file.is_some());
        let lock = mode.map(|mode| lock(mode, args.lock_file, &context)).transpose()?;
        refuse_attestation("--provenance", args.provenance.as_deref())?;
        refuse_attestation("--sbom", args.sbom.as_deref())?;
        let mut tags = args.tag;
        let mut outputs = Vec::new();
        for text in &args.output {
            let (output, names) = OutputSettings::parse(text, environment.stdout_is_terminal)?;
            outputs.push(output);
            tags.extend(names);
        }
        if outputs.iter().filter(|o| o.target == OutputTarget::Stdout).count() > 1 {
            return Err(Failure::usage("--output: only one result can go to standard output"));
        }
        if args.push {
            outputs.push(OutputSettings::pushed());
        }
        let push = outputs.iter().find_map(|output| output.push);
        let hands_over = outputs.iter().any(|output| output.format == OutputFormat::DockerLoad);
        let daemon = if hands_over { Some(super::daemon::address(environment)?) } else { None };
        if push.is_some() && tags.is_empty() {
            return Err(Failure::new("tag is needed when pushing to registry").with_hint("-t NAME[:TAG]"));
        }
        let mut build_args = pairs::assignments("--build-arg", &args.build_arg, environment)?;
        let epoch = "SOURCE_DATE_EPOCH";
        if let Some(value) = environment.value(epoch).filter(|v| !v.is_empty())
            && !args.build_arg.iter().any(|a| a.split('=').next() == Some(epoch))
        {
            build_args.push((epoch.to_owned(), value));
        }
        let cache_to =
            args.cache_to.iter().map(|text| cache::to(text, environment)).collect::<Result<Vec<_>, _>>()?;
        // buildx's older way of saying it.
        let inline = build_args
            .iter()
            .any(|(name, value)| name == "BUILDKIT_INLINE_CACHE" && matches!(value.as_str(), "1" | "true"));
        let secrets = args.secret.iter().map(|s| secret(s, environment)).collect::<Result<Vec<_>, _>>()?;
        let config = Config::read(environment)?;
        Ok(Self {
            context,
            dockerfile,
            tags,
            build_args,
            labels: labels(&args.label)?,
            target: args.target.filter(|t| !t.is_empty()),
            platforms: platforms(args.platform, environment),
            perm: args.perm,
            no_cache: args.no_cache,
            no_cache_stages: args.no_cache_filter,
            environment: environment.clone(),
            cache_from: args
                .cache_from
                .iter()
                .map(|text| cache::from(text, environment))
                .collect::<Result<_, _>>()?,
            inline_cache: inline || cache_to.iter().any(Option::is_none),
            cache_to: cache_to.into_iter().flatten().collect(),
            replay_logs: args.replay_logs,
            explain: args.explain,
            network: Network::parse(&args.network)?,
            allow: Entitlements::parse(&args.allow)?,
            contexts: contexts(&args.build_context)?,
            secrets,
            agents: args.ssh.iter().map(|s| SshAgent::parse(s, environment)).collect::<Result<_, _>>()?,
            hosts: args.add_host.iter().map(|h| host(h)).collect::<Result<_, _>>()?,
            outputs,
            shm_size: args.shm_size.as_deref().map(|s| size("--shm-size", s)).transpose()?,
            ulimits: ulimits(&args.ulimit)?,
            metadata_file: args.metadata_file,
            iidfile: args.iidfile,
            quiet: args.quiet,
            progress: progress::of_build(args.progress, args.quiet, environment)?,
            lock,
            locked_caches: config.locked_caches(),
            cache_rules: config.cache_rules()?,
            debug: args.debug,
            terminal: environment.is_interactive() && environment.stderr_is_terminal,
            log_limit: log_limit(environment)?,
            registry: super::registry(environment)?,
            pull: if args.pull { registry::Policy::Always } else { registry::Policy::Missing },
            push,
            daemon,
            look,
        })
    }
}

/// What is to be done with the lock; None for nothing.
fn lock_mode(add: bool, keep: bool, renew: bool, named: bool) -> Option<Mode> {
    match (keep, renew) {
        (true, _) => Some(Mode::Keep),
        (_, true) => Some(Mode::Renew),
        _ => (add || named).then_some(Mode::Add),
    }
}

fn lock(mode: Mode, file: Option<PathBuf>, context: &ContextSource) -> Result<Lock, Failure> {
    let file = match (file, context) {
        (Some(file), _) => file,
        (None, ContextSource::Folder(folder)) => folder.join("rbuild.lock"),
        (None, ContextSource::Remote(_) | ContextSource::Stdin) => {
            return Err(Failure::usage(
                "the build context is no folder that a lock could be in: --lock-file FILE",
            ));
        }
    };
    Ok(Lock { file, mode })
}

/// Those typed, else those of the environment.
fn platforms(typed: Vec<String>, environment: &Environment) -> Vec<String> {
    let from_environment = || {
        let value = environment.value("DOCKER_DEFAULT_PLATFORM").unwrap_or_default();
        value.split(',').map(str::to_owned).collect()
    };
    let all = if typed.iter().all(String::is_empty) { from_environment() } else { typed };
    all.into_iter().filter(|platform| !platform.is_empty()).collect()
}

/// Whether this is no path: a URL, or an address of git.
pub(crate) fn is_remote(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://") || is_git_url(text)
}

/// BuildKit's variable and its default: bytes of a step's output that are shown, -1 for all. What is kept of it has no
/// limit.
fn log_limit(environment: &Environment) -> Result<Option<u64>, Failure> {
    const VARIABLE: &str = "BUILDKIT_STEP_LOG_MAX_SIZE";
    let Some(text) = environment.value(VARIABLE).filter(|text| !text.is_empty()) else {
        return Ok(Some(2 << 20));
    };
    let number: i64 = text
        .parse()
        .map_err(|_| Failure::usage(format!("{VARIABLE}={text:?} is no number of bytes, and not -1")))?;
    Ok(u64::try_from(number).ok())
}

/// What is not made may be declined, as many scripts do.
fn refuse_attestation(flag: &str, value: Option<&str>) -> Result<(), Failure> {
    match value {
        None | Some("false" | "0") => Ok(()),
        Some(_) => Err(Failure::usage(format!("{flag}: rbuild makes no attestations; {flag}=false says so"))),
    }
}

fn labels(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = |text: &String| {
        let (key, value) = pairs::split("--label", text)?;
        Ok((key.to_owned(), value.unwrap_or_default().to_owned()))
    };
    texts.iter().map(split).collect()
}

fn contexts(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = |text: &String| match pairs::split("--build-context", text)? {
        (name, Some(value)) if !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("invalid context value: {text}, expected key=value"))),
    };
    texts.iter().map(split).collect()
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`; an IPv6 address may be in brackets.
fn host(text: &str) -> Result<(String, String), Failure> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let (name, address) =
        split.ok_or_else(|| Failure::usage(format!("bad format for add-host: {text:?}")))?;
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    if name.is_empty() || bare.parse::<std::net::IpAddr>().is_err() {
        return Err(Failure::usage(format!("invalid IP address in add-host: {address:?}")));
    }
    Ok((name.to_owned(), bare.to_owned()))
}

fn secret(text: &str, environment: &Environment) -> Result<Secret, Failure> {
    let wrong = |what: String| Failure::usage(format!("invalid argument {text:?} for --secret: {what}"));
    let (mut id, mut src, mut env, mut kind) = (None, None, None, None);
    for (key, value) in pairs::members("--secret", text)? {
        match key.as_str() {
            "id" => id = Some(value),
            "src" | "source" => src = Some(value),
            "env" => env = Some(value),
            "type" => kind = Some(value),
            _ => return Err(wrong(format!("unexpected key {key:?}"))),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| wrong("id= is missing".into()))?;
    let from_environment = |id: String, name: &str| match environment.value(name) {
        Some(value) => Ok(Secret::Value { id, value: value.into_bytes() }),
        None => Err(wrong(format!("the environment has no variable {name}"))),
    };
    match (kind.as_deref(), src, env) {
        (Some("env"), Some(name), None) | (_, None, Some(name)) => from_environment(id, &name),
        (None | Some("file"), Some(path), None) => Ok(Secret::File { id, path: path.into() }),
        (_, Some(_), Some(_)) => Err(wrong("src= and env= exclude each other".into())),
        // buildx: without a source, the variable of that name if there is one, else the file.
        (None, None, None) if environment.value(&id).is_some() => from_environment(id.clone(), &id),
        (Some("env"), None, None) => from_environment(id.clone(), &id),
        (None | Some("file"), None, None) => Ok(Secret::File { path: id.clone().into(), id }),
        (Some(other), ..) => Err(wrong(format!("type {other:?} is not supported"))),
    }
}

#[cfg(test)]
mod tests;
