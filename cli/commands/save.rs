//! `rbuild save`.

use std::io::{self, Write};

use rbuild_image::archive::{self, Format, KnownLayers, Selection};
use rbuild_image::daemon::Daemon;
use rbuild_image::reference::Reference;
use rbuild_image::store::{Named, Store};

use super::{find, partial};
use crate::args::{SaveArgs, SaveFormat};
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::{Environment, daemon_address};
use crate::ui::{self, Style};

/// Writes images as one archive that docker, podman and readers of OCI layouts take.
pub(crate) fn run(args: &SaveArgs, store: &Store, environment: &Environment, style: Style) -> Outcome {
    if args.output.is_none() && environment.stdout_is_terminal {
        return Err(Failure::new("cowardly refusing to save to a terminal")
            .with_hint("use the -o flag or redirect the output"));
    }
    let images = args.images.iter().map(|text| wanted(text, store)).collect::<Result<Vec<_>, _>>()?;
    let known = if args.thin { known_layers(environment, style) } else { KnownLayers::default() };
    if args.thin && images.iter().any(|image| matches!(image.id, Named::Index(_))) {
        ui::note("docker will take the images for this machine's platform only\n");
    }
    let archive = Archive { images, known, format: args.format };
    match &args.output {
        Some(path) => partial::write(path, |mut file| archive.write(store, &mut file))?,
        None => archive.write(store, &mut io::stdout().lock())?,
    }
    Ok(Exit::OK)
}

/// What docker on this machine has. Where that cannot be found out, an archive with everything is right as well.
fn known_layers(environment: &Environment, style: Style) -> KnownLayers {
    let asked = daemon_address(environment)
        .and_then(|address| Daemon::new(address).known_layers().map_err(Failure::from));
    asked.unwrap_or_else(|failure| {
        ui::warn(&format!("{}; all layers are saved", failure.message.unwrap_or_default()), style);
        KnownLayers::default()
    })
}

/// What is to be written.
struct Archive {
    images: Vec<Selection>,
    /// What its reader has already.
    known: KnownLayers,
    format: SaveFormat,
}

impl Archive {
    fn write(&self, store: &Store, out: &mut impl Write) -> Result<(), Failure> {
        let saved = match self.format {
            SaveFormat::Docker => archive::save_thin(store, &self.images, &self.known, out),
            SaveFormat::Oci => archive::save(store, &self.images, out, Format::Oci),
        };
        Ok(saved?)
    }
}

/// What a name or an ID means and the names that go with it: the one typed, or for an ID all that it has, as docker
/// does it.
fn wanted(text: &str, store: &Store) -> Result<Selection, Failure> {
    let id = find::meaning(store, text)?;
    let names = find::names_by_meaning(store)?.remove(&id).unwrap_or_default();
    let typed = text.parse::<Reference>().ok().map(|r| r.with_default_tag().canonical());
    let one = names.iter().find(|n| Some(n.canonical()) == typed).cloned();
    Ok(Selection { id, names: one.map_or(names, |name| vec![name]) })
}
