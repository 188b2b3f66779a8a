//! From settings to the builder's request.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rbuild_builder::explain::BuildId;
use rbuild_builder::request::{
    Allow, ContextArg, Dest, DockerfileArg, NamedSource, Network, NoCache, Output, OutputKind, Permissions,
    Request, Secret,
};
use rbuild_image::platform::Platform;
use rbuild_image::reference::Reference;
use rbuild_image::registry::Registry;
use rbuild_parser::plan::{NamedContext, Options};

use super::agents::Agents;
use crate::args::Perm;
use crate::commands::caches::{Caches, reopening};
use crate::commands::find;
use crate::exit::Failure;
use crate::settings::{self, BuildSettings, ContextSource, DockerfileSource, OutputFormat, OutputTarget};

/// What the settings ask of the builder. Reads standard input where a Dockerfile comes from there.
pub(super) fn request(settings: &BuildSettings, agents: &Agents) -> Result<Request, Failure> {
    let (context, dockerfile) = sources(settings)?;
    let (contexts, named) = contexts(&settings.contexts)?;
    let platforms = platforms(&settings.platforms)?;
    let registry = Registry::new(settings.registry.clone());
    let caches = Caches::new(&registry, platforms.first().map(String::as_str))?;
    Ok(Request {
        id: BuildId::new(),
        context,
        dockerfile,
        contexts,
        permissions: match settings.perm {
            Perm::Keep => Permissions::AsFound,
            Perm::Git => Permissions::Git,
        },
        options: Options {
            build_args: settings.build_args.iter().cloned().collect(),
            target: settings.target.clone(),
            build_platform: Platform::host().to_string(),
            labels: settings.labels.iter().cloned().collect(),
            contexts: named,
            ..Options::default()
        },
        platforms,
        no_cache: no_cache(settings),
        cache_from: settings.cache_from.iter().map(|place| caches.place(place)).collect::<Result<_, _>>()?,
        reopen: reopening(&settings.registry, &settings.environment),
        inline_cache: settings.inline_cache,
        cache_to: settings.cache_to.iter().map(|to| caches.target(to)).collect::<Result<_, _>>()?,
        network: match settings.network {
            settings::Network::None => Network::None,
            settings::Network::Default | settings::Network::Host => Network::Host,
        },
        allow: allow(settings),
        secrets: settings.secrets.iter().map(secret).collect(),
        ssh: agents.sockets().clone(),
        hosts: settings.hosts.clone(),
        shm_size: settings.shm_size,
        ulimits: settings.ulimits.clone(),
        rewrite_times: settings.outputs.iter().any(|output| output.rewrite_times),
        names: settings.tags.iter().map(|t| find::new_name(t)).collect::<Result<Vec<Reference>, _>>()?,
        locked_caches: settings.locked_caches,
        proxies: settings.registry.proxies.clone(),
        outputs: settings.outputs.iter().filter_map(output).collect(),
        registry,
        pull: settings.pull,
        lock: settings.lock.clone(),
        parallel: steps_at_once(),
        replay_logs: settings.replay_logs,
    })
}

/// Whoever gives the build the host's network by name allows it (buildx).
fn allow(settings: &BuildSettings) -> Allow {
    let by_name = settings.network == settings::Network::Host;
    Allow { insecure: settings.allow.insecure, network_host: settings.allow.network_host || by_name }
}

/// `--no-cache` says more than `--no-cache-filter`.
fn no_cache(settings: &BuildSettings) -> NoCache {
    match (settings.no_cache, &settings.no_cache_stages[..]) {
        (true, _) => NoCache::All,
        (false, []) => NoCache::Off,
        (false, stages) => NoCache::Stages(stages.iter().map(|name| name.to_lowercase()).collect()),
    }
}

fn sources(settings: &BuildSettings) -> Result<(ContextArg, DockerfileArg), Failure> {
    let dockerfile = match &settings.dockerfile {
        DockerfileSource::Context => DockerfileArg::Default,
        DockerfileSource::Path(path) => DockerfileArg::Path(path.clone()),
        DockerfileSource::Stdin => DockerfileArg::read(io::stdin().lock())
            .map_err(|error| Failure::new(format!("read the Dockerfile from standard input: {error}")))?,
    };
    let context = match &settings.context {
        ContextSource::Folder(path) => ContextArg::Folder(path.clone()),
        ContextSource::Remote(address) => ContextArg::Remote(address.clone()),
        ContextSource::Stdin => ContextArg::Stdin,
    };
    Ok((context, dockerfile))
}

/// Each once, however it is spelt.
fn platforms(texts: &[String]) -> Result<Vec<String>, Failure> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        let platform = platform(text)?;
        if !all.contains(&platform) {
            all.push(platform);
        }
    }
    Ok(all)
}

fn platform(text: &str) -> Result<String, Failure> {
    let platform: Platform =
        text.parse().map_err(|e| Failure::usage(format!("invalid platform {text:?}: {e}")))?;
    Ok(platform.to_string())
}

type Contexts = (BTreeMap<String, NamedSource>, BTreeMap<String, NamedContext>);

/// Sources of files by their names, and everything by its name (spec 4.4).
fn contexts(pairs: &[(String, String)]) -> Result<Contexts, Failure> {
    let (mut sources, mut named) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in pairs {
        let name = context_name(name)?;
        let source = match value.as_str() {
            text if text.starts_with("docker-image://") => Err(value.clone()),
            text if text.starts_with("oci-layout:") => Err(layout(text)?),
            text if settings::is_remote(text) => Ok(NamedSource::Remote(value.clone())),
            text if text.contains("://") => {
                return Err(Failure::usage(format!(
                    "--build-context {name}={value}: no such kind of source: a folder, an archive of an image, \
                     docker-image://, oci-layout://, http://, https:// or a git repository"
                )));
            }
            text if Path::new(text).is_file() => Err(format!("archive://{}", absolute(text)?)),
            text => Ok(NamedSource::Folder(text.into())),
        };
        match source {
            Ok(source) => {
                sources.insert(name.clone(), source);
                named.insert(name, NamedContext::Folder);
            }
            Err(image) => {
                named.insert(name, NamedContext::Image(image));
            }
        }
    }
    Ok((sources, named))
}

/// `oci-layout://PATH…` with an absolute path, which tells one layout from another.
fn layout(text: &str) -> Result<String, Failure> {
    let path = text.strip_prefix("oci-layout://").or_else(|| text.strip_prefix("oci-layout:"));
    Ok(format!("oci-layout://{}", absolute(path.unwrap_or(text))?))
}

fn absolute(path: &str) -> Result<String, Failure> {
    let absolute = std::path::absolute(path).map_err(|e| Failure::new(format!("{path}: {e}")))?;
    Ok(absolute.to_string_lossy().into_owned())
}

/// As an image reference, without docker.io/library and `:latest`; a platform after `::` stays.
fn context_name(name: &str) -> Result<String, Failure> {
    let (name, suffix) = name.split_once("::").map_or((name, None), |(n, s)| (n, Some(s)));
    let reference: Reference = name
        .to_lowercase()
        .parse()
        .map_err(|e| Failure::usage(format!("invalid context name {name:?}: {e}")))?;
    let familiar = reference.familiar();
    let short = familiar.strip_suffix(":latest").unwrap_or(&familiar);
    Ok(suffix.map_or_else(|| short.to_owned(), |s| format!("{short}::{s}")))
}

fn secret(secret: &settings::Secret) -> (String, Secret) {
    match secret {
        settings::Secret::File { id, path } => (id.clone(), Secret::File(path.clone())),
        settings::Secret::Value { id, value } => (id.clone(), Secret::Value(value.clone())),
    }
}

/// None where the image in the store is all that is wanted.
fn output(output: &settings::OutputSettings) -> Option<Output> {
    let kind = match output.format {
        OutputFormat::Docker => OutputKind::Docker,
        OutputFormat::Oci { tar: true } => OutputKind::Oci,
        OutputFormat::Oci { tar: false } => OutputKind::OciFolder,
        OutputFormat::Tar => OutputKind::Tar,
        OutputFormat::Local => OutputKind::Local,
        OutputFormat::Image | OutputFormat::DockerLoad => return None,
    };
    let dest = match &output.target {
        OutputTarget::Stdout => Dest::Stdout,
        OutputTarget::Path(path) => Dest::Path(path.clone()),
        OutputTarget::Store => return None,
    };
    Some(Output { kind, dest })
}

/// Steps wait for networks and disks more than they compute, so there may be more of them than cores.
fn steps_at_once() -> usize {
    const AT_LEAST: usize = 8;
    (2 * std::thread::available_parallelism().map_or(1, usize::from)).max(AT_LEAST)
}
