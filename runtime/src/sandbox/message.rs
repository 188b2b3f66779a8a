//! What travels between the parent and a sandbox's first process.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::spec::Spec;
use crate::pretend::Person;

/// Everything that the first process needs to know, as it lies in the memfd.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order<S> {
    pub(crate) spec: S,
    /// Rbuild is root of a user namespace only: no device nodes, no `trusted.` xattrs.
    pub(crate) in_user_namespace: bool,
    /// And only one id is mapped there: others are pretended.
    pub(crate) has_single_id: bool,
    /// The soft limit of open files that the program gets; None for this process's own.
    pub(crate) open_files: Option<u64>,
}

/// An order as it is read back.
pub(crate) type ReceivedOrder = Order<Spec>;

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

pub(crate) fn send(socket: BorrowedFd<'_>, news: &News, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = serde_json::to_vec(news).map_err(io::Error::other)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = fd.map(|fd| [fd]);
    if let Some(fds) = &fds {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next news, and a file descriptor that may come with it; None when the other side is closed.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<(News, Option<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match rustix::net::recvmsg(socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?.bytes,
        }
    };
    if received == 0 {
        return Ok(None);
    }
    let mut fd = None;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fd = fds.last();
        }
    }
    let news = serde_json::from_slice(&bytes[..received]).map_err(io::Error::other)?;
    Ok(Some((news, fd)))
}
