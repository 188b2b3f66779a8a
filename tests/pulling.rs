//! Base images of one build, pulled at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::registry::Registry;

/// A registry that has nothing, and does `first` before it says so. Its address.
fn empty_registry(first: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    let first = Arc::new(first);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let first = Arc::clone(&first);
            std::thread::spawn(move || answer(client, &*first));
        }
    });
    address
}

fn answer(mut client: TcpStream, first: &impl Fn(&mut TcpStream)) {
    let mut request = BufReader::new(client.try_clone().expect("a second handle"));
    let mut line = String::new();
    // Who begins with TLS sends no text.
    if request.read_line(&mut line).is_err() || !line.starts_with("GET /") {
        return;
    }
    let mut header = String::new();
    while request.read_line(&mut header).is_ok_and(|length| length > 2) {
        header.clear();
    }
    first(&mut client);
    // The client may be gone.
    let _ = client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

#[test]
fn several_bases_arrive_each_once() {
    let Some(registry) = Registry::start(None) else { return };
    let at = |name: &str| format!("{}/{name}", registry.address);
    let maker = Sandbox::new();
    for name in ["a", "b", "c"] {
        maker.write("file", name);
        maker.build("FROM scratch\nCOPY file /\n", &["-q", "-t", &at(name), "--push"]).succeeded();
    }
    let (a, b, c) = (at("a"), at("b"), at("c"));
    let dockerfile = format!(
        "FROM {a} AS a\nFROM {b} AS b\nFROM {a}:latest AS again\nFROM scratch\nCOPY --from=a file /a\n\
         COPY --from=b file /b\nCOPY --from={c} file /c\nCOPY --from=again file /again\nCOPY --from={c}:latest file /d\n"
    );
    let sandbox = Sandbox::new();
    let out = sandbox.path("out");
    let built =
        sandbox.build(&dockerfile, &["--progress=json", "-o", &format!("type=local,dest={out}")]).succeeded();
    let events = built.events();
    let of = |kind: &str| -> Vec<String> {
        let found = events.iter().filter(|event| event["type"] == kind);
        let mut found: Vec<String> =
            found.map(|event| event["image"].as_str().expect("text").to_owned()).collect();
        found.sort();
        found
    };
    let names = [&a, &b, &c].map(|name| format!("{name}:latest"));
    assert_eq!((of("pull"), of("pulled")), (names.to_vec(), names.to_vec()), "{built}");
    for (file, content) in [("a", "a"), ("b", "b"), ("c", "c"), ("again", "a"), ("d", "c")] {
        assert_eq!(std::fs::read_to_string(format!("{out}/{file}")).expect("a file"), content);
    }
    let plain = sandbox.build(&dockerfile, &["--pull", "--progress=plain"]).succeeded();
    for name in names {
        assert_eq!(plain.stderr.matches(&format!("#0 pulling {name}\n")).count(), 1, "{plain}");
    }
}

#[test]
fn bases_are_asked_for_at_the_same_time() {
    // None of three registries answers before all of them were asked.
    let asked = Arc::new((Mutex::new(0), Condvar::new()));
    let addresses: Vec<String> = (0..3)
        .map(|_| {
            let asked = Arc::clone(&asked);
            empty_registry(move |_| {
                let mut count = asked.0.lock().expect("no panic");
                *count += 1;
                asked.1.notify_all();
                let patience = Duration::from_secs(20);
                drop(asked.1.wait_timeout_while(count, patience, |count| *count < 3).expect("no panic"));
            })
        })
        .collect();
    let sandbox = Sandbox::new();
    let [a, b, c] = &addresses[..] else { panic!("three") };
    let dockerfile = format!(
        "FROM {a}/x AS a\nFROM {b}/x AS b\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from={c}/x / /\n"
    );
    let failed = sandbox.build(&dockerfile, &["--progress=json"]).ended_with(1);
    assert_eq!(*asked.0.lock().expect("no panic"), 3, "{failed}");
    // Whichever was quickest: the error is about the line that asks for it.
    let events = failed.events();
    let error = events.iter().find(|event| event["type"] == "error").expect("an error");
    let text = error["message"].as_str().expect("text");
    let line =
        [(a, 1), (b, 2), (c, 6)].into_iter().find(|(address, _)| text.contains(*address)).expect("one").1;
    assert_eq!(error["line"], Value::from(line), "{failed}");
    assert!(text.ends_with("not found"), "{failed}");
}

#[test]
fn a_base_that_is_missing_ends_the_wait_for_the_others() {
    // The silent one hears of the end by losing its client.
    let silent_is_asked = Arc::new((Mutex::new(false), Condvar::new()));
    let asked = Arc::clone(&silent_is_asked);
    let (note, lost) = std::sync::mpsc::channel();
    let silent = empty_registry(move |client| {
        *asked.0.lock().expect("no panic") = true;
        asked.1.notify_all();
        let ended = client.read(&mut [0; 1]);
        // Nobody listens any more to what comes after the first.
        let _ = note.send(matches!(ended, Ok(0) | Err(_)));
    });
    let asked = Arc::clone(&silent_is_asked);
    let missing = empty_registry(move |_| {
        let is_asked = asked.0.lock().expect("no panic");
        drop(
            asked.1.wait_timeout_while(is_asked, Duration::from_secs(20), |asked| !*asked).expect("no panic"),
        );
    });
    let sandbox = Sandbox::new();
    let dockerfile = format!("FROM {silent}/x AS a\nFROM {missing}/x\nCOPY --from=a / /\n");
    sandbox
        .build(&dockerfile, &[])
        .ended_with(1)
        .saying("Dockerfile:2")
        .saying(&format!("{missing}/x:latest: not found"));
    assert!(*silent_is_asked.0.lock().expect("no panic"));
    assert_eq!(lost.recv_timeout(Duration::from_secs(20)), Ok(true));
}
