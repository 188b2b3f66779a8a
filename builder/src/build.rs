//! A whole build: inputs, plans, steps, images, outputs.

use std::sync::Arc;

use rbuild_image::config::ImageConfig;
use rbuild_image::digest::{DiffId, ImageId, LayerId};
use rbuild_image::platform::Platform;
use rbuild_image::store::{Named, Store, side_by_side};
use rbuild_parser::plan::{Op, Root, StepId, Target};

use crate::assemble;
use crate::bases::{Source, StoreBases};
use crate::cancel::Cancel;
use crate::carry::{Carry, Rounds, into_config};
use crate::chain::Chain;
use crate::emulation;
use crate::error::{BuildError, FailedStep, Located, Problem, SourceFile};
use crate::event::{Event, Observer, StepInfo};
use crate::explain::{self, Trace};
use crate::failed;
use crate::fetch::Remote;
use crate::inputs::Inputs;
use crate::lock::Pins;
use crate::output;
use crate::recipe::Recipe;
use crate::request::Request;
use crate::schedule;
use crate::seal::Sealer;
use crate::session::{Parts, Session};
use crate::step::{self, StepFailure};
use crate::work::Work;

/// What a build results in.
#[derive(Debug)]
pub struct Built {
    /// The image, or the index of the images for several platforms; None if only files were asked for
    /// (`--output type=local` and `tar`).
    pub image: Option<Named>,
}

/// Builds what `request` describes.
///
/// # Errors
/// See [`BuildError`]; the store is then as it was, but for the results of steps that succeeded.
pub fn build(
    store: &Store,
    request: &Request,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Built, BuildError> {
    let pins = Arc::new(Pins::open(request.lock.as_ref())?);
    let fetch = Remote::new(store, request, Arc::clone(&pins), cancel);
    let registry = request.registry.clone();
    let _guard = cancel.on_cancel(move || registry.shut_down());
    let asked_to_end = |error| if cancel.requested() { BuildError::Interrupted } else { error };
    let inputs = Inputs::open(store, request, &fetch, cancel).map_err(asked_to_end)?;
    let source = Source {
        lazily: !request.cache_from.is_empty() || store.has_remotes()?,
        registry: &request.registry,
        policy: request.pull,
        pins: &pins,
        observer,
    };
    let mut bases = StoreBases::pulling(store, source);
    let planned = crate::planning::plan(&inputs, request, &mut bases, &fetch, observer);
    let (work, options) = planned.map_err(asked_to_end)?;
    crate::entitlements::check(&work, request.allow, &inputs.file)?;
    output::check(request, &work.targets)?;
    let pending = bases.take_pending();
    let (bases, named) = bases.into_images();
    let recipe = Recipe::new(&inputs.file.text, &options, named, work.origins(&request.platforms));
    let dockerfile = explain::dockerfile(inputs.path.as_deref());
    let steps: Vec<StepInfo> = work.steps.iter().map(|step| step_info(&work, step)).collect();
    observer.on(Event::Planned(&steps));
    let wants_image = output::wants_image(request);

    let carry = Carry::import(request, pending, observer);
    let observer = &Rounds::new(observer);
    loop {
        let trace = Trace::new(&work.steps, |base| bases[base as usize].id);
        let outcome = std::thread::scope(|scope| {
            let sealer = Sealer::new(scope, &work, wants_image);
            let parts = Parts {
                store,
                request,
                work: &work,
                bases: &bases,
                contexts: &inputs.contexts,
                observer,
                cancel,
                sealer: &sealer,
                fetch: &fetch,
                trace: &trace,
                carry: &carry,
                recipe: &recipe,
                dockerfile: &dockerfile,
            };
            let session = Session::new(parts);
            let outcome = emulation::check(&parts, &inputs.file).map_err(Stop::from);
            let outcome = outcome.and_then(|()| run_steps(&session, &inputs.file, &steps));
            sealer.end(outcome.is_err());
            inputs.remember();
            outcome.and_then(|()| finish(&session, &inputs.file))
        });
        let built = match outcome {
            Ok(built) => pins.save().map(|()| built).map_err(BuildError::from),
            Err(Stop::Again) => continue,
            Err(Stop::Failed(error)) => Err(error),
        };
        let (outcome, image, names) = ended(&built, store, request);
        if outcome != explain::Outcome::Interrupted {
            failed::forget(store, &dockerfile, &request.id);
        }
        let end = explain::End { id: &request.id, dockerfile, recipe, outcome, image, names };
        trace.save(store, end, || carry.builds(store));
        return built;
    }
}

/// Why the steps were not done to the end.
enum Stop {
    /// A result from elsewhere turned out not to be there: once more, without it.
    Again,
    /// The build failed.
    Failed(BuildError),
}

impl<E: Into<BuildError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What is remembered of how a build ended.
fn ended(
    built: &Result<Built, BuildError>,
    store: &Store,
    request: &Request,
) -> (explain::Outcome, Option<ImageId>, Vec<String>) {
    match built {
        Ok(built) => {
            let names = request.names.iter().map(ToString::to_string).collect();
            // Of several platforms it is this machine's that people ask for by the name.
            let image = built.image.and_then(|image| store.image_here(image).ok().flatten());
            (explain::Outcome::Done, image.map(|image| image.id), names)
        }
        Err(BuildError::Interrupted) => (explain::Outcome::Interrupted, None, Vec::new()),
        Err(_) => (explain::Outcome::Failed, None, Vec::new()),
    }
}

fn run_steps(session: &Session<'_>, file: &Arc<SourceFile>, infos: &[StepInfo]) -> Result<(), Stop> {
    let steps = &session.work.steps;
    let dependencies: Vec<Vec<usize>> = steps.iter().map(step_dependencies).collect();
    schedule::run(
        &dependencies,
        session.request.parallel,
        |index| {
            if session.cancel.requested() {
                return Err(Stop::Failed(BuildError::Interrupted));
            }
            let step = &steps[index];
            match step::perform(session, step) {
                Ok(result) => {
                    session.finish(step.id, result);
                    Ok(())
                }
                Err(_) if session.cancel.requested() => Err(BuildError::Interrupted.into()),
                Err(failure) if failure.again => Err(Stop::Again),
                Err(mut failure) => {
                    let info = &infos[index];
                    let kept = failed::keep(session, step, &info.title, &mut failure);
                    Err(locate(failure, file, step.lines, info, kept).into())
                }
            }
        },
        |stop| match stop {
            // What still runs has a result that the next round finds.
            Stop::Again => {}
            Stop::Failed(_) => session.cancel.cancel(),
        },
    )
}

fn locate(
    failure: StepFailure,
    file: &Arc<SourceFile>,
    lines: rbuild_parser::source::LineRange,
    info: &StepInfo,
    kept: bool,
) -> BuildError {
    let StepFailure { message, help, log_tail, located, .. } = failure;
    let problem = Problem { lines: located.then_some(lines), help, ..Problem::new(message) };
    let step = FailedStep { info: info.clone(), log_tail, kept };
    BuildError::Dockerfile(Box::new(Located {
        file: Arc::clone(file),
        problems: vec![problem],
        step: Some(step),
    }))
}

fn step_info(work: &Work, step: &rbuild_parser::plan::Step) -> StepInfo {
    let (number, count) = step.position;
    let width = count.to_string().len();
    let stage = if step.only_stage { String::new() } else { format!("{} ", step.stage) };
    let platform = work.shown_platform(step).map(|platform| format!("{platform} ")).unwrap_or_default();
    let onbuild = if step.onbuild { "ONBUILD " } else { "" };
    StepInfo {
        stage: step.stage.clone(),
        platform: step.platform.clone(),
        title: format!("[{platform}{stage}{number:>width$}/{count}] {onbuild}{}", step.text),
        instruction: step.text.clone(),
        lines: step.lines,
    }
}

/// The steps whose results a step reads.
pub(crate) fn step_dependencies(step: &rbuild_parser::plan::Step) -> Vec<usize> {
    let mut needs: Vec<usize> = roots_of(step)
        .into_iter()
        .filter_map(|root| match root {
            Root::Step(StepId(id)) => Some(*id as usize),
            _ => None,
        })
        .collect();
    needs.sort_unstable();
    needs.dedup();
    needs
}

/// The states of file systems that a step reads.
fn roots_of(step: &rbuild_parser::plan::Step) -> Vec<&Root> {
    let mut roots = vec![&step.parent];
    match &step.op {
        Op::Copy(copy) => roots.push(&copy.from),
        Op::Run(run) => roots.extend(run.mounts.iter().filter_map(crate::step::mount_root)),
        Op::Workdir(_) => {}
    }
    roots
}

/// Assembles the images from the steps' results, names them, and writes the outputs.
fn finish(session: &Session<'_>, file: &Arc<SourceFile>) -> Result<Built, Stop> {
    let located = |failure: StepFailure| match failure.again {
        true => Stop::Again,
        false => unlocated(failure, file).into(),
    };
    let targets = &session.work.targets;
    let chains = targets.iter().map(|target| session.chain(&target.root)).collect::<Result<Vec<_>, _>>();
    let chains = chains.map_err(located)?;
    for chain in &chains {
        session.obtain(chain).map_err(located)?;
    }
    let rewritten = output::rewritten(session, &chains)?;
    let image = match output::wants_image(session.request) {
        true => Some(put_images(session, &rewritten)?),
        false => None,
    };
    output::write(session, &rewritten, image)?;
    output::write_caches(session, &chains)?;
    Ok(Built { image })
}

/// Keeps the image of each target, and gives the names to the one or to all of them together.
fn put_images(session: &Session<'_>, chains: &[Chain]) -> Result<Named, BuildError> {
    let targets = &session.work.targets;
    let mut images = Vec::with_capacity(targets.len());
    for (target, chain) in targets.iter().zip(chains) {
        images.push(put_image(session, target, chain)?);
    }
    let named = match &images[..] {
        [(_, only)] => Named::Image(*only),
        _ => Named::Index(session.store.put_index(images)?),
    };
    for name in &session.request.names {
        session.store.set_name(name, named)?;
    }
    Ok(named)
}

fn unlocated(failure: StepFailure, file: &Arc<SourceFile>) -> BuildError {
    let problem = Problem { help: failure.help, ..Problem::new(failure.message) };
    BuildError::Dockerfile(Box::new(Located { file: Arc::clone(file), problems: vec![problem], step: None }))
}

fn put_image(
    session: &Session<'_>,
    target: &Target,
    chain: &Chain,
) -> Result<(Platform, ImageId), BuildError> {
    let diff_ids = diff_ids(session.store, &chain.layers())?;
    let base = target.base.map(|id| &session.bases[id.0 as usize].config);
    let platform: Platform = target.platform.parse().expect("the plan has normalised the platform");
    let config: ImageConfig =
        assemble::image_config(target, base, diff_ids, &platform, |step| session.result(step).created);
    let mut bytes = config.to_bytes();
    if session.request.inline_cache {
        bytes = into_config(session.store, session.carry, &session.trace.steps(), chain, &bytes)
            .map_err(|cause| BuildError::Output { what: "cache into the image".to_owned(), cause })?;
    }
    let id = session.store.put_image(&bytes, &chain.layers())?;
    Ok((platform, id))
}

/// At once where several are not known yet.
fn diff_ids(store: &Store, layers: &[LayerId]) -> Result<Vec<DiffId>, BuildError> {
    let layers = layers
        .iter()
        .map(|id| Ok(store.layer(*id)?.expect("the build holds a lease on its layers")))
        .collect::<Result<Vec<_>, BuildError>>()?;
    if layers.iter().filter(|layer| !layer.knows_diff_id()).count() > 1 {
        side_by_side(&layers, |layer| Ok(layer.diff_id()?))
    } else {
        layers.iter().map(|layer| Ok(layer.diff_id()?)).collect()
    }
}
