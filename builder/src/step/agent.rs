//! `RUN --mount=type=ssh`: a socket of the step's own, behind which the user's SSH agent answers.
//!
//! The agent's own socket is not shown: it has the owner and mode that the user's other programs need, and who can
//! reach it can also remove keys, add some, or lock it. What a step may ask is to list keys and to sign with them
//! (draft-miller-ssh-agent 3.5, 3.6), and to bind a session, without which keys that are restricted to some hosts do
//! not sign. Everything else is answered with a failure, as BuildKit does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rbuild_image::layer::{Owner, Owners};
use rustix::fs::FileType;

/// Name of the socket in its folder.
const NAME: &str = "agent";
/// OpenSSH's bound on a message, in bytes.
const MAX_MESSAGE: u32 = 256 * 1024;

const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
const EXTENSION: u8 = 27;
/// The one extension that changes nothing (OpenSSH, PROTOCOL.agent 1): a string with its length in front.
const SESSION_BIND: &[u8] = b"\0\0\0\x18session-bind@openssh.com";

/// Who may use the socket, by the ids of the image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketOwner {
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    /// Where that is kept.
    pub(crate) owners: Owners,
}

/// A socket that is served until this value goes.
#[derive(Debug)]
pub(crate) struct AgentSocket {
    path: PathBuf,
    /// A way to the socket that fits into its address however long the path is.
    address: PathBuf,
    _folder: File,
    ended: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl AgentSocket {
    /// Makes the socket in an empty folder; what comes through it is for the agent that listens at `agent`.
    pub(crate) fn open(folder: &Path, agent: &Path, owner: SocketOwner) -> io::Result<Self> {
        let open = File::open(folder)?;
        let address = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd()));
        let listener = UnixListener::bind(&address)?;
        let path = folder.join(NAME);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(owner.mode))?;
        owner.owners.give_at(open.as_fd(), NAME.as_bytes(), FileType::Socket, owner.owner)?;
        let ended = Arc::new(AtomicBool::new(false));
        let (agent, seen) = (agent.to_owned(), Arc::clone(&ended));
        let server = std::thread::Builder::new()
            .name("ssh-agent".into())
            .spawn(move || serve(&listener, &agent, &seen))?;
        Ok(Self { path, address, _folder: open, ended, server: Some(server) })
    }

    /// Where it is, on this machine.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the server. Should that fail it stays asleep, and must not be waited for.
        if UnixStream::connect(&self.address).is_ok()
            && let Some(server) = self.server.take()
        {
            let _ = server.join();
        }
    }
}

fn serve(listener: &UnixListener, agent: &Path, ended: &AtomicBool) {
    while let Ok((client, _)) = listener.accept() {
        if ended.load(Ordering::SeqCst) {
            return;
        }
        let agent = agent.to_owned();
        // Ends with the client, which ends with the step. An error is one of a peer that went away.
        let talk = std::thread::Builder::new().name("ssh-agent".into()).spawn(move || talk(client, &agent));
        drop(talk);
    }
}

/// One conversation, to its end.
fn talk(mut client: UnixStream, agent: &Path) -> io::Result<()> {
    let mut agent = UnixStream::connect(agent)?;
    while let Some(request) = message(&mut client)? {
        if is_harmless(&request) {
            send(&mut agent, &request)?;
            let Some(answer) = message(&mut agent)? else { return Ok(()) };
            send(&mut client, &answer)?;
        } else {
            client.write_all(&FAILURE)?;
        }
    }
    Ok(())
}

/// True for what only asks.
fn is_harmless(request: &[u8]) -> bool {
    match request.split_first() {
        Some((&(REQUEST_IDENTITIES | SIGN_REQUEST), _)) => true,
        Some((&EXTENSION, contents)) => contents.starts_with(SESSION_BIND),
        _ => false,
    }
}

/// The next message without its length; None at the end.
fn message(from: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(length);
    if length > MAX_MESSAGE {
        return Err(io::Error::other("a message of an SSH agent is too long"));
    }
    let mut message = vec![0; length as usize];
    from.read_exact(&mut message)?;
    Ok(Some(message))
}

fn send(to: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    to.write_all(&[&length.to_be_bytes(), message].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u8, contents: &[u8]) -> Vec<u8> {
        [&[kind], contents].concat()
    }

    #[test]
    fn only_questions_come_through() {
        let folder = tempfile::tempdir().unwrap();
        let upstream = folder.path().join("upstream");
        let listener = UnixListener::bind(&upstream).unwrap();
        // An agent that answers every message with itself.
        let agent = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut seen = 0;
            while let Some(message) = message(&mut stream).unwrap() {
                send(&mut stream, &message).unwrap();
                seen += 1;
            }
            seen
        });
        let inside = folder.path().join("a".repeat(120));
        std::fs::create_dir(&inside).unwrap();
        let me = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let owner = SocketOwner { mode: 0o640, owner: Owner { uid: me.0, gid: me.1 }, owners: Owners::Inode };
        let socket = AgentSocket::open(&inside, &upstream, owner).unwrap();
        assert_eq!(socket.path().metadata().unwrap().permissions().mode() & 0o7777, 0o640);

        let mut client = UnixStream::connect(&socket.address).unwrap();
        for (sent, passes) in [
            (request(REQUEST_IDENTITIES, b""), true),
            (request(SIGN_REQUEST, b"anything"), true),
            (request(EXTENSION, &[SESSION_BIND, b"more"].concat()), true),
            (request(EXTENSION, b"\0\0\0\x05query"), false),
            (request(17, b"add"), false),
            (request(18, b"remove"), false),
            (request(19, b""), false),
            (request(22, b"lock"), false),
            (Vec::new(), false),
        ] {
            send(&mut client, &sent).unwrap();
            let answer = message(&mut client).unwrap().unwrap();
            assert_eq!(answer, if passes { sent.clone() } else { vec![5] }, "{sent:?}");
        }
        drop(client);
        assert_eq!(agent.join().unwrap(), 3);
        drop(socket);
    }
}
