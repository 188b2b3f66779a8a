//! `--ssh`: the sockets of agents, and agents started for keys that are given as files.
//!
//! Keys are not our business: OpenSSH's own `ssh-agent` holds them, and `ssh-add` reads them, so every form of key
//! that `ssh` knows works, and one with a passphrase is asked for on the terminal. An agent that we start is the
//! child of a shell that waits for the end of its standard input: however rbuild ends, the agent ends with it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::exit::Failure;
use crate::settings::SshAgent;

/// Says where the agent listens, and lives as long as somebody holds its standard input.
const KEEPER: &str = r#"trap '' HUP INT TERM; echo "$SSH_AUTH_SOCK"; cat > /dev/null; kill "$SSH_AGENT_PID""#;

/// The agents of a build, there for as long as this value.
#[derive(Debug, Default)]
pub(super) struct Agents {
    sockets: BTreeMap<String, PathBuf>,
    _started: Vec<KeyAgent>,
}

impl Agents {
    /// Looks what the paths are, and starts agents for those that are keys.
    pub(super) fn open(wanted: &[SshAgent]) -> Result<Self, Failure> {
        let (mut sockets, mut started) = (BTreeMap::new(), Vec::new());
        for agent in wanted {
            let socket = match socket(agent)? {
                Some(socket) => socket,
                None => {
                    let key_agent = KeyAgent::start(&agent.paths)?;
                    let socket = key_agent.socket.clone();
                    started.push(key_agent);
                    socket
                }
            };
            sockets.insert(agent.id.clone(), socket);
        }
        Ok(Self { sockets, _started: started })
    }

    /// Where the agents listen, by ID.
    pub(super) fn sockets(&self) -> &BTreeMap<String, PathBuf> {
        &self.sockets
    }
}

/// The socket behind an ID; None if there are keys instead.
fn socket(agent: &SshAgent) -> Result<Option<PathBuf>, Failure> {
    let is_socket = |path: &Path| match path.metadata() {
        Ok(meta) => Ok(meta.file_type().is_socket()),
        Err(error) => Err(Failure::new(format!("--ssh {}: {}: {error}", agent.id, path.display()))),
    };
    let sockets = agent.paths.iter().map(|path| is_socket(path)).collect::<Result<Vec<_>, _>>()?;
    match (&sockets[..], &agent.paths[..]) {
        ([true], [path]) => Ok(Some(path.clone())),
        (sockets, _) if sockets.contains(&true) => {
            Err(Failure::new(format!("--ssh {}: only a single socket, without keys beside it", agent.id)))
        }
        _ => Ok(None),
    }
}

/// An agent with the keys of some files.
#[derive(Debug)]
struct KeyAgent {
    keeper: Child,
    socket: PathBuf,
}

impl KeyAgent {
    fn start(keys: &[PathBuf]) -> Result<Self, Failure> {
        let keeper = Command::new("ssh-agent")
            .args(["sh", "-c", KEEPER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| missing("ssh-agent", &error))?;
        let mut agent = Self { keeper, socket: PathBuf::new() };
        let stdout = agent.keeper.stdout.take().expect("it was just piped");
        let mut line = String::new();
        let said = BufReader::new(stdout).read_line(&mut line);
        if said.is_err() || line.trim_end().is_empty() {
            return Err(Failure::new("--ssh: ssh-agent did not start"));
        }
        agent.socket = line.trim_end().into();
        agent.add(keys)?;
        Ok(agent)
    }

    fn add(&self, keys: &[PathBuf]) -> Result<(), Failure> {
        let output = Command::new("ssh-add")
            .args(["-q", "--"])
            .args(keys)
            .env("SSH_AUTH_SOCK", &self.socket)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| missing("ssh-add", &error))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format!("--ssh: a key could not be read: {}", said.trim_end())))
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It ends by itself now; there is nobody to tell if it does not.
        let _ = self.keeper.wait();
    }
}

fn missing(program: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("--ssh: start {program}: {error}"))
        .with_hint("keys in files need OpenSSH's ssh-agent and ssh-add; without them, name an agent's socket")
}
