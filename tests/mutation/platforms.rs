//! Builds for two platforms, changed one input at a time. One of them is foreign, so there is no RUN.

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::archive::Image;

use super::compare::Comparable;
use super::dice::Dice;
use super::disk::{Disk, Node, Touch};
use super::expect::{Cause, Expected};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// Where a file of `shared` is first seen. The step is the same for both platforms: one of them makes it, and where it
/// is the second the copy from it is the first that misses.
const SHARED: &str = "shared /";

/// A context, a Dockerfile and a command line.
#[derive(Debug, Clone)]
struct Project {
    files: std::collections::BTreeMap<String, Node>,
    seen: String,
    env: String,
    word: String,
    workdir: String,
    dest: String,
}

impl Project {
    fn random(dice: &mut Dice) -> Self {
        let file = |dice: &mut Dice| Node::data(dice.fresh(), 0o644);
        let paths = ["amd64/file", "arm64/file", "shared/deep/file", "shared/keep", "last"];
        let files = paths.into_iter().map(|path| (path.to_owned(), file(dice))).collect();
        let mut word = || dice.fresh();
        let (seen, env, word, workdir, dest) = (word(), word(), word(), word(), word());
        Self { files, seen, env, word, workdir, dest }
    }

    fn dockerfile(&self) -> String {
        let Self { env, word, workdir, dest, .. } = self;
        format!(
            "FROM --platform=linux/amd64 scratch AS tools\n\
             COPY shared /shared\n\
             FROM scratch\n\
             ARG TARGETARCH\n\
             COPY $TARGETARCH /arch/\n\
             COPY --from=tools /shared /{dest}/\n\
             ARG SEEN\n\
             COPY <<EOF /word\n$SEEN on $TARGETARCH: {word}\nEOF\n\
             ENV SET={env}\n\
             WORKDIR /w/{workdir}\n\
             COPY last /last\n"
        )
    }

    fn on_disk(&self) -> std::collections::BTreeMap<String, Node> {
        let mut all = self.files.clone();
        all.insert("Dockerfile".into(), Node::data(self.dockerfile(), 0o644));
        all
    }
}

/// What has to be said, and of which platforms steps run.
type Said = (Expected, &'static [&'static str], Option<Touch>);
type Kind = fn(&mut Project, &mut Dice) -> Said;

const KINDS: [(&str, Kind); 11] = [
    ("nothing", |_, _| nothing(None)),
    ("one platform's file", |project, dice| {
        let at = dice.below(2);
        let path = ["amd64/file", "arm64/file"][at];
        file(project, dice, path, "COPY $TARGETARCH", [&PLATFORMS[..1], &PLATFORMS[1..]][at])
    }),
    ("everybody's file", |project, dice| file(project, dice, "shared/deep/file", SHARED, &PLATFORMS)),
    ("the last file", |project, dice| file(project, dice, "last", "COPY last", &PLATFORMS)),
    ("added", |project, dice| {
        let path = format!("shared/{}", dice.fresh());
        project.files.insert(path.clone(), Node::data(dice.fresh(), 0o600));
        let cause = Cause::File { mount: None, path: path.replace("shared/", ""), change: "added" };
        (Expected::Miss(SHARED, cause), &PLATFORMS, None)
    }),
    ("build argument", |project, dice| {
        project.seen = dice.fresh();
        (Expected::Miss("COPY <<EOF", Cause::Files), &PLATFORMS, None)
    }),
    ("heredoc", |project, dice| {
        project.word = dice.fresh();
        (Expected::Miss("COPY <<EOF", Cause::Files), &PLATFORMS, None)
    }),
    ("destination", |project, dice| {
        project.dest = dice.fresh();
        (Expected::Miss("COPY --from=tools", Cause::Value("destination")), &PLATFORMS, None)
    }),
    ("working directory", |project, dice| {
        project.workdir = dice.fresh();
        (Expected::Miss("WORKDIR", Cause::Value("directory")), &PLATFORMS, None)
    }),
    ("configuration", |project, dice| {
        project.env = dice.fresh();
        nothing(None)
    }),
    ("time", |_, dice| {
        let path = dice.pick(&["amd64/file", "shared/deep", "last"]).to_owned();
        nothing(Some(Touch::Time(path, 1_000_000_000 + dice.below(1 << 30) as u64)))
    }),
];

fn nothing(touch: Option<Touch>) -> Said {
    (Expected::Nothing, &[], touch)
}

fn file(
    project: &mut Project,
    dice: &mut Dice,
    path: &str,
    step: &'static str,
    platforms: &'static [&'static str],
) -> Said {
    project.files.insert(path.to_owned(), Node::data(dice.fresh(), 0o644));
    // As the step sees it: below its source.
    let seen = path.split_once('/').map_or(path, |(_, below)| below).to_owned();
    (Expected::Miss(step, Cause::File { mount: None, path: seen, change: "content" }), platforms, None)
}

fn build(sandbox: &Sandbox, project: &Project, disk: &Disk, more: &[&str]) {
    let seen = format!("SEEN={}", project.seen);
    let context = disk.root().to_string_lossy();
    let args = ["build", "-q", "-t", "x", "--platform", "linux/amd64,linux/arm64", "--build-arg", &seen];
    sandbox.rbuild(&[&args, more, &[&context]].concat()).succeeded();
}

fn images(sandbox: &Sandbox) -> [Comparable; 2] {
    PLATFORMS.map(|platform| {
        let one = sandbox.rbuild(&["inspect", "-f", "{{.Id}}", "--platform", platform, "x"]).succeeded();
        let saved = sandbox.rbuild(&["save", one.stdout.trim()]).succeeded();
        Comparable::of_image(Image::only(&saved.bytes))
    })
}

fn explained(sandbox: &Sandbox) -> Value {
    let text = sandbox.rbuild(&["explain", "--format=json"]).succeeded().stdout;
    serde_json::from_str(&text).expect("JSON")
}

/// Every kind once, in stores of their own. The error says what is wrong.
pub(super) fn round(seed: u64) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let (cached, uncached) = (Sandbox::new(), Sandbox::new());
    let mut disk = Disk::new(cached.work().join("context"));
    let mut project = Project::random(&mut dice);
    disk.apply(&project.on_disk(), None);
    build(&cached, &project, &disk, &[]);
    for (what, kind) in KINDS {
        let (expected, platforms, touch) = kind(&mut project, &mut dice);
        disk.apply(&project.on_disk(), touch.as_ref());
        build(&cached, &project, &disk, &[]);
        let explained = explained(&cached);
        let wrong = |reason: String| format!("{what} for two platforms: {reason}\n{}", project.dockerfile());
        expected.check(&explained).map_err(wrong)?;
        let steps = explained["steps"].as_array().expect("steps");
        for platform in PLATFORMS {
            // What is made once for all belongs to none of them.
            let is_it = |step: &&Value| step["stage"] != "tools" && step["platform"] == platform;
            let ran = steps.iter().filter(is_it).any(|step| step["status"] != "cached");
            if ran != platforms.contains(&platform) {
                return Err(wrong(format!("{platform} ran: {ran}: {explained}")));
            }
        }
        build(&uncached, &project, &disk, &["--no-cache"]);
        for (one, other) in images(&cached).iter().zip(&images(&uncached)) {
            if let Some(found) = one.difference(other) {
                return Err(wrong(format!("the cached image is another one:\n{found}")));
            }
        }
    }
    Ok(())
}

/// How many mutations a round has.
pub(super) const ROUND: u64 = KINDS.len() as u64;
