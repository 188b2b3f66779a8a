//! A bucket of a server that speaks S3's protocol (moto's, of PyPI): uploads in parts, names, objects that are made
//! young, and keys that a service hands out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rbuild_image::digest::{BlobDigest, Digest};
use rbuild_image::manifest::Descriptor;
use rbuild_image::place::{Access, Bucket, BucketAddress, BucketSettings, Key, Place, read_small};

use super::images::{noise, quick};
use super::moto::Bucket as Moto;
use super::server::{Reply, Server, proxy, serve};

/// The smallest part that S3 takes, in bytes.
const PART: u64 = 5 << 20;

fn settings(server: &str) -> BucketSettings {
    BucketSettings {
        address: BucketAddress {
            bucket: "cache".into(),
            region: "us-east-1".into(),
            endpoint: Some(format!("http://{server}")),
            path_style: true,
            blobs: "a b/blobs/".into(),
            manifests: "a b/manifests/".into(),
            name: "main".into(),
        },
        aliases: Vec::new(),
        access: Access::Key(Key { id: "k".into(), secret: "s".into(), token: None }),
        touch_after: None,
        part_size: PART,
    }
}

fn bucket(settings: &BucketSettings) -> Bucket {
    Bucket::new(settings, &quick()).unwrap()
}

/// A file with so many bytes, and what describes it.
fn blob(size: usize) -> (tempfile::NamedTempFile, Descriptor, Vec<u8>) {
    let bytes = noise(size, 3);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let descriptor = Descriptor::new("x", BlobDigest(Digest::of(&bytes)), size as u64);
    (file, descriptor, bytes)
}

/// The requests whose address has `text` in it.
fn asked(server: &Server, method: &str, text: &str) -> usize {
    server.requests().iter().filter(|it| it.method == method && it.target.contains(text)).count()
}

#[test]
fn large_blobs_go_up_in_parts() {
    let Some(moto) = Moto::start() else { return };
    let (file, large, bytes) = blob(12 << 20);
    let count = AtomicUsize::new(0);
    // The first part fails once, and the whole goes on.
    let server = proxy(&moto.address, move |request, forward| {
        let fails = request.target.contains("partNumber=") && count.fetch_add(1, Ordering::Relaxed) == 0;
        if fails { Reply::status(503) } else { forward() }
    });
    let place = bucket(&settings(&server.address));
    assert!(!place.has(&large).unwrap());
    place.write(&large, file.path()).unwrap();
    assert!(place.has(&large).unwrap());
    assert!(read_small(&place, &large, 1 << 30).unwrap() == bytes);
    assert_eq!((asked(&server, "PUT", "partNumber="), asked(&server, "DELETE", "uploadId=")), (4, 0));

    // What cannot be completed is taken back.
    let server = proxy(&moto.address, |request, forward| {
        if request.target.contains("partNumber=3") { Reply::status(400) } else { forward() }
    });
    let mut other = settings(&server.address);
    other.address.blobs = "other/".into();
    let place = bucket(&other);
    assert!(place.write(&large, file.path()).unwrap_err().to_string().contains("400"));
    assert!(!place.has(&large).unwrap());
    assert_eq!(asked(&server, "DELETE", "uploadId="), 1);
    // The status of the last request says nothing yet.
    let server = proxy(&moto.address, |request, forward| {
        if request.method == "POST" && request.target.contains("uploadId=") {
            return Reply::status(200)
                .body("<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>");
        }
        forward()
    });
    other.address.endpoint = Some(format!("http://{}", server.address));
    let error = bucket(&other).write(&large, file.path()).unwrap_err().to_string();
    assert!(error.contains("InternalError"), "{error}");
}

#[test]
fn a_head_may_have_several_names_and_old_blobs_are_made_young() {
    let Some(moto) = Moto::start() else { return };
    let (file, small, _) = blob(1000);
    let server = proxy(&moto.address, |_, forward| forward());
    let mut settings = settings(&server.address);
    settings.aliases = vec!["pr-1".into()];
    bucket(&settings).switch(b"{}").unwrap();
    for name in ["main", "pr-1"] {
        settings.address.name = name.into();
        assert_eq!(bucket(&settings).head().unwrap().as_deref(), Some(&b"{}"[..]), "{name}");
    }
    bucket(&settings).write(&small, file.path()).unwrap();
    let copies = || server.requests().iter().filter(|it| it.header("x-amz-copy-source").is_some()).count();
    for (touch_after, expected) in
        [(None, 0), (Some(Duration::from_secs(3600)), 0), (Some(Duration::ZERO), 1)]
    {
        if touch_after == Some(Duration::ZERO) {
            // Times of objects are told apart to the second.
            std::thread::sleep(Duration::from_millis(1100));
        }
        settings.touch_after = touch_after;
        assert!(bucket(&settings).has(&small).unwrap());
        assert_eq!(copies(), expected, "{touch_after:?}");
    }
    assert!(read_small(&bucket(&settings), &small, 1 << 20).is_ok());
}

/// What the services of containers and machines answer.
#[test]
fn keys_are_lent() {
    let Some(moto) = Moto::start() else { return };
    let key = |expires: &str| {
        format!(
            r#"{{"Code":"Success","AccessKeyId":"lent","SecretAccessKey":"s","Token":"tok","Expiration":"{expires}"}}"#
        )
    };
    let lender = move |expires: &'static str| {
        serve(move |request| match (request.method.as_str(), request.target.as_str()) {
            ("GET", "/container") if request.header("authorization") == Some("mine") => {
                Reply::status(200).body(key(expires))
            }
            ("PUT", "/latest/api/token") => Reply::status(200).body("t0\n"),
            ("GET", _) if request.header("x-aws-ec2-metadata-token") != Some("t0") => Reply::status(401),
            ("GET", "/latest/meta-data/iam/security-credentials/") => Reply::status(200).body("role\n"),
            ("GET", "/latest/meta-data/iam/security-credentials/role") => {
                Reply::status(200).body(key(expires))
            }
            _ => Reply::status(404),
        })
    };
    let upstream = proxy(&moto.address, |_, forward| forward());
    let with = |access: Access| bucket(&BucketSettings { access, ..settings(&upstream.address) });
    let signed = || asked(&upstream, "GET", "X-Amz-Credential=lent");
    // One that holds is asked for once, one that is about to expire each time.
    for (expires, times) in [("2099-01-01T00:00:00Z", 1), ("2020-01-01T00:00:00Z", 2)] {
        let server = lender(expires);
        let url = format!("http://{}/container", server.address);
        let place = with(Access::Container { url: url.clone(), token: Some("mine".into()) });
        let before = signed();
        assert!(place.head().unwrap().is_none() && place.head().unwrap().is_none());
        assert_eq!((asked(&server, "GET", "/container"), signed() - before), (times, 2));
        let denied = with(Access::Container { url, token: None }).head().unwrap_err().to_string();
        assert!(denied.contains("/container"), "{denied}");
        let place = with(Access::Instance { url: format!("http://{}/", server.address) });
        let before = signed();
        assert!(place.head().unwrap().is_none());
        assert_eq!(signed() - before, 1);
    }
    // A machine without a role is nobody.
    let nobody = serve(|_| Reply::status(404));
    let place = with(Access::Instance { url: format!("http://{}", nobody.address) });
    let before = signed();
    let _ = place.head();
    assert_eq!(signed(), before);
    assert!(upstream.requests().last().is_some_and(|it| !it.target.contains("X-Amz-")));
}
