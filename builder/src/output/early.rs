//! The archive of an image, begun when its last layer is made.
//!
//! Its layer is read once, for its names and for the archive. Whether that was of use shows when the image is there: if
//! it does not end with this layer, or anything went wrong, the archive is written as if nothing had been begun.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use rbuild_image::archive::{Begun, Format, Led, Selection, save_led};
use rbuild_image::layer::TarSummary;

use super::archive::{Unfinished, archive_at, beside};
use crate::request::{Dest, OutputKind};
use crate::session::Session;

/// An archive that waits for its last layer.
#[derive(Debug)]
pub(crate) struct Early {
    unfinished: Unfinished,
    /// None after a write has failed.
    begun: Option<Begun>,
}

/// An archive that has its last layer.
#[derive(Debug)]
pub(crate) struct Ready {
    unfinished: Unfinished,
    led: Led,
}

impl Early {
    /// Begins the archive that is asked for, if it is the only thing asked for, and is going to be a file. What stands in
    /// the way is reported by who writes it in the end.
    pub(crate) fn begin(session: &Session<'_>) -> Option<Self> {
        let request = session.request;
        let ([output], 1) = (request.outputs.as_slice(), session.work.targets.len()) else { return None };
        let (OutputKind::Docker | OutputKind::Oci, Dest::Path(path)) = (output.kind, &output.dest) else {
            return None;
        };
        if request.rewrite_times {
            return None;
        }
        let path = archive_at(path);
        if path.exists() && !path.is_file() {
            return None;
        }
        let unfinished = Unfinished(beside(&path));
        let begun = File::create(&unfinished.0).and_then(Begun::new).ok()?;
        Some(Self { unfinished, begun: Some(begun) })
    }

    /// Ends the layer.
    pub(crate) fn end(self, tar: TarSummary) -> Option<Ready> {
        let led = self.begun?.end(tar).ok()??;
        Some(Ready { unfinished: self.unfinished, led })
    }
}

impl Write for Early {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(begun) = &mut self.begun
            && begun.write_all(bytes).is_err()
        {
            self.begun = None;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Ready {
    /// Writes the rest of the archive, and gives it its name. False if it is to be written anew.
    pub(super) fn finish(
        self,
        session: &Session<'_>,
        image: &Selection,
        format: Format,
        path: PathBuf,
    ) -> Result<bool, String> {
        if !save_led(session.store, image, self.led, format).map_err(|cause| cause.to_string())? {
            return Ok(false);
        }
        std::fs::rename(&self.unfinished.0, path).map_err(|cause| cause.to_string())?;
        Ok(true)
    }
}
