//! A random project, changed one input at a time: the cached build and one without a cache in another store must be
//! the same image but for times, and `explain` must name what was changed and nothing else.
//!
//! `RBUILD_MUTATIONS` says how many (a few where nobody says), `RBUILD_SEED` repeats a run.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::archive::{Image, Kind};

/// Enough to see that it works, in a few seconds.
const DEFAULT: u64 = 10;

/// xorshift64*: good enough to choose, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).expect("31 bits") % bound
    }
}

/// Everything that goes into a build.
#[derive(Clone, Default)]
struct Project {
    files: BTreeMap<String, File>,
    /// On the disk, and in the ignore file.
    hidden: BTreeMap<String, File>,
    ignored: Vec<String>,
    args: BTreeMap<String, String>,
    env: String,
    heredoc: String,
    workdir: String,
    user: u32,
    mode: Option<u32>,
    offline: bool,
    middle: String,
}

#[derive(Clone)]
enum File {
    Data(String, u32),
    Link(String),
    /// A further name of a file.
    Hard(String),
}

/// What `explain` has to say of the step with this number, and that it is the first to miss. None: nothing.
type Expected = Option<(usize, Box<dyn Fn(&Value) -> bool>)>;

impl Project {
    fn random(dice: &mut Dice) -> Self {
        let mut project = Self {
            env: format!("e{}", dice.below(1000)),
            heredoc: format!("h{}", dice.below(1000)),
            workdir: format!("/w{}", dice.below(1000)),
            middle: format!("m{}", dice.below(1000)),
            mode: [None, Some(0o640)][dice.below(2)],
            ..Self::default()
        };
        for number in 0..4 + dice.below(6) {
            let dir = ["", "d/", "d/e/"][dice.below(3)];
            let mode = [0o644, 0o755, 0o600][dice.below(3)];
            let data = format!("data {number} {}", dice.below(1000));
            project.files.insert(format!("tree/{dir}f{number}"), File::Data(data, mode));
        }
        project.files.insert("tree/link".into(), File::Link("f0".into()));
        project.files.insert("tree/hard1".into(), File::Data("hard".into(), 0o644));
        project.files.insert("tree/hard2".into(), File::Hard("tree/hard1".into()));
        project.files.insert("tree/skip.tmp".into(), File::Data("skipped".into(), 0o644));
        project.files.insert("bound/file".into(), File::Data("bound".into(), 0o644));
        project.files.insert("outside".into(), File::Data("nobody copies it".into(), 0o644));
        project.ignored.push("**/*.tmp".into());
        project.args.insert("SEEN".into(), format!("{}", dice.below(1000)));
        project.args.insert("LATE".into(), format!("{}", dice.below(1000)));
        project
    }

    /// Steps: 1 COPY tree, 2 RUN in the first stage; 3 COPY --from, 4 RUN with everything, 5 COPY heredoc, 6 WORKDIR,
    /// 7 RUN.
    fn dockerfile(&self) -> String {
        let chmod = self.mode.map_or_else(String::new, |mode| format!("--chmod={mode:o} "));
        let network = if self.offline { "--network=none " } else { "" };
        let user = format!(
            "USER {}:1000
",
            self.user
        );
        format!(
            "FROM busybox AS made\nCOPY {chmod}tree /tree\nRUN find /tree | sort > /list; wc -l < /list > /count; \
             : {}\n\
             FROM busybox\nCOPY --from=made /count /count\nARG SEEN\nENV SET={}\n\
             RUN {network}--mount=type=bind,source=bound,target=/bound cat /bound/* > /seen; \
             echo $SEEN $SET >> /seen; chmod 666 /seen\n\
             COPY <<EOF /heredoc\n{}\nEOF\nWORKDIR {}\n{user}RUN id >> /seen; pwd >> /seen\n\
             ARG LATE\nLABEL late=$LATE\nCOPY --from=made /tree /all\n",
            self.middle, self.env, self.heredoc, self.workdir
        )
    }

    fn write(&self, sandbox: &Sandbox) {
        for folder in ["tree", "bound"] {
            let _ = std::fs::remove_dir_all(sandbox.path(folder));
        }
        for (path, file) in self.files.iter().chain(&self.hidden) {
            let at = sandbox.path(path);
            std::fs::create_dir_all(Path::new(&at).parent().expect("it is in a folder")).expect("folders");
            match file {
                File::Data(data, mode) => {
                    std::fs::write(&at, data).expect("a file");
                    std::fs::set_permissions(&at, PermissionsExt::from_mode(*mode)).expect("a mode");
                }
                File::Link(target) => std::os::unix::fs::symlink(target, &at).expect("a link"),
                File::Hard(_) => {}
            }
        }
        for (path, file) in &self.files {
            if let File::Hard(first) = file {
                std::fs::hard_link(sandbox.path(first), sandbox.path(path)).expect("a hard link");
            }
        }
        sandbox.write(".dockerignore", self.ignored.join("\n") + "\nDockerfile\n");
        sandbox.write("Dockerfile", self.dockerfile());
    }

    fn a_file(&self, dice: &mut Dice) -> String {
        let plain = |path: &&String| path.starts_with("tree/") && path.contains("/f");
        let paths: Vec<&String> = self.files.keys().filter(plain).collect();
        paths[dice.below(paths.len())].clone()
    }

    /// Changes one input.
    fn mutate(&mut self, dice: &mut Dice) -> (String, Expected) {
        let fresh = format!("fresh{}", dice.below(1_000_000));
        let path = self.a_file(dice);
        let below = path.trim_start_matches("tree/").to_owned();
        match dice.below(17) {
            0 => {
                let Some(File::Data(data, _)) = self.files.get_mut(&path) else {
                    unreachable!("it is a plain file")
                };
                *data = fresh;
                ("content".into(), file(1, below, "content"))
            }
            1 => {
                let Some(File::Data(_, mode)) = self.files.get_mut(&path) else {
                    unreachable!("it is a plain file")
                };
                // Never what it was: a project that was built before misses nothing.
                *mode = if *mode & 0o1000 == 0 { 0o1400 } else { *mode + 1 };
                let seen = self.mode.is_none().then(|| file(1, below, "mode")).flatten();
                ("mode".into(), seen)
            }
            2 => {
                // Not one of those that are taken away again: that would be a project that was built before.
                let name = format!("added-{fresh}");
                self.files.insert(format!("tree/{name}"), File::Data(fresh, 0o644));
                ("added file".into(), file(1, name, "added"))
            }
            3 => {
                let File::Data(data, mode) = self.files.remove(&path).expect("it is there") else {
                    unreachable!("plain")
                };
                // In the same folder, which would vanish with its last file.
                let folder = path.rsplit_once('/').expect("it is in a folder").0;
                self.files.insert(format!("{folder}/{fresh}"), File::Data(data, mode));
                ("renamed file".into(), file(1, below, "renamed"))
            }
            4 => {
                self.files.insert("tree/link".into(), File::Link(fresh));
                ("link".into(), file(1, "link".into(), "target"))
            }
            5 => {
                self.files.insert(format!("tree/x{fresh}"), File::Hard("tree/hard1".into()));
                ("hard link".into(), file(1, format!("x{fresh}"), "added"))
            }
            6 => {
                self.files.insert("tree/skip.tmp".into(), File::Data(fresh, 0o644));
                ("ignored file".into(), None)
            }
            7 if self.files.keys().filter(|path| path.contains("/f")).count() > 2 => {
                self.ignored.push(path.clone());
                let hidden = self.files.remove(&path).expect("it is there");
                self.hidden.insert(path, hidden);
                ("ignore file".into(), file(1, below, "removed"))
            }
            8 => {
                self.args.insert("SEEN".into(), fresh.clone());
                ("argument".into(), variable("SEEN", fresh))
            }
            9 => {
                self.args.insert("LATE".into(), fresh);
                ("argument after the steps".into(), None)
            }
            10 => {
                self.env.clone_from(&fresh);
                ("ENV".into(), variable("SET", fresh))
            }
            11 => {
                self.heredoc = fresh;
                (
                    "heredoc".into(),
                    files(5, None, |of| {
                        of.len() == 1 && of[0]["path"] == "EOF" && of[0]["change"] == "content"
                    }),
                )
            }
            12 => {
                self.workdir = format!("/{fresh}");
                ("WORKDIR".into(), value(6, "directory"))
            }
            13 => {
                self.user += 1;
                ("USER".into(), value(7, "USER"))
            }
            14 if !self.offline => {
                self.offline = true;
                ("network".into(), value(4, "--network"))
            }
            15 => {
                self.files.insert("bound/file".into(), File::Data(fresh, 0o644));
                let is_it = |of: &[Value]| of.len() == 1 && of[0]["path"] == "file";
                ("mounted file".into(), files(4, Some("/bound"), is_it))
            }
            _ => {
                self.middle = fresh;
                ("command that makes the same".into(), value(2, "command"))
            }
        }
    }
}

fn file(step: usize, path: String, change: &'static str) -> Expected {
    files(step, None, move |of| of.len() == 1 && of[0]["path"] == path.as_str() && of[0]["change"] == change)
}

fn files(step: usize, mount: Option<&'static str>, is_it: impl Fn(&[Value]) -> bool + 'static) -> Expected {
    let check = move |change: &Value| {
        change["field"] == "files"
            && change["mount"].as_str() == mount
            && is_it(change["files"]["changes"].as_array().map_or(&[], Vec::as_slice))
    };
    Some((step, Box::new(check)))
}

fn variable(name: &'static str, to: String) -> Expected {
    Some((4, Box::new(move |change| change["name"] == name && change["to"] == to.as_str())))
}

fn value(step: usize, name: &'static str) -> Expected {
    Some((step, Box::new(move |change| change["field"] == "value" && change["name"] == name)))
}

/// Kind, mode, uid and gid of each path.
type Tree = BTreeMap<String, (Kind, u32, u64, u64)>;

/// What must be the same: files without times, and the configuration without times and layers, whose digests
/// cover times.
fn comparable(sandbox: &Sandbox, name: &str) -> (Tree, Value) {
    let image = Image::only(&sandbox.rbuild(&["save", name]).succeeded().bytes);
    let tree = image.tree.into_iter().map(|(path, it)| (path, (it.kind, it.mode, it.uid, it.gid))).collect();
    let mut config = image.config;
    let object = config.as_object_mut().expect("an object");
    object.remove("created");
    object.remove("rootfs");
    for entry in object.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
        entry.as_object_mut().expect("an object").remove("created");
    }
    (tree, config)
}

fn build(project: &Project, sandbox: &Sandbox, extra: &[&str], what: &str) {
    project.write(sandbox);
    let args: Vec<String> =
        project.args.iter().map(|(name, value)| format!("--build-arg={name}={value}")).collect();
    let mut all = vec!["build", "-q", "-t", "x"];
    all.extend(args.iter().map(String::as_str));
    all.extend(extra);
    all.push(".");
    let outcome = sandbox.rbuild(&all);
    assert_eq!(outcome.code, 0, "{what}: {outcome}");
}

/// The first step that missed, and why.
fn check_explanation(sandbox: &Sandbox, expected: &Expected, what: &str) {
    let out = sandbox.rbuild(&["explain", "--format=json"]).succeeded().stdout;
    let explained: Value = serde_json::from_str(&out).expect("JSON");
    let missed = explained["steps"].as_array().expect("steps").iter().find(|step| step["status"] != "cached");
    match (missed, expected) {
        (None, None) => {}
        (Some(step), Some((number, is_it))) => {
            let changes = step["changes"].as_array().map_or(&[][..], Vec::as_slice);
            let right = step["step"] == *number && changes.len() == 1 && is_it(&changes[0]);
            assert!(right, "{what}: explained as {step}");
        }
        (missed, _) => panic!("{what}: missed {missed:?}, expected a miss: {}", expected.is_some()),
    }
}

#[test]
fn one_input_at_a_time() {
    let Some(cached) = Sandbox::with_containers() else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let seed = number("RBUILD_SEED").unwrap_or_else(|| u64::from(clock().subsec_nanos()) | 1);
    let count = number("RBUILD_MUTATIONS").unwrap_or(DEFAULT);
    println!("RBUILD_SEED={seed} RBUILD_MUTATIONS={count}");
    let mut dice = Dice(seed);
    let uncached = Sandbox::with_busybox();
    let mut project = Project::random(&mut dice);
    build(&project, &cached, &[], "the first build");
    for round in 0..count {
        if round % 20 == 19 {
            project = Project::random(&mut dice);
            build(&project, &cached, &[], "another project");
        }
        let (what, expected) = project.mutate(&mut dice);
        let what = format!("seed {seed}, round {round}, {what}");
        build(&project, &cached, &[], &what);
        check_explanation(&cached, &expected, &what);
        build(&project, &uncached, &["--no-cache"], &what);
        assert!(
            comparable(&cached, "x") == comparable(&uncached, "x"),
            "{what}: the cached image is another one"
        );
    }
}
