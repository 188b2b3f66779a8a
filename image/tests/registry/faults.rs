//! Registries that break and registries that lie. In the end the image is right, or the error is clear and nothing is
//! left.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use rbuild_image::digest::{Digest, ImageId};
use rbuild_image::registry::{PullOptions, PushOptions, Registry, RegistryError, Settings, Silent};

use super::images::{Home, client, home, name, noise, quick};
use super::peer::{self, Peer};
use super::server::{Reply, Request, Server, proxy, serve};

/// A registry with one image of two layers.
fn stocked() -> Option<(Peer, ImageId)> {
    let peer = peer::start("", "")?;
    let here = home();
    let image = here.image(&[("big", noise(2 << 20, 7)), ("small", b"x".to_vec())]);
    let reference = name(&format!("{}/app", peer.address));
    client().push(&here.store, image, &reference, &PushOptions::default(), &Silent).unwrap();
    Some((peer, image))
}

fn pull(server: &Server, there: &Home) -> Result<ImageId, RegistryError> {
    let reference = name(&format!("{}/app", server.address));
    client().pull(&there.store, &reference, &PullOptions::default(), &Silent).map(|pulled| pulled.image)
}

fn fails(server: &Server, expected: &str) {
    let there = home();
    let error = pull(server, &there).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    assert_eq!(there.leftovers(), Vec::<String>::new(), "{error}");
}

#[test]
fn a_transfer_that_is_cut_goes_on_where_it_stopped() {
    let Some((peer, image)) = stocked() else { return };
    let server = proxy(&peer.address, |request, forward| {
        let reply = forward();
        // A quarter of what is left, each time.
        let cut = (request.is_blob() && reply.body.len() > 100_000).then_some(reply.body.len() / 4);
        Reply { cut, ..reply }
    });
    let there = home();
    assert_eq!(pull(&server, &there).unwrap(), image);
    assert!(there.file(image, "big").unwrap() == noise(2 << 20, 7));
    let ranges = server.requests().iter().filter(|request| request.header("range").is_some()).count();
    assert!(ranges > 3, "{ranges} requests with a range");
}

#[test]
fn a_registry_without_ranges_does_as_well() {
    let Some((peer, image)) = stocked() else { return };
    let (count, upstream) = (AtomicUsize::new(0), peer.address.clone());
    let server = proxy(&peer.address, move |request, forward| {
        if request.is_blob() && request.header("range").is_some() {
            let whole = Request { headers: vec![("Host".into(), "x".into())], ..request.clone() };
            return super::server::forward(&upstream, &whole);
        }
        let reply = forward();
        let is_first = reply.body.len() > 100_000 && count.fetch_add(1, Ordering::Relaxed) == 0;
        let cut = is_first.then_some(700_000);
        Reply { cut, ..reply }
    });
    assert_eq!(pull(&server, &home()).unwrap(), image);
}

#[test]
fn what_may_pass_is_tried_again() {
    let Some((peer, image)) = stocked() else { return };
    for status in [429, 500, 503] {
        let count = AtomicUsize::new(0);
        let server = proxy(&peer.address, move |request, forward| {
            // Every other request fails, but for the question whether this is a registry.
            if request.target != "/v2/" && count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                return Reply::status(status).with("Retry-After", "0");
            }
            forward()
        });
        assert_eq!(pull(&server, &home()).unwrap(), image, "{status}");
    }
}

#[test]
fn what_will_not_pass_is_not() {
    for (status, expected) in [(400, "400"), (403, "denied"), (404, "not found")] {
        let server = serve(
            move |request| if request.target == "/v2/" { Reply::status(200) } else { Reply::status(status) },
        );
        fails(&server, expected);
        let asked = server.requests().iter().filter(|request| request.target != "/v2/").count();
        assert_eq!(asked, 1, "{status}");
    }
    let server = serve(|_| Reply::status(503));
    fails(&server, "503");
    assert!(server.requests().len() > 4);
}

#[test]
fn silence_has_an_end() {
    let server = serve(|request| {
        if request.target != "/v2/" {
            std::thread::sleep(Duration::from_secs(3));
        }
        Reply::status(200)
    });
    let mut settings = Settings { attempts: 1, ..quick() };
    settings.timeouts.silence = Duration::from_millis(100);
    let begin = Instant::now();
    let reference = name(&format!("{}/app", server.address));
    let result = Registry::new(settings).pull(&home().store, &reference, &PullOptions::default(), &Silent);
    assert!(matches!(result, Err(RegistryError::Connection { transient: true, .. })));
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[test]
fn spoilt_bytes_are_noticed() {
    let Some((peer, image)) = stocked() else { return };
    let spoil = |always: bool| {
        let count = AtomicUsize::new(0);
        proxy(&peer.address, move |request, forward| {
            let mut reply = forward();
            let is_big = request.is_blob() && reply.body.len() > 100_000;
            if is_big && (always || count.fetch_add(1, Ordering::Relaxed) == 0) {
                reply.body[50_000] ^= 1;
            }
            reply
        })
    };
    // Once may be the line's fault; twice is the registry's.
    assert_eq!(pull(&spoil(false), &home()).unwrap(), image);
    fails(&spoil(true), "is corrupt");
    let config = proxy(&peer.address, move |request, forward| {
        let reply = forward();
        let is_config = request.is_blob() && reply.body.starts_with(b"{");
        let body = if is_config { vec![b' '; reply.body.len()] } else { reply.body.clone() };
        Reply { body, ..reply }
    });
    fails(&config, "is corrupt");
}

#[test]
fn lies_about_digests_and_lengths_are_noticed() {
    let Some((peer, _)) = stocked() else { return };
    let manifest = |change: fn(Reply) -> Reply| {
        proxy(&peer.address, move |request, forward| {
            let reply = forward();
            if request.target.contains("/manifests/") { change(reply) } else { reply }
        })
    };
    fails(
        &manifest(|reply| reply.with("Docker-Content-Digest", &Digest::of(b"x").to_string())),
        "is corrupt",
    );
    fails(
        &manifest(|reply| reply.body("<html>").with("Docker-Content-Digest", "").with("Content-Length", "6")),
        "expected",
    );
    // A manifest that fits its digest, and gives another length to a layer.
    let resized = |reply: Reply| {
        let text = String::from_utf8(reply.body.clone()).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["layers"][0]["size"] = 17.into();
        let body = value.to_string();
        let length = body.len().to_string();
        let digest = Digest::of(body.as_bytes()).to_string();
        reply.body(body).with("Content-Length", &length).with("Docker-Content-Digest", &digest)
    };
    fails(&manifest(resized), "expected 17 bytes");
    let longer = proxy(&peer.address, |request, forward| {
        let reply = forward();
        if request.is_blob() && reply.body.len() > 100_000 {
            Reply { endless: true, ..reply }.without_length()
        } else {
            reply
        }
    });
    fails(&longer, "longer than");
    let endless = serve(|request| {
        if request.target == "/v2/" {
            Reply::status(200)
        } else {
            Reply { endless: true, ..Reply::status(200) }
        }
    });
    fails(&endless, "longer than");
}

#[test]
fn redirects_end() {
    let round = serve(|request| match request.target.as_str() {
        "/v2/" => Reply::status(200),
        target => Reply::status(307).with("Location", target),
    });
    fails(&round, "too many redirects");
    for location in ["http://unencrypted.example/x", "file:///etc/passwd"] {
        let away = serve(move |request| {
            if request.target == "/v2/" {
                Reply::status(200)
            } else {
                Reply::status(307).with("Location", location)
            }
        });
        fails(&away, "redirects to");
    }
}

/// A registry with one made-up image.
fn fake(layer: Vec<u8>, diff_id: Digest) -> Server {
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let describe = |kind: &str, bytes: &[u8]| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{}","size":{}}}"#,
            Digest::of(bytes),
            bytes.len()
        )
    };
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
        describe("config.v1+json", config.as_bytes()),
        describe("layer.v1.tar+gzip", &layer)
    );
    serve(move |request| match request.target.as_str() {
        "/v2/" => Reply::status(200),
        target if target.contains("/manifests/") => Reply::status(200).body(manifest.clone()),
        target if target.ends_with(&Digest::of(config.as_bytes()).to_string()) => {
            Reply::status(200).body(config.clone())
        }
        _ => Reply::status(200).body(layer.clone()),
    })
}

#[test]
fn layers_that_are_not_what_the_config_says_are_refused() {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&[0; 1024]).unwrap();
    let empty = gzip.finish().unwrap();
    let right = fake(empty.clone(), Digest::of(&[0; 1024]));
    pull(&right, &home()).unwrap();
    fails(&fake(empty, Digest::of(b"other")), "is not what the image config promises");
    fails(&fake(b"this is no tar".to_vec(), Digest::of(b"this is no tar")), "layer sha256:");
}

#[test]
fn bombs_do_not_go_off() {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..64).for_each(|_| gzip.write_all(&zeros).unwrap());
    let server = fake(gzip.finish().unwrap(), Digest::of(b"never mind"));
    let mut settings = quick();
    settings.limits.inflated = 8 << 20;
    let there = home();
    let reference = name(&format!("{}/app", server.address));
    let error =
        Registry::new(settings).pull(&there.store, &reference, &PullOptions::default(), &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::Bomb { .. }), "{error}");
    assert_eq!(there.leftovers(), Vec::<String>::new());
}

#[test]
fn pushes_survive_what_may_pass() {
    let Some(peer) = peer::start("", "") else { return };
    let (here, there) = (home(), home());
    let image = here.image(&[("big", noise(1 << 20, 9)), ("small", b"x".to_vec())]);
    let count = AtomicUsize::new(0);
    let server = proxy(&peer.address, move |request, forward| {
        if request.target == "/v2/" || !count.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            return forward();
        }
        if request.method == "PUT" && request.target.contains("/uploads/") {
            // It arrived, and nobody hears of it.
            return Reply { cut: Some(0), ..forward() }.with("Content-Length", "10");
        }
        Reply::status(503)
    });
    let reference = name(&format!("{}/app", server.address));
    client().push(&here.store, image, &reference, &PushOptions::default(), &Silent).unwrap();
    let direct = name(&format!("{}/app", peer.address));
    assert_eq!(client().pull(&there.store, &direct, &PullOptions::default(), &Silent).unwrap().image, image);
}
