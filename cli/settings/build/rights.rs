//! What a build hands to its RUN steps beyond files: the network, agents, and rights that have to be allowed.

use std::path::PathBuf;

use crate::exit::Failure;
use crate::settings::Environment;

/// `--network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// Whatever is rbuild's default.
    Default,
    /// The host's, by name.
    Host,
    /// Loopback only.
    None,
}

impl Network {
    pub(super) fn parse(mode: &str) -> Result<Self, Failure> {
        match mode {
            "" | "default" => Ok(Self::Default),
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            _ => {
                Err(Failure::usage(format!("network mode {mode:?} is not supported: default, host or none")))
            }
        }
    }
}

/// `--allow`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entitlements {
    /// `security.insecure`.
    pub(crate) insecure: bool,
    /// `network.host`.
    pub(crate) network_host: bool,
}

impl Entitlements {
    pub(super) fn parse(texts: &[String]) -> Result<Self, Failure> {
        let mut all = Self::default();
        for text in texts {
            match text.trim() {
                "security.insecure" => all.insecure = true,
                "network.host" => all.network_host = true,
                other => {
                    return Err(Failure::usage(format!(
                        "invalid argument {other:?} for --allow: security.insecure or network.host"
                    )));
                }
            }
        }
        Ok(all)
    }
}

/// `--ssh`: an agent's ID, and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshAgent {
    /// What `RUN --mount=type=ssh,id=` names.
    pub(crate) id: String,
    /// The socket of an agent, or files with private keys. At least one.
    pub(crate) paths: Vec<PathBuf>,
}

impl SshAgent {
    /// `ID`, `ID=SOCKET`, `ID=KEY,KEY`; without a path the agent of the environment is meant (buildx).
    pub(super) fn parse(text: &str, environment: &Environment) -> Result<Self, Failure> {
        let (id, paths) = text.split_once('=').unwrap_or((text, ""));
        let id = if id.is_empty() { "default" } else { id }.to_owned();
        let mut paths: Vec<PathBuf> = paths.split(',').filter(|p| !p.is_empty()).map(PathBuf::from).collect();
        if paths.is_empty() {
            let socket = environment.path("SSH_AUTH_SOCK").ok_or_else(|| {
                Failure::new("invalid empty ssh agent socket, make sure SSH_AUTH_SOCK is set")
                    .with_hint(format!("start ssh-agent, or name a socket or a key: --ssh {id}=PATH"))
            })?;
            paths.push(socket);
        }
        Ok(Self { id, paths })
    }
}
