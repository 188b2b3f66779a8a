//! A cache that travels: `--cache-to` on one machine, `--cache-from` on another. A machine is a sandbox with a store of its
//! own.

mod broken;
mod faults;
mod remembered;

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::bucket::Bucket;
use crate::support::registry::Registry;
use crate::support::{Outcome, Sandbox};

/// Two layers of a stage that only serves, and two of the image.
const DOCKERFILE: &str = "FROM scratch AS made\nCOPY big /big\nCOPY input /input\n\
                          FROM scratch\nCOPY --from=made /input /out\nCOPY last /last\n";

/// A place that two machines can reach.
enum Place {
    Folder(TempDir),
    Registry(Registry),
    Bucket(Bucket),
}

impl Place {
    fn folder() -> Self {
        Self::Folder(tempfile::tempdir().expect("a folder"))
    }

    fn spec(&self, member: &str) -> String {
        match self {
            Self::Folder(folder) => format!("type=local,{member}={}/cache", folder.path().display()),
            Self::Registry(registry) => in_registry(&registry.address),
            Self::Bucket(bucket) => in_bucket(&bucket.address),
        }
    }

    fn from(&self) -> String {
        format!("--cache-from={}", self.spec("src"))
    }

    fn to(&self, mode: &str) -> String {
        format!("--cache-to={},mode={mode}", self.spec("dest"))
    }

    fn path(&self) -> PathBuf {
        let Self::Folder(folder) = self else { panic!("a registry is no folder") };
        folder.path().join("cache")
    }
}

/// A cache in the registry at `address`.
fn in_registry(address: &str) -> String {
    format!("type=registry,ref={address}/team/app:cache")
}

/// A cache in the bucket of the server at `address`.
fn in_bucket(address: &str) -> String {
    format!(
        "type=s3,bucket=cache,region=us-east-1,endpoint_url=http://{address},use_path_style=true,prefix=app/,\
         access_key_id=k,secret_access_key=s"
    )
}

/// A machine with the files of the project and nothing else.
fn machine(input: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("big", vec![b'x'; 100_000]);
    sandbox.write("input", input);
    sandbox.write("last", "last");
    sandbox
}

fn build(sandbox: &Sandbox, dockerfile: &str, args: &[&str]) -> Outcome {
    sandbox.build(dockerfile, &[&["--progress=json", "-t", "app"], args].concat()).succeeded()
}

fn statuses(outcome: &Outcome) -> Vec<String> {
    outcome.steps().into_iter().map(|(_, status)| status).collect()
}

/// How many steps ran.
fn ran(outcome: &Outcome) -> usize {
    statuses(outcome).iter().filter(|status| *status == "done").count()
}

fn fetched(outcome: &Outcome) -> usize {
    outcome.events().iter().filter(|event| event["type"] == "cache" && event["state"] == "fetched").count()
}

fn notices(outcome: &Outcome) -> Vec<String> {
    let events = outcome.events();
    let notices = events.iter().filter(|event| event["type"] == "notice");
    notices.map(|event| event["message"].as_str().expect("text").to_owned()).collect()
}

fn id(sandbox: &Sandbox) -> String {
    sandbox.rbuild(&["images", "-q", "--no-trunc", "app"]).succeeded().stdout
}

fn reasons(sandbox: &Sandbox) -> Value {
    let text = sandbox.rbuild(&["explain", "--format", "json", "last"]).succeeded().stdout;
    serde_json::from_str(&text).expect("JSON")
}

/// One machine writes, an empty one begins with that, a third one has changed a file.
fn travels(place: &Place) {
    let first = machine("one");
    let made = build(&first, DOCKERFILE, &[&place.to("max")]);
    assert_eq!((ran(&made), notices(&made)), (4, Vec::new()), "{made}");

    let second = machine("one");
    let warm = build(&second, DOCKERFILE, &[&place.from()]);
    assert_eq!(statuses(&warm), ["cached"; 4], "{warm}");
    assert_eq!(fetched(&warm), 2, "only the layers of the image: {warm}");
    assert_eq!(id(&second), id(&first));
    let image = second.rbuild(&["save", "app"]).succeeded().bytes;
    assert_eq!(crate::support::archive::Image::only(&image).text("out"), "one");

    let third = machine("two");
    let changed = build(&third, DOCKERFILE, &[&place.from()]);
    assert_eq!(ran(&changed), 3, "{changed}");
    let explained = reasons(&third);
    let step = &explained["steps"][1];
    assert_eq!(
        (&step["reason"], &step["changes"][0]["files"]["of"]),
        (&"changed".into(), &1.into()),
        "{explained}"
    );
    assert_eq!(step["changes"][0]["files"]["changes"][0]["path"], "input", "{explained}");
}

#[test]
fn through_a_folder() {
    travels(&Place::folder());
}

#[test]
fn through_a_registry() {
    let Some(registry) = Registry::start(None) else { return };
    travels(&Place::Registry(registry));
}

#[test]
fn through_a_bucket() {
    let Some(bucket) = Bucket::start() else { return };
    let place = Place::Bucket(bucket);
    travels(&place);
    shrinks(&place);
    writers_and_readers_at_once(&place);
}

/// Of several caches that took each other's place the last one stays, whole.
fn shrinks(place: &Place) {
    let last = machine("3");
    for input in ["1", "2"] {
        build(&machine(input), DOCKERFILE, &[&place.to("max")]);
    }
    build(&last, DOCKERFILE, &[&place.to("max")]);
    let prune =
        ["cache", "prune", "-f", "--remote", &place.spec("src"), "--keep", "1", "--filter", "until=0s"];
    let pruned = last.rbuild(&prune).succeeded().stdout;
    let warm = build(&machine("3"), DOCKERFILE, &[&place.from()]);
    assert_eq!((ran(&warm), notices(&warm)), (0, Vec::new()), "{warm}");
    match place {
        Place::Registry(_) => assert_eq!(pruned.matches("@sha256:").count(), 2, "{pruned}"),
        _ => assert!(!pruned.contains("Deleted caches") && !pruned.contains(" 0 blobs"), "{pruned}"),
    }
    let again = last.rbuild(&prune).succeeded().stdout;
    assert_eq!(again, "Total reclaimed space: 0B in 0 blobs\n");
    let all = ["cache", "prune", "-f", "--remote", &place.spec("src"), "--filter", "until=0s"];
    std::thread::sleep(std::time::Duration::from_millis(5));
    let all = last.rbuild(&all).succeeded().stdout;
    assert!(all.starts_with("Deleted caches:\n"), "{all}");
    let none = build(&machine("3"), DOCKERFILE, &[&place.from()]);
    assert_eq!((ran(&none), notices(&none).len()), (4, 1), "{none}");
}

#[test]
fn a_folder_shrinks() {
    shrinks(&Place::folder());
}

#[test]
fn a_repository_shrinks() {
    let Some(registry) = Registry::start(None) else { return };
    shrinks(&Place::Registry(registry));
}

#[test]
fn without_the_layers_of_other_stages() {
    let place = Place::folder();
    build(&machine("one"), DOCKERFILE, &[&place.to("min")]);
    let second = machine("one");
    let warm = build(&second, DOCKERFILE, &[&place.from()]);
    assert_eq!((statuses(&warm), fetched(&warm)), (vec!["cached".to_owned(); 4], 2), "{warm}");
    // Now something needs the files of the other stage: it is built, and nobody is troubled with why.
    let third = machine("one");
    let more = format!("{DOCKERFILE}COPY --from=made /big /again\n");
    let needed = build(&third, &more, &[&place.from()]);
    assert_eq!((ran(&needed), notices(&needed)), (3, Vec::new()), "{needed}");
    let image = third.rbuild(&["save", "app"]).succeeded().bytes;
    assert_eq!(crate::support::archive::Image::only(&image).text("again").len(), 100_000);
    third.rbuild(&["fsck"]).succeeded();
}

#[test]
fn what_was_not_needed_here_is_passed_on() {
    let (one, two) = (Place::folder(), Place::folder());
    build(&machine("one"), DOCKERFILE, &[&one.to("max")]);
    build(&machine("one"), DOCKERFILE, &[&one.from(), &two.to("max")]);
    let third = machine("one");
    let more = format!("{DOCKERFILE}COPY --from=made /big /again\n");
    let needed = build(&third, &more, &[&two.from()]);
    assert_eq!((ran(&needed), fetched(&needed)), (1, 4), "{needed}");
}

/// Several builds write the same cache at once; who reads it meanwhile finds one of them, whole.
fn writers_and_readers_at_once(place: &Place) {
    build(&machine("0"), DOCKERFILE, &[&place.to("max")]);
    std::thread::scope(|scope| {
        for writer in 1..4 {
            scope.spawn(move || {
                let sandbox = machine(&writer.to_string());
                build(&sandbox, DOCKERFILE, &[&place.to("max")]);
            });
        }
        for _ in 0..4 {
            let reader = machine("other");
            let read = build(&reader, DOCKERFILE, &[&place.from()]);
            assert_eq!((ran(&read), notices(&read)), (3, Vec::new()), "{read}");
        }
    });
    // One of them was the last, and all of its cache is there.
    let last = (0..4).map(|writer| build(&machine(&writer.to_string()), DOCKERFILE, &[&place.from()]));
    let whole = last.filter(|warm| ran(warm) == 0 && notices(warm).is_empty()).count();
    assert_eq!(whole, 1);
}

#[test]
fn writers_and_readers_of_a_folder() {
    writers_and_readers_at_once(&Place::folder());
}

#[test]
fn writers_and_readers_of_a_registry() {
    let Some(registry) = Registry::start(None) else { return };
    writers_and_readers_at_once(&Place::Registry(registry));
}

#[test]
fn mistakes_are_named() {
    let sandbox = machine("one");
    for (flag, says) in [
        ("--cache-from=type=local", "src= is missing"),
        ("--cache-to=type=gha", "type=gha is not supported"),
        ("--cache-to=type=local,dest=x,mode=all", "mode= is min or max"),
    ] {
        sandbox.build(DOCKERFILE, &[flag]).ended_with(125).saying(says);
    }
    let blocked = sandbox.write("file", "");
    let to = format!("--cache-to=type=local,dest={}/cache", blocked.display());
    sandbox.build(DOCKERFILE, &[&to]).ended_with(1).saying("failed to write cache to folder");
    let forgiven = sandbox.build(DOCKERFILE, &[&format!("{to},ignore-error=true")]).succeeded();
    assert!(forgiven.stderr.contains("failed to write the cache to folder"), "{forgiven}");
}

#[test]
fn in_the_image_itself() {
    let Some(registry) = Registry::start(None) else { return };
    let name = format!("{}/team/app:1", registry.address);
    let first = machine("one");
    build(&first, DOCKERFILE, &["--cache-to=type=inline"]);
    let made = id(&first);
    build(&first, DOCKERFILE, &["--cache-to=type=inline"]);
    assert_eq!(id(&first), made, "everything was cached, so it is the same image");
    let push = || {
        first.rbuild(&["tag", "app", &name]).succeeded();
        first.rbuild(&["push", "-q", &name]).succeeded();
    };
    push();

    let from = format!("--cache-from={name}");
    let second = machine("one");
    let warm = build(&second, DOCKERFILE, &[&from, "--build-arg", "BUILDKIT_INLINE_CACHE=1"]);
    assert_eq!((statuses(&warm), fetched(&warm)), (vec!["cached".to_owned(); 4], 2), "{warm}");
    assert_eq!(id(&second), made);
    let changed = build(&machine("two"), DOCKERFILE, &[&from]);
    assert_eq!(
        (ran(&changed), notices(&changed)),
        (4, Vec::new()),
        "the other stage's layers are nowhere: {changed}"
    );

    build(&first, "FROM scratch\nCOPY last /\n", &[]);
    push();
    let none = build(&machine("one"), DOCKERFILE, &[&from]);
    assert!(notices(&none)[0].contains("nor an image with one"), "{none}");
}

/// The base of a stage that only serves stays where it is, as long as that stage comes from the cache.
#[test]
fn a_base_is_pulled_when_its_files_are_needed() {
    let Some(registry) = Registry::start(None) else { return };
    let base = format!("{}/base:1", registry.address);
    let first = Sandbox::with_busybox();
    first.rbuild(&["tag", "busybox", &base]).succeeded();
    first.rbuild(&["push", "-q", &base]).succeeded();
    let place = Place::Registry(registry);
    let dockerfile =
        format!("FROM {base} AS made\nCOPY input /input\nFROM scratch\nCOPY --from=made /input /out\n");
    first.write("input", "one");
    build(&first, &dockerfile, &[&place.to("max")]);

    let second = machine("one");
    let warm = build(&second, &dockerfile, &[&place.from()]);
    assert_eq!((ran(&warm), fetched(&warm)), (0, 1), "{warm}");
    assert!(!warm.stderr.contains(r#""type":"pull"#), "{warm}");
    assert_eq!(id(&second), id(&first));

    let more = format!("{dockerfile}COPY --from=made /bin/busybox /busybox\n");
    let needed = build(&second, &more, &[&place.from()]);
    assert_eq!((ran(&needed), notices(&needed)), (1, Vec::new()), "{needed}");
    assert_eq!(needed.stderr.matches(r#""type":"pulled""#).count(), 1, "{needed}");
    second.rbuild(&["images", "-q", &base]).succeeded();
}
