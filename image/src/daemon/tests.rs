//! A docker of the tests' own, which says what it is told to and keeps what it was sent.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, channel};

use super::{Address, Daemon, DaemonError};
use crate::archive::Selection;
use crate::config::{ImageConfig, RootFs};
use crate::digest::{DiffId, ImageId};
use crate::layer::{Flavour, OwnTimes};
use crate::store::Store;

/// An image of two layers, and a store with it.
struct Home {
    _folder: tempfile::TempDir,
    store: Store,
    image: ImageId,
    layers: Vec<DiffId>,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Flavour::User).unwrap();
        let layers: Vec<_> = ["below", "above"]
            .into_iter()
            .map(|name| {
                let temp = store.temp().unwrap();
                drop(temp.make_dir("fs", 0o755).unwrap());
                std::fs::write(temp.path().join("fs").join(name), name.repeat(1000)).unwrap();
                store.publish_layer(temp, OwnTimes::KeepAll).unwrap()
            })
            .collect();
        let diff_ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id().unwrap()).collect();
        let rootfs = RootFs { diff_ids: diff_ids.clone(), ..RootFs::default() };
        let config = ImageConfig { os: "linux".into(), rootfs, ..ImageConfig::default() };
        let ids: Vec<_> = layers.iter().map(crate::store::Layer::id).collect();
        let image = store.put_image(&config.to_bytes(), &ids).unwrap();
        Self { _folder: folder, store, image, layers: diff_ids }
    }

    fn hand_over(&self, docker: &Docker) -> Result<super::Handed, DaemonError> {
        let selection = Selection { id: self.image.into(), names: vec!["app:1".parse().unwrap()] };
        Daemon::new(docker.address.clone()).hand_over(&self.store, self.image, &selection)
    }
}

/// Answers in order: to each load one of `loads`; everything else is known.
struct Docker {
    _folder: tempfile::TempDir,
    address: Address,
    /// The members of each archive that was sent.
    sent: Receiver<BTreeSet<String>>,
}

impl Docker {
    fn start(info: &'static str, layers: Vec<DiffId>, loads: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (sender, sent) = channel();
        std::thread::spawn(move || {
            let mut loads = loads.iter();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (target, body) = request(&stream);
                let answer = match target.as_str() {
                    "/info" => info.to_owned(),
                    "/images/json" => r#"[{"Id":"sha256:other"}]"#.to_owned(),
                    "/images/sha256:other/json" => {
                        serde_json::json!({"RootFS": {"Layers": layers}}).to_string()
                    }
                    "/images/load?quiet=1" => {
                        let mut archive = tar::Archive::new(&body[..]);
                        let names = archive
                            .entries()
                            .unwrap()
                            .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned());
                        sender.send(names.collect()).unwrap();
                        (*loads.next().unwrap()).to_owned()
                    }
                    _ => "{}".to_owned(),
                };
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
                stream.write_all((head + &answer).as_bytes()).unwrap();
            }
        });
        Self { _folder: folder, address: Address::Unix(path), sent }
    }

    /// Which of the layers the next archive had.
    fn had(&self, home: &Home) -> Vec<bool> {
        let names = self.sent.try_recv().unwrap();
        home.layers.iter().map(|layer| names.contains(&format!("blobs/sha256/{}", layer.hex()))).collect()
    }
}

/// The target and the body of a request, which is chunked if there is one.
fn request(stream: &UnixStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let line = |reader: &mut BufReader<_>| {
        let mut text = String::new();
        reader.read_line(&mut text).unwrap();
        text.trim_end().to_owned()
    };
    let first = line(&mut reader);
    let mut is_chunked = false;
    loop {
        let header = line(&mut reader);
        is_chunked |= header.eq_ignore_ascii_case("transfer-encoding: chunked");
        if header.is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    while is_chunked {
        let size = u64::from_str_radix(&line(&mut reader), 16).unwrap();
        reader.by_ref().take(size).read_to_end(&mut body).unwrap();
        line(&mut reader);
        is_chunked = size > 0;
    }
    (first.split(' ').nth(1).unwrap().to_owned(), body)
}

#[test]
fn layers_that_docker_has_are_not_sent() {
    let home = Home::new();
    let docker = Docker::start("{}", vec![home.layers[0]], &[""]);
    let handed = home.hand_over(&docker).unwrap();
    assert_eq!(docker.had(&home), [false, true]);
    assert_eq!((handed.left_out, handed.refused), (1, None));
    assert!(handed.sent > 5000 && handed.sent < 20_000, "{}", handed.sent);
}

#[test]
fn a_layer_on_other_layers_is_another_one() {
    let home = Home::new();
    let docker = Docker::start("{}", vec![home.layers[1]], &[""]);
    assert_eq!(home.hand_over(&docker).unwrap().left_out, 0);
    assert_eq!(docker.had(&home), [true, true]);
}

#[test]
fn the_whole_archive_is_sent_where_parts_are_refused() {
    let home = Home::new();
    let docker = Docker::start("{}", home.layers.clone(), &[r#"{"error":"no such file"}"#, ""]);
    let handed = home.hand_over(&docker).unwrap();
    assert_eq!((docker.had(&home), docker.had(&home)), (vec![false, false], vec![true, true]));
    assert_eq!((handed.left_out, handed.refused.as_deref()), (0, Some("no such file")));
    let info = r#"{"DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]]}"#;
    let docker = Docker::start(info, home.layers.clone(), &[""]);
    assert_eq!(home.hand_over(&docker).unwrap().refused, None, "containerd's store is not even tried");
    assert_eq!(docker.had(&home), [true, true]);
}

#[test]
fn a_refusal_is_told_and_so_is_nobody() {
    let home = Home::new();
    let docker = Docker::start("{}", Vec::new(), &[r#"{"error":"disk full"}"#]);
    let error = home.hand_over(&docker).unwrap_err().to_string();
    assert!(error.starts_with("docker at unix:///") && error.ends_with(": disk full"), "{error}");
    let nobody = Daemon::new("unix:///nonexistent/sock".parse().unwrap());
    assert!(matches!(nobody.known_layers(), Err(DaemonError::Connection { .. })));
}
