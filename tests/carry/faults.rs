//! Caches behind a line that breaks, and behind servers that break or lie. A build ends with the right image, said or
//! not; a cache that cannot be written is a clear error, and the one that was there stays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::bucket::Bucket;
use crate::support::faulty::{Reply, Request, Server, proxy};
use crate::support::registry::Registry;
use crate::support::{Outcome, Sandbox};

use super::{build, in_bucket, in_registry, notices, ran};

/// The last step needs the stage that only served; everything before is in the cache.
const BEFORE: &str = "FROM scratch AS made\nCOPY big /big\nCOPY input /input\n\
                      FROM scratch\nCOPY --from=made /input /out\n";
const AFTER: &str = "COPY --from=made /big /again\n";

type Rule = fn(&Request, &AtomicUsize, &dyn Fn() -> Reply) -> Reply;
/// From the address of a server to the words for a cache there.
type Spec = fn(&str) -> String;

/// What comes of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The cache is used as if nothing was.
    Used,
    /// It is said that the cache is of no use, and everything runs.
    Unused,
    /// Steps that seemed to be there run after all, and that is said.
    Partly,
}

fn noise() -> Vec<u8> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..300_000).map(next).collect()
}

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("big", noise());
    sandbox.write("input", "one");
    sandbox
}

fn is_layer(request: &Request, reply: &Reply) -> bool {
    request.is_blob() && !reply.body.starts_with(b"{")
}

fn is_big(request: &Request, reply: &Reply) -> bool {
    is_layer(request, reply) && reply.body.len() > 100_000
}

fn is_head(request: &Request) -> bool {
    request.target.contains("/manifests/")
}

fn every(count: &AtomicUsize, nth: usize) -> bool {
    count.fetch_add(1, Ordering::Relaxed).is_multiple_of(nth)
}

/// A body whose length is still promised.
fn spoilt(reply: Reply, spoil: impl Fn(&mut Vec<u8>)) -> Reply {
    let mut reply = reply;
    spoil(&mut reply.body);
    reply
}

/// Half of a body, and nobody says that there was more.
fn halved(reply: &Reply) -> Reply {
    let half = &reply.body[..reply.body.len() / 2];
    reply.clone().with("Content-Length", &half.len().to_string()).body(half)
}

/// What goes wrong while a cache is read.
const READING: [(&str, End, Rule); 14] = [
    ("cuts", End::Used, |request, _, forward| {
        let reply = forward();
        let cut = is_big(request, &reply).then_some(reply.body.len() / 4);
        Reply { cut, ..reply }
    }),
    ("slow bodies", End::Used, |request, _, forward| {
        let reply = forward();
        let pause = Duration::from_millis(if is_layer(request, &reply) { 30 } else { 0 });
        Reply { pause, ..reply }
    }),
    ("429 now and then", End::Used, |request, count, forward| {
        if request.target != "/v2/" && every(count, 3) { Reply::status(429) } else { forward() }
    }),
    ("503 now and then", End::Used, |request, count, forward| {
        if request.target != "/v2/" && every(count, 3) { Reply::status(503) } else { forward() }
    }),
    (
        "no head but 500",
        End::Unused,
        |request, _, forward| {
            if is_head(request) { Reply::status(500) } else { forward() }
        },
    ),
    (
        "no head but 403",
        End::Unused,
        |request, _, forward| {
            if is_head(request) { Reply::status(403) } else { forward() }
        },
    ),
    (
        "no head",
        End::Unused,
        |request, _, forward| {
            if is_head(request) { Reply::status(404) } else { forward() }
        },
    ),
    ("half a head", End::Unused, |request, _, forward| {
        let reply = forward();
        if !is_head(request) || request.method != "GET" {
            return reply;
        }
        halved(&reply)
    }),
    ("a config that is cut off", End::Unused, |request, _, forward| {
        let reply = forward();
        if request.is_blob() && request.header("range").is_some() {
            // Nor can the rest be had.
            return reply.with("Content-Length", "0").body("");
        }
        if !request.is_blob() || !reply.body.starts_with(b"{\"version\"") {
            return reply;
        }
        halved(&reply)
    }),
    ("a spoilt config", End::Unused, |request, _, forward| {
        let reply = forward();
        let is_config = request.method == "GET" && reply.body.starts_with(b"{\"version\"");
        spoilt(reply, |body| {
            if is_config {
                let end = body.len() - 1;
                body[end] = b' ';
            }
        })
    }),
    ("spoilt layers", End::Partly, |request, _, forward| {
        let reply = forward();
        let is_layer = is_layer(request, &reply);
        spoilt(reply, |body| {
            if is_layer {
                let middle = body.len() / 2;
                body[middle] ^= 1;
            }
        })
    }),
    ("a layer without an end", End::Partly, |request, _, forward| {
        let reply = forward();
        if is_big(request, &reply) { Reply { endless: true, ..reply }.without_length() } else { reply }
    }),
    ("no layers any more", End::Partly, |request, _, forward| {
        let reply = forward();
        if is_layer(request, &reply) { Reply::status(404) } else { reply }
    }),
    ("no large layer any more", End::Partly, |request, _, forward| {
        let reply = forward();
        if is_big(request, &reply) { Reply::status(404) } else { reply }
    }),
];

fn faulty(upstream: &str, rule: Rule) -> Server {
    let count = AtomicUsize::new(0);
    proxy(upstream, move |request, forward| rule(request, &count, forward))
}

/// One build with the cache behind the proxy.
fn read_through(what: &str, end: End, rule: Rule, upstream: &str, spec: Spec) {
    let server = faulty(upstream, rule);
    let machine = project();
    let from = format!("--cache-from={}", spec(&server.address));
    let built = build(&machine, &format!("{BEFORE}{AFTER}"), &[&from]);
    let (ran, said) = (ran(&built), notices(&built));
    match end {
        End::Used => assert_eq!((ran, said), (1, Vec::new()), "{what}: {built}"),
        End::Unused => assert_eq!((ran, said.len()), (4, 1), "{what}: {built}"),
        End::Partly => assert!(ran > 1 && !said.is_empty(), "{what}: {built}"),
    }
    let image = machine.rbuild(&["save", "app"]).succeeded().bytes;
    let image = crate::support::archive::Image::only(&image);
    assert_eq!(image.text("out"), "one", "{what}");
    let again = image.tree["again"].clone();
    let right = matches!(&again.kind, crate::support::archive::Kind::File(bytes) if *bytes == noise());
    assert!(right, "{what}: /again is another file");
    machine.rbuild(&["fsck"]).succeeded();
    assert!(!server.requests().is_empty(), "{what}: nothing went by the proxy");
    // The same machine without any cache: what it kept is right.
    drop(server);
    let alone = build(&machine, &format!("{BEFORE}{AFTER}"), &[]);
    assert_eq!(super::ran(&alone), 0, "{what}: {alone}");
}

/// Several at a time: most of them wait for the next attempt.
fn read_all(upstream: &str, spec: Spec) {
    let to = format!("--cache-to={},mode=max", spec(upstream));
    build(&project(), BEFORE, &[&to]);
    for part in READING.chunks(5) {
        std::thread::scope(|scope| {
            for &(what, end, rule) in part {
                scope.spawn(move || read_through(what, end, rule, upstream, spec));
            }
        });
    }
}

/// What goes wrong while a cache is written, and what is said where it cannot be.
const WRITING: [(&str, Option<&str>, Rule); 5] = [
    ("503 now and then", None, |request, count, forward| {
        if request.target != "/v2/" && every(count, 5) { Reply::status(503) } else { forward() }
    }),
    ("it arrives, and nobody hears of it", None, |request, count, forward| {
        let reply = forward();
        let cut = request.method == "PUT" && every(count, 2);
        if cut { Reply { cut: Some(0), ..reply }.with("Content-Length", "10") } else { reply }
    }),
    ("no head but 503", Some("503"), |request, _, forward| {
        let is_put = request.method == "PUT" && is_head(request);
        if is_put { Reply::status(503) } else { forward() }
    }),
    ("no head but 403", Some("denied"), |request, _, forward| {
        let is_put = request.method == "PUT" && is_head(request);
        if is_put { Reply::status(403) } else { forward() }
    }),
    ("no blobs but 400", Some("400"), |request, _, forward| {
        let writes = matches!(request.method.as_str(), "PUT" | "POST" | "PATCH");
        if writes && !is_head(request) { Reply::status(400) } else { forward() }
    }),
];

fn write_through(what: &str, says: Option<&str>, rule: Rule, upstream: &str, spec: Spec) {
    // A name of its own for each, so that they do not write over each other.
    let other =
        |address: &str| spec(address).replace("app", &what.replace(|c: char| !c.is_alphanumeric(), "-"));
    let direct = other(upstream);
    let machine = project();
    let to = |spec: &str| format!("--cache-to={spec},mode=max");
    build(&machine, BEFORE, &[&to(&direct)]);
    let server = faulty(upstream, rule);
    let changed = format!("{BEFORE}{AFTER}");
    let broken = to(&other(&server.address));
    let expected = match says {
        None => {
            let written = build(&machine, &changed, &[&broken]);
            assert_eq!(notices(&written), Vec::<String>::new(), "{what}: {written}");
            0
        }
        Some(says) => {
            let failed: Outcome = machine.build(&changed, &["-t", "app", &broken]).ended_with(1);
            assert!(failed.stderr.contains("failed to write cache to "), "{what}: {failed}");
            assert!(failed.stderr.contains(says), "{what}: {failed}");
            let forgiven = build(&machine, &changed, &[&format!("{broken},ignore-error=true")]);
            assert_eq!(notices(&forgiven).len(), 1, "{what}: {forgiven}");
            1
        }
    };
    // What readers find is whole: the new cache, or still the old one.
    let reader = build(&project(), &changed, &[&format!("--cache-from={direct}")]);
    assert_eq!((ran(&reader), notices(&reader)), (expected, Vec::new()), "{what}: {reader}");
}

fn write_all(upstream: &str, spec: Spec) {
    std::thread::scope(|scope| {
        for (what, says, rule) in WRITING {
            scope.spawn(move || write_through(what, says, rule, upstream, spec));
        }
    });
}

#[test]
fn between_a_build_and_a_registry() {
    let Some(registry) = Registry::start(None) else { return };
    read_all(&registry.address, in_registry);
    write_all(&registry.address, in_registry);
}

#[test]
fn between_a_build_and_a_bucket() {
    let Some(bucket) = Bucket::start() else { return };
    read_all(&bucket.address, in_bucket);
    write_all(&bucket.address, in_bucket);
}
