//! The ways in which one input changes, and what has to be said of each.

use super::dice::Dice;
use super::disk::{Node, Touch};
use super::expect::{Cause, Expected};
use super::project::{Abilities, BASES, Project, archive};

/// A change of one input.
#[derive(Debug)]
pub(super) struct Mutation {
    pub(super) what: &'static str,
    pub(super) expected: Expected,
    pub(super) trick: Trick,
}

/// What is special about the one build that follows.
#[derive(Debug)]
pub(super) enum Trick {
    None,
    /// Something is done to a file.
    Touch(Touch),
    /// Arguments are added.
    Args(&'static [&'static str]),
    /// rbuild has another umask.
    Umask(&'static str),
    /// The context is another folder with the same files.
    Moved,
}

/// Where a file of `tree` is first seen, and where one of `bound` is.
const TREE: &str = "tree /tree";
const SEEN: &str = "> /seen; echo";

/// One kind of change. None where this project or this machine does not have it.
type Kind = fn(&mut Project, &mut Dice, Abilities) -> Option<(Expected, Trick)>;

const KINDS: &[(&str, Kind)] = &[
    ("nothing", |_, _, _| nothing(Trick::None)),
    ("content", |project, dice, _| {
        let path = project.a_file(dice);
        *project.file(&path).0 = dice.fresh().into();
        plain(in_tree(&path, "content"))
    }),
    ("content of the same size and time", |project, dice, _| {
        let path = project.a_file(dice);
        project.file(&path).0.rotate_left(1);
        // What was rotated all around is what it was.
        Some((Expected::Perhaps(in_tree_cause(&path, "content")), Trick::Touch(Touch::KeepTime(path))))
    }),
    ("content, by renaming", |project, dice, _| {
        let path = project.a_file(dice);
        *project.file(&path).0 = dice.fresh().into();
        Some((in_tree(&path, "content"), Trick::Touch(Touch::Replace(path))))
    }),
    ("content, by renaming an older file", |project, dice, _| {
        let path = project.a_file(dice);
        *project.file(&path).0 = dice.fresh().into();
        Some((in_tree(&path, "content"), Trick::Touch(Touch::Older(path))))
    }),
    ("mode", |project, dice, _| {
        let path = project.a_file(dice);
        let mode = project.file(&path).1;
        // Never what it was: a project that was built before misses nothing.
        *mode = if *mode & 0o1000 == 0 { 0o1400 } else { *mode + 1 };
        plain(match project.chmod {
            None => in_tree(&path, "mode"),
            Some(_) if unseen_modes(project) => Expected::Nothing,
            Some(_) => Expected::Perhaps(in_tree_cause(&path, "mode")),
        })
    }),
    ("mode of a folder", |project, dice, _| {
        let mode = 0o700 | u32::try_from(dice.below(0o77)).expect("it is small");
        project.files.insert("tree/dir".into(), Node::Dir(mode));
        let seen = Expected::Perhaps(in_tree_cause("tree/dir", "mode"));
        plain(if unseen_modes(project) { Expected::Nothing } else { seen })
    }),
    ("owner", |project, dice, can| {
        let path = project.a_file(dice);
        can.owners.then_some((Expected::Nothing, Trick::Touch(Touch::Owner(path, 1234))))
    }),
    ("time", |project, dice, _| {
        let file = project.a_file(dice);
        let path = dice.pick(&[file, "tree/d".into(), "tree".into(), "bound/file".into()]);
        nothing(Trick::Touch(Touch::Time(path, 1_000_000_000 + dice.below(1 << 30) as u64)))
    }),
    ("added", |project, dice, _| {
        let path = dice.pick(&["tree", "tree/d", "tree/d/e"]).to_owned() + "/a" + &dice.fresh();
        project.files.insert(path.clone(), Node::data(dice.fresh(), 0o644));
        plain(in_tree(&path, "added"))
    }),
    ("added folder", |project, dice, _| {
        let path = format!("tree/empty{}", dice.fresh());
        project.files.insert(path.clone(), Node::Dir(0o755));
        plain(in_tree(&path, "added"))
    }),
    ("removed", |project, dice, _| {
        let path = some_file(project, dice)?;
        project.files.remove(&path);
        plain(in_tree(&path, "removed"))
    }),
    ("renamed", |project, dice, _| {
        let path = some_file(project, dice)?;
        let folder = path.rsplit_once('/').expect("it is in a folder").0.to_owned();
        let node = project.files.remove(&path)?;
        project.files.insert(format!("{folder}/f{}", dice.fresh()), node);
        plain(in_tree(&path, "renamed"))
    }),
    ("renamed in capitals", |project, dice, _| {
        let path = some_file(project, dice)?;
        let (folder, name) = path.rsplit_once('/').expect("it is in a folder");
        let node = project.files.remove(&path)?;
        project.files.insert(format!("{folder}/{}", name.to_uppercase()), node);
        // It may have been called like that before.
        plain(Expected::Perhaps(in_tree_cause(&path, "renamed")))
    }),
    ("name of two lines", |project, dice, _| {
        let fresh = dice.fresh();
        project.files.insert(format!("tree/one\n{fresh}"), Node::data("", 0o644));
        plain(in_tree(&format!("tree/one\\n{fresh}"), "added"))
    }),
    ("name that a pattern matches", |project, dice, _| {
        let path = project.files.keys().find(|path| path.starts_with("wild/"))?.clone();
        let node = project.files.remove(&path)?;
        project.files.insert(format!("wild/{}.w", dice.fresh()), node);
        plain(file("/wild", path.trim_start_matches("wild/"), "renamed"))
    }),
    ("link", |project, dice, _| {
        project.files.insert("tree/link".into(), Node::Link(dice.fresh()));
        plain(in_tree("tree/link", "target"))
    }),
    ("link to a folder", |project, dice, _| {
        project.files.insert("tree/dirlink".into(), Node::Link(dice.pick(&["d", "d/e", "dir"]).into()));
        plain(Expected::Perhaps(in_tree_cause("tree/dirlink", "target")))
    }),
    ("source through a link", |project, dice, _| {
        project.files.insert("alias".into(), Node::Link(dice.pick(&["named", "bound/deep"]).into()));
        plain(Expected::Perhaps(Cause::Files))
    }),
    ("file to link", |project, dice, _| {
        let path = some_file(project, dice)?;
        project.files.insert(path.clone(), Node::Link(dice.fresh()));
        plain(in_tree(&path, "kind"))
    }),
    ("file to folder", |project, dice, _| {
        let path = some_file(project, dice)?;
        project.files.insert(path.clone(), Node::Dir(0o755));
        plain(in_tree(&path, "kind"))
    }),
    ("hard link", |project, dice, _| {
        let path = format!("tree/x{}", dice.fresh());
        project.files.insert(path.clone(), Node::Hard("tree/hard1".into()));
        plain(in_tree(&path, "added"))
    }),
    ("hard link of its own", |project, dice, _| {
        let hard = project.files.iter().filter(|(_, node)| matches!(node, Node::Hard(_)));
        let paths: Vec<String> = hard.map(|(path, _)| path.clone()).collect();
        let path = (!paths.is_empty()).then(|| dice.pick(&paths))?;
        let first = project.files["tree/hard1"].clone();
        project.files.insert(path.clone(), first);
        plain(in_tree(&path, "hard_link"))
    }),
    ("attribute", |project, dice, can| {
        let path = project.a_file(dice);
        let note = can.xattrs.then(|| dice.fresh())?;
        *project.file(&path).2 = Some(note);
        plain(in_tree(&path, "attribute"))
    }),
    ("ignored file", |project, dice, _| {
        *project.file("tree/b.tmp").0 = dice.fresh().into();
        plain(Expected::Nothing)
    }),
    ("proxy", |_, _, _| nothing(Trick::Args(&["--build-arg=HTTP_PROXY=http://nowhere:1"]))),
    // It is the secret of a step, too.
    ("file that nobody copies", |project, dice, _| {
        *project.file("outside").0 = dice.fresh().into();
        plain(Expected::Nothing)
    }),
    ("ignore file that leaves out more", |project, dice, _| {
        let path = some_file(project, dice)?;
        project.ignored.push(path.clone());
        plain(in_tree(&path, "removed"))
    }),
    ("ignore file that says the same", |project, dice, _| {
        let line = dice.pick(&["# ", "no/such/", "!tree/d/no"]).to_owned() + &dice.fresh();
        project.ignored.push(line);
        plain(Expected::Nothing)
    }),
    ("mounted file", |project, dice, _| {
        *project.file("bound/file").0 = dice.fresh().into();
        let cause = Cause::File { mount: Some("/bound"), path: "file".into(), change: "content" };
        plain(Expected::Miss(SEEN, cause))
    }),
    ("mode of a mounted file", |project, dice, _| {
        let mode = project.file("bound/file").1;
        *mode = 0o600 | ((*mode + 1 + u32::try_from(dice.below(0o76)).expect("it is small")) & 0o77);
        let cause = Cause::File { mount: Some("/bound"), path: "file".into(), change: "mode" };
        plain(Expected::Perhaps(cause))
    }),
    ("file of a named context", |project, dice, _| {
        *project.file("named/file").0 = dice.fresh().into();
        plain(file("/named", "file", "content"))
    }),
    ("archive", |project, dice, _| {
        *project.file("archive.tar").0 = archive(&dice.fresh());
        plain(file("/unpacked", "archive.tar", "content"))
    }),
    ("argument", |project, dice, _| {
        let fresh = dice.fresh();
        project.build_args.insert("SEEN", fresh.clone());
        plain(Expected::Miss(SEEN, Cause::Variable("SEEN", fresh)))
    }),
    ("argument after the steps", |project, dice, _| {
        project.build_args.insert("LATE", dice.fresh());
        plain(Expected::Nothing)
    }),
    ("argument that nobody declares", |project, dice, _| {
        project.build_args.insert("UNSEEN", dice.fresh());
        plain(Expected::Nothing)
    }),
    ("SOURCE_DATE_EPOCH", |project, dice, _| {
        project.build_args.insert("SOURCE_DATE_EPOCH", (1 + dice.below(1 << 30)).to_string());
        plain(Expected::Miss("WORKDIR", Cause::Value("SOURCE_DATE_EPOCH")))
    }),
    ("ENV", |project, dice, _| {
        let fresh = dice.fresh();
        project.words.insert("env", fresh.clone());
        plain(Expected::Miss(SEEN, Cause::Variable("SET", fresh)))
    }),
    ("comment", |project, dice, _| {
        project.words.insert("comment", dice.fresh());
        plain(Expected::Nothing)
    }),
    ("command that makes the same", |project, dice, _| word(project, dice, "middle", "> /count;", "command")),
    ("owner made by a command", |project, dice, can| {
        let owner = format!("{}:{}", 1 + dice.below(60_000), dice.below(60_000));
        can.owners.then(|| project.words.insert("owner", owner))?;
        plain(Expected::Perhaps(Cause::Value("command")))
    }),
    ("owner by name", |project, dice, can| {
        can.owners.then(|| project.words.insert("uid", (1 + dice.below(60_000)).to_string()))?;
        plain(Expected::Perhaps(Cause::Value("command")))
    }),
    ("USER", |project, dice, can| {
        can.owners.then(|| project.words.insert("user", (1 + dice.below(60_000)).to_string()))?;
        plain(Expected::Perhaps(Cause::Value("USER")))
    }),
    ("cache mount", |project, dice, _| {
        project.words.insert("cache", dice.fresh());
        plain(Expected::Miss(SEEN, Cause::Mount("id")))
    }),
    ("sharing of a cache", |project, dice, _| {
        project.words.insert("sharing", dice.pick(&["shared", "private", "locked"]).to_owned());
        plain(Expected::Perhaps(Cause::Mount("sharing")))
    }),
    ("place of a secret", |project, dice, _| {
        project.words.insert("secret", dice.fresh());
        plain(Expected::Miss(SEEN, Cause::Mount("target")))
    }),
    ("tmpfs mount", |project, dice, _| {
        project.words.insert("tmpfs", (65_536 + 4096 * dice.below(1 << 20)).to_string());
        plain(Expected::Perhaps(Cause::Mount("size")))
    }),
    ("heredoc", |project, dice, _| {
        project.words.insert("heredoc", dice.fresh());
        plain(file("/heredoc", "EOF", "content"))
    }),
    ("WORKDIR", |project, dice, _| word(project, dice, "workdir", "WORKDIR", "directory")),
    ("destination", |project, dice, _| word(project, dice, "dest", "/tree /all/", "destination")),
    ("script", |project, dice, _| word(project, dice, "script", "SCRIPT", "script")),
    ("--add-host", |project, dice, _| {
        project.host = Some(format!("{}:10.0.0.1", dice.fresh()));
        // One that was there before is gone, too, which is a change of the same list.
        plain(Expected::Perhaps(Cause::Value("--add-host")))
    }),
    ("address of --add-host", |project, dice, _| {
        let name = project.host.as_ref()?.split(':').next()?.to_owned();
        project.host = Some(format!("{name}:10.0.0.{}", 2 + dice.below(200)));
        plain(Expected::Nothing)
    }),
    ("--chmod", |project, dice, _| {
        project.chmod = dice.pick(&[None, Some("0640"), Some("0751"), Some("u=rwX,go=rX")]);
        plain(Expected::Perhaps(Cause::Value("--chmod")))
    }),
    ("--chown", |project, dice, can| {
        project.chown = dice.pick(&[None, Some("1:2"), Some("3"), Some("0:7")]).filter(|_| can.owners);
        plain(Expected::Perhaps(Cause::Value("--chown")))
    }),
    ("--link", |project, _, _| {
        project.link = !project.link;
        plain(Expected::Perhaps(Cause::Value("--link")))
    }),
    ("--exclude", |project, _, _| {
        project.exclude = !project.exclude;
        plain(Expected::Perhaps(Cause::Value("--exclude")))
    }),
    ("--parents", |project, _, _| {
        project.parents = !project.parents;
        plain(Expected::Perhaps(Cause::Value("--parents")))
    }),
    ("--network", |project, _, _| {
        project.offline = !project.offline;
        plain(Expected::Perhaps(Cause::Value("--network")))
    }),
    ("base image", |project, dice, _| {
        project.base = (project.base + 1 + dice.below(BASES.len() - 1)) % BASES.len();
        plain(Expected::Perhaps(Cause::Base))
    }),
    ("--target", |_, _, _| nothing(Trick::Args(&["--target=made"]))),
    ("--no-cache-filter", |_, _, _| {
        Some((Expected::Forced("made"), Trick::Args(&["--no-cache-filter=made"])))
    }),
    ("--label", |_, _, _| nothing(Trick::Args(&["--label=a=b"]))),
    ("umask", |_, dice, _| nothing(Trick::Umask(dice.pick(&["000", "077", "027"])))),
    ("place of the context", |_, _, _| nothing(Trick::Moved)),
];

/// How many kinds of changes there are.
pub(super) const COUNT: usize = KINDS.len();

/// The numbers of all kinds, in some order.
pub(super) fn shuffled(dice: &mut Dice) -> Vec<usize> {
    let mut left: Vec<usize> = (0..COUNT).collect();
    (0..COUNT).map(|_| left.swap_remove(dice.below(left.len()))).collect()
}

/// Changes one input. None where there is nothing to change in that way.
pub(super) fn mutate(
    kind: usize,
    project: &mut Project,
    dice: &mut Dice,
    can: Abilities,
) -> Option<Mutation> {
    let (what, change) = KINDS[kind];
    let (expected, trick) = change(project, dice, can)?;
    Some(Mutation { what, expected, trick })
}

fn plain(expected: Expected) -> Option<(Expected, Trick)> {
    Some((expected, Trick::None))
}

fn nothing(trick: Trick) -> Option<(Expected, Trick)> {
    Some((Expected::Nothing, trick))
}

/// Puts another word into the Dockerfile.
fn word(
    project: &mut Project,
    dice: &mut Dice,
    name: &'static str,
    step: &'static str,
    field: &'static str,
) -> Option<(Expected, Trick)> {
    project.words.insert(name, dice.fresh());
    plain(Expected::Miss(step, Cause::Value(field)))
}

fn file(step: &'static str, path: &str, change: &'static str) -> Expected {
    Expected::Miss(step, Cause::File { mount: None, path: path.to_owned(), change })
}

fn in_tree(path: &str, change: &'static str) -> Expected {
    Expected::Miss(TREE, in_tree_cause(path, change))
}

fn in_tree_cause(path: &str, change: &'static str) -> Cause {
    let path = path.trim_start_matches("tree/").to_owned();
    Cause::File { mount: None, path, change }
}

/// Whether `--chmod` makes all modes the same.
fn unseen_modes(project: &Project) -> bool {
    project.chmod.is_some_and(|chmod| chmod.starts_with('0'))
}

/// A file that may vanish.
fn some_file(project: &Project, dice: &mut Dice) -> Option<String> {
    let path = project.a_file(dice);
    (path != "tree/keep").then_some(path)
}
