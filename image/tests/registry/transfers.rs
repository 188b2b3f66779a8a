//! Images go to the real registry and come back.

use std::fs;
use std::process::Command;
use std::sync::Mutex;

use rbuild_image::digest::Digest;
use rbuild_image::platform::Platform;
use rbuild_image::registry::{
    Compression, Event, LayerState, Policy, Progress, PullOptions, PushOptions, Registry, RegistryError,
    Settings, Silent,
};

use super::images::{client, home, name, noise, quick};
use super::{peer, server};

/// Remembers how layers got further.
#[derive(Default)]
struct Watch(Mutex<Vec<LayerState>>);

impl Progress for Watch {
    fn event(&self, event: Event<'_>) {
        if let Event::Layer { state, .. } = event {
            self.0.lock().unwrap().push(state);
        }
    }
}

impl Watch {
    fn count(&self, wanted: LayerState) -> usize {
        self.0.lock().unwrap().iter().filter(|state| **state == wanted).count()
    }
}

#[test]
fn an_image_comes_back_as_it_went() {
    let Some(peer) = peer::start("", "") else { return };
    for (tag, compression) in
        [("gzip", Compression::Gzip(6)), ("zstd", Compression::Zstd(3)), ("plain", Compression::None)]
    {
        let (here, there) = (home(), home());
        let big = noise(3 << 20, 1);
        let image = here.image(&[("a", b"hello".to_vec()), ("b", big.clone())]);
        let reference = name(&format!("{}/team/app:{tag}", peer.address));
        let options = PushOptions { compression: Some(compression) };
        let pushed = client().push(&here.store, image, &reference, &options, &Silent).unwrap();
        assert!(pushed.sent > big.len() as u64 / 2);

        let pulled = client().pull(&there.store, &reference, &PullOptions::default(), &Silent).unwrap();
        assert_eq!((pulled.image, pulled.digest, pulled.is_new), (image, pushed.digest, true));
        assert_eq!(there.store.named(&reference).unwrap(), Some(image));
        assert_eq!(there.file(image, "a").unwrap(), b"hello");
        assert!(there.file(image, "b").unwrap() == big);

        // Again: everything is there, and nothing moves.
        let watch = Watch::default();
        let again = client().pull(&there.store, &reference, &PullOptions::default(), &watch).unwrap();
        assert_eq!((again.image, again.is_new), (image, false));
        assert_eq!((watch.count(LayerState::Exists), watch.count(LayerState::Transferring)), (2, 0));
        let repushed = client().push(&here.store, image, &reference, &options, &Silent).unwrap();
        assert_eq!((repushed.sent, repushed.digest), (0, pushed.digest));
        // What was pulled goes back bit for bit, and the registry mounts it.
        let other = name(&format!("{}/team/other:{tag}", peer.address));
        let watch = Watch::default();
        let moved = client().push(&there.store, image, &other, &PushOptions::default(), &watch).unwrap();
        assert_eq!(moved.digest, pushed.digest);
        assert_eq!(watch.count(LayerState::Mounted), 2);
    }
}

#[test]
fn one_changed_layer_is_all_that_is_sent() {
    let Some(peer) = peer::start("", "") else { return };
    let here = home();
    let base = ("base", noise(2 << 20, 2));
    let first = here.image(&[base.clone(), ("app", b"one".to_vec())]);
    let second = here.image(&[base, ("app", b"two".to_vec())]);
    let reference = name(&format!("{}/app", peer.address));
    client().push(&here.store, first, &reference, &PushOptions::default(), &Silent).unwrap();
    let pushed = client().push(&here.store, second, &reference, &PushOptions::default(), &Silent).unwrap();
    assert!(pushed.sent < 10_000, "{} bytes", pushed.sent);
    // Compressed once, and remembered: a second registry gets the same blobs.
    let Some(other) = peer::start("", "") else { return };
    let elsewhere = name(&format!("{}/app", other.address));
    let watch = Watch::default();
    let copy = client().push(&here.store, second, &elsewhere, &PushOptions::default(), &watch).unwrap();
    assert_eq!((copy.digest, watch.count(LayerState::Compressing)), (pushed.digest, 0));
}

#[test]
fn uploads_in_chunks_arrive_whole() {
    let Some(peer) = peer::start("", "") else { return };
    let (here, there) = (home(), home());
    let big = noise(3 << 20, 3);
    let image = here.image(&[("b", big.clone())]);
    let reference = name(&format!("{}/app", peer.address));
    let chunked = Registry::new(Settings { chunk: Some(1 << 20), ..quick() });
    chunked.push(&here.store, image, &reference, &PushOptions::default(), &Silent).unwrap();
    client().pull(&there.store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert!(there.file(image, "b").unwrap() == big);
}

#[test]
fn names_digests_tags_and_searches() {
    let Some(peer) = peer::start("", "") else { return };
    let (here, there) = (home(), home());
    let image = here.image(&[("a", b"x".to_vec())]);
    let mut digest = None;
    for tag in ["one", "two"] {
        let reference = name(&format!("{}/team/app:{tag}", peer.address));
        let pushed = client().push(&here.store, image, &reference, &PushOptions::default(), &Silent).unwrap();
        digest = Some(pushed.digest);
    }
    let pinned = name(&format!("{}/team/app@{}", peer.address, digest.unwrap()));
    let options = PullOptions::default();
    assert_eq!(client().pull(&there.store, &pinned, &options, &Silent).unwrap().image, image);
    let never = client().resolve_or_pull(&there.store, &pinned, &options, Policy::Never, &Silent).unwrap();
    assert_eq!((never.image.id, never.pulled), (image, false));

    assert_eq!(client().tags(&pinned, &Silent).unwrap(), ["one", "two"]);
    let found = client().search(&format!("{}/app", peer.address), 10, &Silent).unwrap();
    assert_eq!(found[0].name, format!("{}/team/app", peer.address));
    assert!(client().search(&format!("{}/nothing", peer.address), 10, &Silent).unwrap().is_empty());

    let missing = name(&format!("{}/team/app:three", peer.address));
    let error = client().pull(&there.store, &missing, &options, &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::NotFound(_)), "{error}");
    let wrong = name(&format!("{}/team/app@{}", peer.address, Digest::of(b"wrong")));
    assert!(matches!(
        client().pull(&there.store, &wrong, &options, &Silent),
        Err(RegistryError::NotFound(_))
    ));
    let error = client().push(&here.store, image, &pinned, &PushOptions::default(), &Silent).unwrap_err();
    assert!(error.to_string().contains("cannot push a digest reference"), "{error}");
    let exact = PullOptions { platform: Platform::new("linux", "s390x", None), exact_platform: true };
    let one = name(&format!("{}/team/app:one", peer.address));
    let error = client().pull(&there.store, &one, &exact, &Silent).unwrap_err();
    assert!(error.to_string().contains("wanted linux/s390x, actual: linux/"), "{error}");
}

#[test]
fn docker_hub_is_searched_by_its_own_rules() {
    let hub = server::serve(|_| {
        server::Reply::status(200).body(
            r#"{"num_results":3,"results":[
                {"name":"busybox","description":"Busy\u001b[31mbox","star_count":7,"is_official":true,"is_automated":false},
                {"name":"a/b","description":null,"star_count":1,"is_official":false,"is_automated":true},
                {"name":"c/d"}]}"#,
        )
    });
    let settings = Settings { hub_search: format!("http://{}", hub.address), ..quick() };
    let found = Registry::new(settings).search("busy box", 2, &Silent).unwrap();
    let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.stars, one.is_official)).collect();
    assert_eq!(names, [("busybox", 7, true), ("a/b", 1, false)]);
    assert_eq!(found[0].description, "Busy[31mbox", "nothing that a terminal would obey");
    assert!(found[1].is_automated);
    let asked = &hub.requests()[0];
    assert_eq!(asked.target, "/v1/search?n=2&q=busy%20box");
    assert!(asked.header("authorization").is_none());
}

#[test]
fn a_mirror_is_asked_first_and_does_not_have_to_help() {
    let Some(peer) = peer::start("", "") else { return };
    let here = home();
    let image = here.image(&[("a", b"x".to_vec())]);
    let reference = name(&format!("{}/app", peer.address));
    client().push(&here.store, image, &reference, &PushOptions::default(), &Silent).unwrap();
    let upstream = peer.address.clone();
    let good = server::proxy(&upstream, |_, forward| forward());
    let bad = server::serve(|_| server::Reply::status(502));
    let liar = server::serve(|_| {
        server::Reply::status(200).with("Docker-Content-Digest", &Digest::of(b"x").to_string()).body("{}")
    });
    for (mirrors, asks_bad) in [(vec![&good], false), (vec![&bad, &liar], true)] {
        let there = home();
        let urls = mirrors.iter().map(|server| format!("http://{}", server.address)).collect();
        let settings = Settings { mirrors: [(peer.address.clone(), urls)].into(), attempts: 2, ..quick() };
        let pulled = Registry::new(settings).pull(&there.store, &reference, &PullOptions::default(), &Silent);
        assert_eq!(pulled.unwrap().image, image);
        assert!(good.requests().iter().any(|request| request.is_blob()));
        assert_eq!(!bad.requests().is_empty(), asks_bad);
        assert_eq!(!liar.requests().is_empty(), asks_bad);
    }
}

#[test]
fn skopeo_takes_what_was_pushed_and_gives_what_can_be_pulled() {
    let Some(peer) = peer::start("", "") else { return };
    if Command::new("skopeo").arg("--version").output().is_err() {
        println!("SKIP skopeo is not installed");
        return;
    }
    let (here, there, third) = (home(), home(), home());
    let image = here.image(&[("a", noise(100_000, 5)), ("b", b"x".to_vec())]);
    let ours = name(&format!("{}/ours:1", peer.address));
    client().push(&here.store, image, &ours, &PushOptions::default(), &Silent).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str, extra: &[&str]| {
        let output = Command::new("skopeo")
            .args(["copy", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(extra)
            .args([from, to])
            .env("HOME", folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let remote = |path: &str| format!("docker://{}/{path}", peer.address);
    // Into docker's own format and back to the registry: another manifest, the same image.
    copy(&remote("ours:1"), &remote("theirs:1"), &["--format", "v2s2"]);
    let theirs = name(&format!("{}/theirs:1", peer.address));
    assert_eq!(client().pull(&there.store, &theirs, &PullOptions::default(), &Silent).unwrap().image, image);
    // What came with docker's types goes back with docker's types.
    let back = name(&format!("{}/back:1", peer.address));
    client().push(&there.store, image, &back, &PushOptions::default(), &Silent).unwrap();
    let layout = folder.path().join("dir");
    copy(&remote("back:1"), &format!("dir:{}", layout.display()), &[]);
    let manifest = fs::read_to_string(layout.join("manifest.json")).unwrap();
    assert!(manifest.contains("application/vnd.docker.distribution.manifest.v2+json"), "{manifest}");
    assert_eq!(client().pull(&third.store, &back, &PullOptions::default(), &Silent).unwrap().image, image);
}
