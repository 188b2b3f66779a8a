//! What travels between the parent and a sandbox's first process.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::limits::Limits;
use super::spec::Spec;
use crate::pretend::Person;

/// What the first process can begin with before it has an order: the same for most sandboxes of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ground {
    /// `Privilege::All`.
    pub(crate) is_unrestricted: bool,
    /// Size of /dev/shm in bytes.
    pub(crate) shm_size: u64,
    /// Rbuild is root of a user namespace only: no device nodes, no `trusted.` xattrs.
    pub(crate) in_user_namespace: bool,
    /// The limits of a program that gets a process of its own, beside process 1; that is then made at once.
    pub(crate) early: Option<Limits>,
    /// How long it waits for an order, in milliseconds; None for as long as the parent lives.
    pub(crate) patience: Option<u32>,
}

/// Everything else that it needs to know, as it lies in the memfd.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order<S> {
    pub(crate) spec: S,
    /// As in [`Ground`].
    pub(crate) in_user_namespace: bool,
    /// And only one id is mapped there: others are pretended.
    pub(crate) has_single_id: bool,
    /// The soft limit of open files that the program gets; None for this process's own.
    pub(crate) open_files: Option<u64>,
}

/// An order as it is read back.
pub(crate) type ReceivedOrder = Order<Spec>;

/// An order on its way: the memfd with it, and the program's standard streams.
#[derive(Debug)]
pub(crate) struct OrderFiles {
    pub(crate) order: OwnedFd,
    pub(crate) streams: [OwnedFd; 3],
}

/// News from the first process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// The world stands; these paths of the rootfs (resolved, relative, parents first) were made as mount points
    /// and are to be removed afterwards. With a terminal its pty comes along.
    Ready { stubs: Vec<String> },
    /// From now on calls about owners and ids wait for answers, at the file descriptor that comes along; all processes
    /// are this person at first.
    Asking { person: Person },
    /// The program will not run.
    Failed(Failure),
}

/// Larger messages do not occur: stub lists are the largest.
const MAX_MESSAGE: usize = 128 << 10;

/// An order's files are the most that come with a message.
const MAX_FDS: usize = 4;

/// Tells the first process what it can begin with. To be sent before it is there: it does not wait for this.
pub(crate) fn send_ground(socket: BorrowedFd<'_>, ground: &Ground) -> io::Result<()> {
    send_bytes(socket, &serde_json::to_vec(ground).map_err(io::Error::other)?, &[])
}

pub(crate) fn receive_ground(socket: BorrowedFd<'_>) -> io::Result<Ground> {
    let (bytes, _) = receive_bytes(socket)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

pub(crate) fn send_order(socket: BorrowedFd<'_>, files: &OrderFiles) -> io::Result<()> {
    let [stdin, stdout, stderr] = &files.streams;
    send_files(socket, &[files.order.as_fd(), stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])
}

/// The order's files; None when the parent has none for us.
pub(crate) fn receive_order(socket: BorrowedFd<'_>) -> io::Result<Option<OrderFiles>> {
    Ok(receive_files(socket)?
        .map(|(_, [order, stdin, stdout, stderr])| OrderFiles { order, streams: [stdin, stdout, stderr] }))
}

/// Sends files, and nothing that anybody would have to read.
pub(crate) fn send_files(socket: BorrowedFd<'_>, files: &[BorrowedFd<'_>; MAX_FDS]) -> io::Result<()> {
    // An empty message would look like the end.
    send_bytes(socket, b"\n", files)
}

/// The files of [`send_files`], with what may have come behind; None when the other side is closed.
pub(crate) fn receive_files(socket: BorrowedFd<'_>) -> io::Result<Option<(Vec<u8>, [OwnedFd; MAX_FDS])>> {
    let Some((bytes, fds)) = receive_bytes(socket)? else { return Ok(None) };
    let fds = fds.try_into().map_err(|_| io::Error::other("file descriptors got lost"))?;
    Ok(Some((bytes, fds)))
}

pub(crate) fn send(socket: BorrowedFd<'_>, news: &News, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    send_bytes(socket, &serde_json::to_vec(news).map_err(io::Error::other)?, fd.as_slice())
}

/// The next news, and a file descriptor that may come with it; None when the other side is closed.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(News, Option<OwnedFd>)>> {
    let Some((bytes, mut fds)) = receive_bytes(socket)? else { return Ok(None) };
    let news = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    Ok(Some((news, fds.pop())))
}

fn send_bytes(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive_bytes(socket: BorrowedFd<'_>) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            // The other side went away without having read all that was sent to it. What it said before comes after this.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            other => break other?.bytes,
        }
    };
    if received == 0 {
        return Ok(None);
    }
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    bytes.truncate(received);
    Ok(Some((bytes, fds)))
}
