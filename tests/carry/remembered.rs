//! What an imported cache knew, and what was not fetched then, is known to later builds that are told of no cache.

use crate::support::Sandbox;
use crate::support::registry::Registry;

use super::{DOCKERFILE, Place, build, fetched, id, machine, notices, ran, reasons, statuses};

/// A machine that has built once with the cache of another one, and needed two of its four layers.
fn warmed(place: &Place, mode: &str) -> Sandbox {
    build(&machine("one"), DOCKERFILE, &[&place.to(mode)]);
    let second = machine("one");
    let warm = build(&second, DOCKERFILE, &[&place.from()]);
    assert_eq!((ran(&warm), fetched(&warm)), (0, 2), "{warm}");
    second
}

/// What a step that is still to come needs: the stage that only served.
fn more() -> String {
    format!("{DOCKERFILE}COPY --from=made /big /again\n")
}

#[test]
fn without_the_flag_the_same_steps_hit() {
    let Some(registry) = Registry::start(None) else { return };
    let place = Place::Registry(registry);
    let second = warmed(&place, "max");
    let before = id(&second);
    let again = build(&second, DOCKERFILE, &[]);
    assert_eq!((statuses(&again), fetched(&again)), (vec!["cached".to_owned(); 4], 0), "{again}");
    assert_eq!(id(&second), before);
    let elsewhere = reasons(&second)["steps"][0]["elsewhere"].clone();
    assert!(elsewhere.as_str().is_some_and(|text| text.starts_with("registry 127.0.0.1:")), "{elsewhere}");
    let explained = second.rbuild(&["explain"]).succeeded();
    assert!(explained.stdout.contains("its files are still in registry 127.0.0.1:"), "{explained}");
    second.rbuild(&["fsck"]).succeeded();
    second.rbuild(&["diff", "step:1"]).ended_with(1).saying("no step of a build has needed its files yet");

    // Now they are needed, and come.
    let needed = build(&second, &more(), &[]);
    assert_eq!((ran(&needed), fetched(&needed), notices(&needed)), (1, 2, Vec::new()), "{needed}");
    assert!(reasons(&second)["steps"][0]["elsewhere"].is_null());
    let image = second.rbuild(&["save", "app"]).succeeded().bytes;
    assert_eq!(crate::support::archive::Image::only(&image).text("again").len(), 100_000);
}

/// A changed file runs what depends on it, on top of what is fetched; the cache that then goes out is whole.
#[test]
fn what_is_remembered_is_built_upon_and_passed_on() {
    let (place, other) = (Place::folder(), Place::folder());
    let second = warmed(&place, "max");
    second.write("input", "two");
    let changed = build(&second, DOCKERFILE, &[&other.to("max")]);
    assert_eq!((ran(&changed), fetched(&changed), notices(&changed)), (3, 1, Vec::new()), "{changed}");
    let third = build(&machine("two"), &more(), &[&other.from()]);
    assert_eq!((ran(&third), fetched(&third), notices(&third)), (1, 4, Vec::new()), "{third}");
}

/// The cache has gone, or never had the layers: as long as nothing needs them nobody notices, then the steps run.
#[test]
fn what_cannot_be_had_any_more_is_made() {
    for (mode, notice) in [("max", 1), ("min", 0)] {
        let place = Place::folder();
        let second = warmed(&place, mode);
        std::fs::remove_dir_all(place.path()).expect("removed");
        let again = build(&second, DOCKERFILE, &[]);
        assert_eq!((ran(&again), notices(&again)), (0, Vec::new()), "{mode}: {again}");
        let needed = build(&second, &more(), &[]);
        assert_eq!(ran(&needed), 3, "{mode}: {needed}");
        assert_eq!(!notices(&needed).is_empty(), notice > 0, "{mode}: {needed}");
        let image = second.rbuild(&["save", "app"]).succeeded().bytes;
        assert_eq!(crate::support::archive::Image::only(&image).text("again").len(), 100_000, "{mode}");
        second.rbuild(&["fsck"]).succeeded();
    }
}

/// Pruning keeps what leads somewhere, and forgets it with the steps.
#[test]
fn notes_go_with_the_steps() {
    let place = Place::folder();
    let second = warmed(&place, "max");
    let notes = || {
        let folder = |name: &str| std::fs::read_dir(second.store().join("v1").join(name));
        ["remotes", "copies"].map(|name| folder(name).map_or(0, Iterator::count))
    };
    assert_eq!(notes(), [2, 1]);
    second.rbuild(&["image", "prune", "-f"]).succeeded();
    let again = build(&second, DOCKERFILE, &[]);
    assert_eq!((ran(&again), notes()), (0, [2, 1]), "{again}");
    second.rbuild(&["cache", "prune", "-a", "-f"]).succeeded();
    assert_eq!(notes(), [0, 0]);
    let cold = build(&second, DOCKERFILE, &[]);
    assert_eq!((ran(&cold), notices(&cold)), (4, Vec::new()), "{cold}");
}
