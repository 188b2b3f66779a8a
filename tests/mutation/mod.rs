//! Random projects, changed one input at a time: the cached build and one without a cache must be the same image but
//! for times, and `explain` must name what was changed and nothing else.
//!
//! ```text
//! project   what goes into a build, at random;  disk: its files, changed in place
//! mutate    the kinds of changes, each with what has to be said of it
//! expect    whether `rbuild explain` says that;  compare: whether two images are the same
//! platforms the same for two platforms, with projects of their own
//! ```
//!
//! `RBUILD_MUTATIONS` says how many (`.ci/run mutation` does 2,000). They are done in rounds that go through all kinds
//! of changes once, in a random order, each round with stores and a seed of its own, several at once. Where nobody
//! says how many it is one round. What fails says with which `RBUILD_SEED` and `RBUILD_MUTATIONS` it fails again.

mod compare;
mod dice;
mod disk;
mod expect;
mod mutate;
mod platforms;
mod project;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::support::{Outcome, Sandbox};
use compare::Comparable;
use dice::Dice;
use disk::Disk;
use mutate::{Mutation, Trick, mutate, shuffled};
use project::{Abilities, BASES, Project};

/// Mutations that share their stores: every kind once.
const ROUND: u64 = mutate::COUNT as u64;
/// After so many comes another project, in the same stores.
const PROJECT: u64 = 13;
/// Before every so many mutations the cache is exported as it is, and after the mutation a new store begins with that.
const CARRIED: u64 = 16;
/// For so many mutations there is one of a project for two platforms.
const FOR_PLATFORMS: u64 = 40;
/// As often is the image compared with the first build of a new store, and not with one that ignores the cache: WORKDIR
/// comes from the cache even then.
const NEW_STORE: u64 = 5;

#[test]
fn one_input_at_a_time() {
    let Some(setup) = Sandbox::with_containers() else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let seed = number("RBUILD_SEED").unwrap_or_else(|| u64::from(clock().subsec_nanos()));
    let count = number("RBUILD_MUTATIONS").unwrap_or(ROUND);
    println!("RBUILD_SEED={seed} RBUILD_MUTATIONS={count}");
    let bases = base_images(&setup);
    let (next, failed, begun) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
    let work = || {
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            let left = count.saturating_sub(round * ROUND).min(ROUND);
            if left == 0 || failed.load(Ordering::Relaxed) {
                break;
            }
            let failing = Failing(&failed);
            Round::new(seed.wrapping_add(round), &bases).run(left);
            std::mem::forget(failing);
        }
    };
    // Half of the time goes by with waiting for the disk and for processes to start.
    let workers = 2 * std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let more = (count / FOR_PLATFORMS).div_ceil(platforms::ROUND).max(1);
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= more || failed.load(Ordering::Relaxed) {
                break;
            }
            let failing = Failing(&failed);
            let seed = seed.wrapping_add(round);
            platforms::round(seed).unwrap_or_else(|wrong| panic!("RBUILD_SEED={seed} {wrong}"));
            std::mem::forget(failing);
        }
    };
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let count = count + more * platforms::ROUND;
    println!("{count} mutations in {} s", begun.elapsed().as_secs());
}

/// Tells the others when the round that holds it fails.
struct Failing<'a>(&'a AtomicBool);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether the cache that is exported before a mutation has the layers of all stages.
fn has_all_layers(number: u64) -> bool {
    number.is_multiple_of(2 * CARRIED)
}

/// Leaves out of an explanation what is true wherever a layer came from another machine: a layer's tar has no
/// attributes of users (spec 8.1), so files that are copied from it have none any more.
fn forget_lost_attributes(explained: &mut Value) {
    let is_lost = |change: &Value| {
        let name = change["name"].as_str().unwrap_or_default();
        change["change"] == "attribute" && name.starts_with("user.") && change["to"].is_null()
    };
    for step in explained["steps"].as_array_mut().expect("steps") {
        let Some(changes) = step["changes"].as_array_mut() else { continue };
        changes.retain_mut(|change| {
            let Some(files) = change["files"]["changes"].as_array_mut() else { return true };
            let before = files.len();
            files.retain(|file| !is_lost(file));
            before == files.len() || !files.is_empty()
        });
    }
}

/// An archive of the images that projects are based on: `base:0` and so on.
fn base_images(sandbox: &Sandbox) -> PathBuf {
    let archive = sandbox.path("bases.tar");
    let mut save = vec!["save".to_owned(), "-o".to_owned(), archive.clone()];
    for (number, dockerfile) in BASES.iter().enumerate() {
        let name = format!("base:{number}");
        sandbox.build(dockerfile, &["-q", "-t", &name]).succeeded();
        save.push(name);
    }
    sandbox.rbuild(&save.iter().map(String::as_str).collect::<Vec<_>>()).succeeded();
    archive.into()
}

/// A store with the base images.
struct Bench {
    sandbox: Sandbox,
    /// Which of them is called `base`.
    base: Option<usize>,
}

impl Bench {
    fn new(bases: &Path) -> Self {
        let sandbox = Sandbox::new();
        sandbox.rbuild(&["load", "-q", "-i", &bases.to_string_lossy()]).succeeded();
        Self { sandbox, base: None }
    }

    fn build(&mut self, project: &Project, context: &Path, trick: &Trick, more: &[&str]) -> Outcome {
        if self.base != Some(project.base) {
            let name = format!("base:{}", project.base);
            self.sandbox.rbuild(&["tag", &name, "base"]).succeeded();
            self.base = Some(project.base);
        }
        let context = context.to_string_lossy();
        let mut args: Vec<String> = ["build", "-q", "-t", "x"].map(str::to_owned).into();
        args.extend(project.build_args.iter().map(|(name, value)| format!("--build-arg={name}={value}")));
        args.extend(project.host.iter().map(|host| format!("--add-host={host}")));
        args.push(format!("--build-context=named={context}/named"));
        args.push(format!("--secret=id=outside,src={context}/outside"));
        if let Trick::Args(special) = trick {
            args.extend(special.iter().map(|arg| (*arg).to_owned()));
        }
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        args.push(context.into_owned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let command = self.sandbox.command(&args);
        match trick {
            Trick::Umask(mask) => Outcome::of(with_umask(&command, mask), &args),
            _ => Outcome::of(command, &args),
        }
    }
}

/// The same command under another umask.
fn with_umask(command: &Command, mask: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask $0; exec \"$@\"", mask]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().expect("it has one"));
    shell
}

/// Mutations that share their stores.
struct Round<'a> {
    seed: u64,
    bases: &'a Path,
    cached: Bench,
    uncached: Bench,
    disk: Disk,
    can: Abilities,
}

impl<'a> Round<'a> {
    fn new(seed: u64, bases: &'a Path) -> Self {
        let (cached, uncached) = (Bench::new(bases), Bench::new(bases));
        let disk = Disk::new(cached.sandbox.work().join("context"));
        let can = Abilities { owners: rustix::process::geteuid().is_root(), xattrs: disk.has_xattrs() };
        Self { seed, bases, cached, uncached, disk, can }
    }

    fn run(mut self, count: u64) {
        let mut dice = Dice::new(self.seed);
        let mut project = Project::random(&mut dice, self.can);
        for (number, kind) in (0..count).zip(shuffled(&mut dice)) {
            if number % PROJECT == 0 {
                project = Project::random(&mut dice, self.can);
                self.disk.apply(&project.on_disk(), None);
                self.cached.build(&project, self.disk.root(), &Trick::None, &[]).succeeded();
            }
            let before = project.clone();
            if number % CARRIED == 0 {
                self.export(&project, number);
            }
            let Some(mutation) = mutate(kind, &mut project, &mut dice, self.can) else { continue };
            if let Err(wrong) = self.verify(&project, &mutation, number) {
                let again = format!("RBUILD_SEED={} RBUILD_MUTATIONS={}", self.seed, number + 1);
                let Mutation { what, expected, trick } = mutation;
                panic!(
                    "{again}: {what}: {wrong}\n--- expected\n{expected:?} {trick:?}\n--- before\n{before:?}\n{}",
                    project.dockerfile()
                );
            }
        }
    }

    /// Writes the cache of the project as it is to where another machine finds it; with the layers of all stages, or
    /// without, so that they have to be made when they are needed.
    fn export(&mut self, project: &Project, number: u64) {
        let mode = if has_all_layers(number) { "max" } else { "min" };
        let to = format!("--cache-to=type=local,dest={},mode={mode}", self.carried().display());
        self.cached.build(project, self.disk.root(), &Trick::None, &[&to]).succeeded();
    }

    fn carried(&self) -> PathBuf {
        self.cached.sandbox.work().join("carried")
    }

    /// Builds on a machine that has nothing but that cache. The error says what is not as it has to be.
    fn verify_carried(
        &self,
        project: &Project,
        mutation: &Mutation,
        number: u64,
        cached: &Comparable,
    ) -> Result<(), String> {
        let mut other = Bench::new(self.bases);
        let from = format!("--cache-from=type=local,src={}", self.carried().display());
        let built = other.build(project, self.disk.root(), &mutation.trick, &[&from]);
        if built.code != 0 {
            return Err(built.to_string());
        }
        // Where layers are missing, more runs than what was changed.
        if has_all_layers(number) {
            let explained = other.sandbox.rbuild(&["explain", "--format=json"]).succeeded().stdout;
            let mut explained: Value = serde_json::from_str(&explained).expect("JSON");
            forget_lost_attributes(&mut explained);
            let said = mutation.expected.check(&explained);
            said.map_err(|wrong| format!("with the cache of another machine: {wrong}"))?;
        }
        match cached.difference(&Comparable::of(&other.sandbox)) {
            Some(found) => Err(format!("with the cache of another machine it is another image:\n{found}")),
            None => Ok(()),
        }
    }

    /// Builds with and without a cache. The error says what is not as it has to be.
    fn verify(&mut self, project: &Project, mutation: &Mutation, number: u64) -> Result<(), String> {
        let Mutation { expected, trick, .. } = mutation;
        let touch = if let Trick::Touch(touch) = trick { Some(touch) } else { None };
        self.disk.apply(&project.on_disk(), touch);
        let place = self.disk.root().to_owned();
        if matches!(trick, Trick::Moved) {
            self.disk.rename(place.with_extension("moved"));
        }
        let built = self.cached.build(project, self.disk.root(), trick, &[]);
        if built.code != 0 {
            return Err(built.to_string());
        }
        let explained = self.cached.sandbox.rbuild(&["explain", "--format=json"]).succeeded().stdout;
        let explained: Value = serde_json::from_str(&explained).expect("JSON");
        expected.check(&explained)?;
        let mut fresh;
        let (other, more) = if number.is_multiple_of(NEW_STORE) {
            fresh = Bench::new(self.bases);
            (&mut fresh, &[][..])
        } else {
            (&mut self.uncached, &["--no-cache"][..])
        };
        let plain = if matches!(trick, Trick::Umask(_)) { &Trick::None } else { trick };
        let built = other.build(project, self.disk.root(), plain, more);
        if built.code != 0 {
            return Err(built.to_string());
        }
        let (cached, uncached) = (Comparable::of(&self.cached.sandbox), Comparable::of(&other.sandbox));
        if let Some(found) = cached.difference(&uncached) {
            return Err(format!("the cached image is another one:\n{found}"));
        }
        if number.is_multiple_of(CARRIED) {
            self.verify_carried(project, mutation, number, &cached)?;
        }
        if matches!(trick, Trick::Moved) {
            self.disk.rename(place);
        }
        Ok(())
    }
}
