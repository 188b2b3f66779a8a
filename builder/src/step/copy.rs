//! COPY and ADD: files that become a layer, without a container.

use std::os::fd::AsFd;

use rbuild_image::digest::LayerId;
use rbuild_image::layer::{Author, Known, OwnTimes};
use rbuild_image::store::Layer;
use rbuild_image::time::Timestamp;
use rbuild_parser::plan::{Copy, CopySource, Root, Step};
use rbuild_runtime::users::owner_needs_files;

use super::{Making, StepFailure, find, find_or_make, key, log::StepLog};
use crate::carry::CopyName;
use crate::chain::Chain;
use crate::copy::{
    CopyDigest, CopyError, Latest, Links, Place, Reuse, Selection, Written, apply, digest, select,
};
use crate::explain::Selected;
use crate::key::{CopyKey, Origin, StepKeyKind, StepRecord, chmod_text};
use crate::session::Session;

/// The list of so many files takes longer to write than a thread to start.
const WORTH_A_THREAD: usize = 1000;

pub(crate) fn perform(
    session: &Session<'_>,
    step: &Step,
    parent: &Chain,
    copy: &Copy,
) -> Result<StepRecord, StepFailure> {
    let names = names(parent, copy);
    let below = (!copy.link).then_some(parent);
    let known = known_content(session, copy, names)?;
    if let Some(content) = known.content {
        let key = key(below, StepKeyKind::Copy(copy_key(copy, content)));
        if let Some(record) = find(session, step, &key)? {
            return Ok(record);
        }
    }
    let source = session.context(&copy.from)?;
    let dest = session.view(names.unwrap_or(&Chain::scratch()))?;
    let selection = select(copy, &source, &dest, session.fetch).map_err(failure)?;
    let content = digest(&selection).map_err(failure)?;
    if let Some(name) = &known.name {
        session.carry.remember_copy(name, text(&content));
    }
    let key = key(below, StepKeyKind::Copy(copy_key(copy, text(&content))));
    let digest = key.digest();
    let mut latest = None;
    let (mut is_whole, mut is_over) = (false, false);
    let record = find_or_make(session, step, parent, key, |making, _| {
        let latest = latest.insert(earlier_layer(session, step, copy)?);
        let (times, mut known) = beside(
            content.records.len() >= WORTH_A_THREAD,
            || session.keep_inputs(digest, &[selected(content)]),
            || write(session, &selection, making, Some(latest)),
        )?;
        // Where it is over another layer, there was nothing like it below.
        if !copy.link && known.over.is_none() && making.normalize(session, Author::Ourselves)? {
            known.listing = None;
        }
        (is_whole, is_over) = (known.listing.is_some(), known.over.is_some());
        making.knows(known);
        Ok(times)
    })?;
    // What the next layer can be over stays the same until too much differs.
    if let Some(latest) = latest.filter(|_| !is_over) {
        latest.save(record.layer, is_whole);
    }
    Ok(record)
}

/// Does `small` beside `large` where that is worth a thread.
fn beside<T>(
    worth_it: bool,
    small: impl FnOnce() -> Result<(), StepFailure> + Send,
    large: impl FnOnce() -> Result<T, StepFailure>,
) -> Result<T, StepFailure> {
    if !worth_it {
        small()?;
        return large();
    }
    std::thread::scope(|scope| {
        let small = scope.spawn(small);
        let large = large();
        small.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        large
    })
}

/// What this instruction made before: most files of the next layer are the same.
fn earlier_layer(session: &Session<'_>, step: &Step, copy: &Copy) -> Result<Latest, StepFailure> {
    let folder = session.store.path().join("latest");
    let latest = Latest::of(&folder, &[&step.stage, &step.text, &copy.dest]);
    let Some(id) = latest.layer() else { return Ok(latest) };
    let layer = session.store.layer(id).map_err(StepFailure::store)?;
    let place = |layer: Layer| {
        let root = layer.open_fs().map_err(StepFailure::store)?.into_top();
        Ok::<_, StepFailure>(Place { root, is_base: layer.can_be_base() })
    };
    Ok(latest.below(layer.map(place).transpose()?))
}

fn write(
    session: &Session<'_>,
    selection: &Selection,
    making: &Making<'_>,
    latest: Option<&Latest>,
) -> Result<(OwnTimes, Known), StepFailure> {
    let dest = making.below(session)?;
    let links = Links::Layer(latest.map(|latest| latest as &dyn Reuse));
    let owners = session.store.flavour().owners();
    let Written { own_time, known } =
        apply(selection, &dest, making.upper().as_fd(), owners, links).map_err(failure)?;
    Ok((OwnTimes::IgnoreSince(Timestamp::new(own_time.secs, own_time.nanos)), known))
}

/// The chain in which the names of `--chown` are looked up, if it has any. Nothing else of what is below a copy has to
/// be there to know what is copied.
fn names<'a>(parent: &'a Chain, copy: &Copy) -> Option<&'a Chain> {
    let has_names = copy.chown.as_deref().is_some_and(|spec| !spec.is_empty() && owner_needs_files(spec));
    (has_names && !copy.link).then_some(parent)
}

/// What is known of a copy without looking at files.
struct KnownContent {
    /// Under which the digest can be remembered.
    name: Option<CopyName>,
    /// The digest.
    content: Option<String>,
}

fn known_content(
    session: &Session<'_>,
    copy: &Copy,
    names: Option<&Chain>,
) -> Result<KnownContent, StepFailure> {
    let key = copy_key(copy, String::new());
    if !session.carry.wants_copies() || key.origin != Origin::Layers {
        return Ok(KnownContent { name: None, content: None });
    }
    let name = CopyName::of(&session.chain(&copy.from)?, names, copy, &key);
    let content = name.as_ref().and_then(|name| session.carry.copied(session.store, name));
    Ok(KnownContent { name, content })
}

fn copy_key(copy: &Copy, content: String) -> CopyKey {
    CopyKey {
        add: copy.add,
        origin: Origin::of(&copy.from),
        dest: copy.dest.clone(),
        chown: copy.chown.clone(),
        chmod: copy.chmod.as_ref().map(chmod_text),
        link: copy.link,
        parents: copy.parents,
        exclude: copy.exclude.clone(),
        unpack: copy.unpack,
        content,
    }
}

/// The instruction `COPY --link --from=FROM SOURCE DEST`.
pub(crate) fn linked(from: Root, source: &str, dest: &str) -> Copy {
    Copy {
        add: false,
        from,
        sources: vec![CopySource::Path(source.to_owned())],
        dest: dest.to_owned(),
        chown: None,
        chmod: None,
        link: true,
        parents: false,
        exclude: Vec::new(),
        unpack: None,
        checksum: None,
        keep_git_dir: None,
    }
}

/// What becomes of the directory that a copy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Top {
    /// The destination is a new directory, as with COPY.
    New,
    /// The destination looks as it does: what a mount shows.
    Shown,
}

fn selection(session: &Session<'_>, copy: &Copy, top: Top) -> Result<Selection, StepFailure> {
    let source = session.context(&copy.from)?;
    let nothing = session.view(&Chain::scratch())?;
    let selection = select(copy, &source, &nothing, session.fetch).map_err(failure)?;
    Ok(match top {
        Top::New => selection,
        Top::Shown => selection.with_top(),
    })
}

/// The digest of what a copy selects, for the key of a mount that shows the same files; and the files, unless the
/// digest was known without them.
pub(crate) fn content(
    session: &Session<'_>,
    copy: &Copy,
    top: Top,
) -> Result<(String, Option<Selected>), StepFailure> {
    let known = known_content(session, copy, None)?;
    if let Some(content) = known.content {
        return Ok((content, None));
    }
    let selection = selection(session, copy, top)?;
    let selected = selected(digest(&selection).map_err(failure)?);
    if let Some(name) = &known.name {
        session.carry.remember_copy(name, selected.content.clone());
    }
    Ok((selected.content.clone(), Some(selected)))
}

fn selected(content: CopyDigest) -> Selected {
    Selected { content: text(&content), files: content.records }
}

fn text(content: &CopyDigest) -> String {
    blake3::Hash::from_bytes(content.digest).to_string()
}

/// A layer with the files that a `COPY --link` copies, made or found: for bind mounts, and for folders that are
/// used as a base. It is no step of the plan, so nobody is told.
pub(crate) fn materialize(session: &Session<'_>, copy: &Copy, top: Top) -> Result<LayerId, StepFailure> {
    let nothing = Chain::scratch();
    let selection = selection(session, copy, top)?;
    let content = digest(&selection).map_err(failure)?;
    let key = key(None, StepKeyKind::Copy(copy_key(copy, text(&content))));
    let digest = key.digest();
    if let Some(record) = session.cached(digest)? {
        return Ok(record.layer);
    }
    let making = Making::new(session, &nothing)?;
    let mut log = StepLog::new(&crate::event::Silent, 0, &making.log_path());
    let make = |making: &Making<'_>, _: &mut StepLog<'_>| {
        let (times, known) = write(session, &selection, making, None)?;
        making.knows(known);
        Ok(times)
    };
    let publish = |temp: &_, times, known| session.store.publish_layer_knowing(temp, times, known);
    let (record, _) = super::make_layer(session, making, &mut log, key, digest, make, publish)?;
    Ok(record.layer)
}

fn failure(cause: CopyError) -> StepFailure {
    let help = cause.help().join("; ");
    let located = cause.located();
    let failure = StepFailure { located, ..StepFailure::new(cause.to_string()) };
    if help.is_empty() { failure } else { failure.help(help) }
}

/// Copies files into a folder that is no layer: what a new cache starts with.
pub(crate) fn fill(session: &Session<'_>, copy: &Copy, folder: &std::path::Path) -> Result<(), StepFailure> {
    use rustix::fs::{Mode, OFlags};
    let copy = Copy { dest: "/".into(), ..copy.clone() };
    let nothing = session.view(&Chain::scratch())?;
    let selection = selection(session, &copy, Top::New)?;
    let into = rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|cause| StepFailure::io(&format!("open {}", folder.display()), &cause.into()))?;
    apply(&selection, &nothing, into.as_fd(), session.store.flavour().owners(), Links::Never)
        .map_err(failure)?;
    Ok(())
}
