//! What a build leaves behind beside the image in the store: archives and folders.

mod archive;
mod clamp;
mod early;
mod files;

use std::time::Instant;

use rbuild_image::store::Named;
use rbuild_parser::plan::Target;

use crate::carry::export;
use crate::chain::Chain;
use crate::error::BuildError;
use crate::event::Event;
use crate::request::{Dest, Output, OutputKind, Request};
use crate::session::Session;
pub(crate) use early::{Early, Ready};

/// False if only files were asked for: no digests are computed then, and nothing gets a name.
pub(crate) fn wants_image(request: &Request) -> bool {
    let files = |output: &Output| matches!(output.kind, OutputKind::Tar | OutputKind::Local);
    !request.names.is_empty() || request.outputs.is_empty() || !request.outputs.iter().all(files)
}

/// The chains of all targets, without times after the epoch if that is asked for.
pub(crate) fn rewritten(session: &Session<'_>, chains: &[Chain]) -> Result<Vec<Chain>, BuildError> {
    if !session.request.rewrite_times {
        return Ok(chains.to_vec());
    }
    let what = "the layers with their times rewritten";
    let started = Instant::now();
    session.observer.on(Event::Exporting { what });
    let one = |(target, chain): (&Target, &Chain)| {
        let Some(epoch) = target.epoch else { return Ok(chain.clone()) };
        let base = target.base.map_or(0, |id| session.bases[id.0 as usize].layers.len());
        clamp::clamp(session.store, chain, base, epoch)
            .map_err(|cause| BuildError::Output { what: what.to_owned(), cause })
    };
    let rewritten = session.work.targets.iter().zip(chains).map(one).collect::<Result<_, _>>()?;
    session.observer.on(Event::Exported { what, duration: started.elapsed() });
    Ok(rewritten)
}

/// Fails, before anything runs, if times are to be rewritten to what nobody said.
pub(crate) fn check(request: &Request, targets: &[Target]) -> Result<(), BuildError> {
    if !request.rewrite_times || targets.iter().all(|target| target.epoch.is_some()) {
        return Ok(());
    }
    let cause = "rewrite-timestamp=true needs a time: --build-arg SOURCE_DATE_EPOCH=SECONDS".to_owned();
    Err(BuildError::Output { what: "the image".to_owned(), cause })
}

/// Writes all outputs of a finished build.
///
/// `chains` are the file systems of all targets.
pub(crate) fn write(session: &Session<'_>, chains: &[Chain], image: Option<Named>) -> Result<(), BuildError> {
    for output in &session.request.outputs {
        let what = describe(output);
        let started = Instant::now();
        session.observer.on(Event::Exporting { what: &what });
        let outcome = match (output.kind, image) {
            (OutputKind::Tar | OutputKind::Local, _) => files::write(session, chains, output),
            (OutputKind::Docker | OutputKind::Oci | OutputKind::OciFolder, Some(image)) => {
                archive::write(session, image, output)
            }
            (OutputKind::Docker | OutputKind::Oci | OutputKind::OciFolder, None) => {
                unreachable!("an archive of an image is asked for, so there is one")
            }
        };
        outcome.map_err(|cause| BuildError::Output { what: what.clone(), cause })?;
        session.observer.on(Event::Exported { what: &what, duration: started.elapsed() });
    }
    Ok(())
}

/// Writes what the build knows to where others look for it.
pub(crate) fn write_caches(session: &Session<'_>, chains: &[Chain]) -> Result<(), BuildError> {
    for target in &session.request.cache_to {
        let what = format!("cache to {}", target.place.name());
        let started = Instant::now();
        session.observer.on(Event::Exporting { what: &what });
        match export(session.store, session.carry, &session.trace.steps(), chains, target) {
            Ok(()) => session.observer.on(Event::Exported { what: &what, duration: started.elapsed() }),
            Err(cause) if target.ignore_errors => {
                session.observer.on(Event::Notice(&format!("failed to write the {what}: {cause}")));
            }
            Err(cause) => return Err(BuildError::Output { what, cause }),
        }
    }
    Ok(())
}

fn describe(output: &Output) -> String {
    let kind = match output.kind {
        OutputKind::Docker => "docker archive",
        OutputKind::Oci => "OCI archive",
        OutputKind::OciFolder => "OCI layout",
        OutputKind::Tar => "tar of the files",
        OutputKind::Local => "files",
    };
    match &output.dest {
        Dest::Path(path) => format!("{kind} to {}", path.display()),
        Dest::Stdout => format!("{kind} to standard output"),
    }
}
