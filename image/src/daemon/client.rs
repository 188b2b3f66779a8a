//! The calls of docker's API that handing over an image takes.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body, SendBody};

use super::address::Address;
use super::unix::{NoResolver, UnixConnector};
use crate::archive::{self, ArchiveError, Format, KnownLayers, Selection};
use crate::digest::{DiffId, ImageId};
use crate::store::Store;

/// No answer of docker's but the text of a load is longer.
const MAX_ANSWER: u64 = 64 << 20;

/// A client of docker's API.
#[derive(Debug)]
pub struct Daemon {
    address: Address,
    agent: Agent,
}

/// An image that docker has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// Bytes that were sent, all attempts together.
    pub sent: u64,
    /// Layers that were left out.
    pub left_out: usize,
    /// Why the archive had to be sent whole, if it was tried without them.
    pub refused: Option<String>,
}

/// Why docker did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It is not there, or stopped talking.
    #[error("cannot talk to docker at {address}: {source}")]
    Connection {
        /// Where it was looked for.
        address: Address,
        /// What broke.
        source: Box<ureq::Error>,
    },
    /// It said no.
    #[error("docker at {address}: {message}")]
    Refused {
        /// Where it is.
        address: Address,
        /// In its words.
        message: String,
    },
    /// The archive could not be made.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(rename = "RootFS")]
    rootfs: Rootfs,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rootfs {
    #[serde(default)]
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(default)]
    driver_status: Option<Vec<(String, String)>>,
}

/// A line of what docker says during a load.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    error: Option<String>,
}

impl Daemon {
    /// A client. Opens no connection.
    pub fn new(address: Address) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).proxy(None).build();
        let agent = match &address {
            Address::Unix(path) => Agent::with_parts(config, UnixConnector(path.clone()), NoResolver),
            Address::Tcp(_) => config.new_agent(),
        };
        Self { address, agent }
    }

    /// The layers of the images that it has, so that an archive for it can leave them out.
    ///
    /// # Errors
    /// When it is not there, or does not say.
    pub fn known_layers(&self) -> Result<KnownLayers, DaemonError> {
        let info: Info = self.get("/info")?;
        let status = info.driver_status.unwrap_or_default();
        if status.iter().any(|(_, value)| value.contains("containerd")) {
            return Ok(KnownLayers::default());
        }
        let ids: BTreeSet<String> =
            self.get::<Vec<Listed>>("/images/json")?.into_iter().map(|listed| listed.id).collect();
        let mut known = KnownLayers::default();
        for id in ids {
            // One that was removed in between has no layers any more.
            let Some(image) = self.find::<Inspected>(&format!("/images/{id}/json"))? else { continue };
            let layers: Option<Vec<DiffId>> =
                image.rootfs.layers.unwrap_or_default().iter().map(|layer| layer.parse().ok()).collect();
            known.add(layers.unwrap_or_default());
        }
        Ok(known)
    }

    /// Gives it an image under its names, without the layers that it has; whole when that does not work.
    ///
    /// # Errors
    /// When it is not there, does not take the image, or the image is not whole in the store.
    pub fn hand_over(
        &self,
        store: &Store,
        image: ImageId,
        selection: &Selection,
    ) -> Result<Handed, DaemonError> {
        let items = std::slice::from_ref(selection);
        let known = self.known_layers()?;
        let left_out = archive::left_out(store, items, &known)?.len();
        let mut handed = Handed { sent: 0, left_out, refused: None };
        if left_out > 0 {
            let outcome = self.load(|out| archive::save_thin(store, items, &known, out), &mut handed.sent);
            match outcome {
                Ok(()) if self.has(image)? => return Ok(handed),
                Ok(()) => handed.refused = Some("it did not keep the image".to_owned()),
                Err(error @ DaemonError::Archive(_)) => return Err(error),
                // A layer was removed between the question and the load, or it does not work this way.
                Err(DaemonError::Refused { message, .. }) => handed.refused = Some(message),
                // It had heard enough.
                Err(DaemonError::Connection { source, .. }) => handed.refused = Some(source.to_string()),
            }
            handed.left_out = 0;
        }
        self.load(|out| archive::save(store, items, out, Format::Docker), &mut handed.sent)?;
        Ok(handed)
    }

    fn has(&self, image: ImageId) -> Result<bool, DaemonError> {
        Ok(self.find::<serde::de::IgnoredAny>(&format!("/images/{image}/json"))?.is_some())
    }

    /// `POST /images/load` with what `write` writes.
    fn load(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), ArchiveError> + Send,
        sent: &mut u64,
    ) -> Result<(), DaemonError> {
        let (reader, writer) = io::pipe().map_err(ArchiveError::Write)?;
        let mut reader = Counted { inner: reader, count: sent };
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                let mut writer = writer;
                write(&mut writer)
            });
            let request = self.agent.post(self.uri("/images/load?quiet=1")).content_type("application/x-tar");
            let answer = request.send(SendBody::from_reader(&mut reader));
            // Docker may answer before it has read everything: then the writer must not wait for it.
            drop(reader);
            let written = writing.join().expect("saving does not panic");
            match (answer, written) {
                (Ok(answer), written) => {
                    self.said(answer)?;
                    Ok(written?)
                }
                // The broken connection is what the archive's writer met, too.
                (Err(error), Ok(()) | Err(ArchiveError::Write(_))) => Err(self.broken(error)),
                (Err(_), Err(error)) => Err(error.into()),
            }
        })
    }

    /// What docker says of a load is a line of JSON for each thing; mistakes come after the status, too.
    fn said(&self, answer: Response<Body>) -> Result<(), DaemonError> {
        let status = answer.status();
        let text = self.text(answer)?;
        if !status.is_success() {
            return Err(self.refused(&text));
        }
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
        match messages.filter_map(|message| message.error).next() {
            Some(message) => Err(DaemonError::Refused { address: self.address.clone(), message }),
            None => Ok(()),
        }
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, DaemonError> {
        self.find(path)?.ok_or_else(|| self.refused(&format!("{path}: not found")))
    }

    /// None for what is not there.
    fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, DaemonError> {
        let answer = self.agent.get(self.uri(path)).call().map_err(|error| self.broken(error))?;
        let status = answer.status();
        let text = self.text(answer)?;
        match status.as_u16() {
            404 => Ok(None),
            200 => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| self.refused(&format!("{path}: an answer that is not understood: {error}"))),
            _ => Err(self.refused(&text)),
        }
    }

    fn text(&self, answer: Response<Body>) -> Result<String, DaemonError> {
        let mut bytes = Vec::new();
        let mut body = answer.into_body().into_reader().take(MAX_ANSWER);
        body.read_to_end(&mut bytes).map_err(|error| self.broken(error.into()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn uri(&self, path: &str) -> String {
        match &self.address {
            Address::Unix(_) => format!("http://docker{path}"),
            Address::Tcp(host) => format!("http://{host}{path}"),
        }
    }

    fn broken(&self, error: ureq::Error) -> DaemonError {
        DaemonError::Connection { address: self.address.clone(), source: Box::new(error) }
    }

    /// `{"message": …}`, or the text as it is.
    fn refused(&self, text: &str) -> DaemonError {
        #[derive(Deserialize)]
        struct Explained {
            message: String,
        }
        let explained = serde_json::from_str::<Explained>(text).map(|explained| explained.message);
        let message = explained.unwrap_or_else(|_| text.trim().to_owned());
        DaemonError::Refused { address: self.address.clone(), message }
    }
}

struct Counted<'a, R> {
    inner: R,
    count: &'a mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        *self.count += count as u64;
        Ok(count)
    }
}
