//! Ways to a registry: mirrors, proxies, credential helpers, digests.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::support::Sandbox;
use crate::support::registry::{Registry, htpasswd};

const FILES: &str = "FROM scratch\nCOPY Dockerfile /\n";

/// Writes rbuild's own configuration.
fn configure(sandbox: &Sandbox, text: &str) {
    write(&sandbox.home().join(".config/rbuild/config.json"), text);
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

#[test]
fn mirrors_of_the_configuration_help_and_do_not_have_to() {
    let (Some(full), Some(empty)) = (Registry::start(None), Registry::start(None)) else { return };
    let maker = Sandbox::new();
    let direct = format!("{}/library/busybox:latest", full.address);
    maker.build(FILES, &["-q", "-t", &direct, "--push"]).succeeded();
    let sandbox = Sandbox::new();
    let mirrors = format!(
        r#"{{"registries":{{"docker.io":{{"mirrors":["http://{0}","http://{1}"]}},"{1}":{{"mirrors":["http://{0}"]}}}}}}"#,
        empty.address, full.address
    );
    configure(&sandbox, &mirrors);
    // Docker Hub by its second mirror; and a registry itself, where its mirror has nothing.
    for name in ["busybox", &direct] {
        let pulled = sandbox.rbuild(&["pull", name]).succeeded();
        pulled.saying(&format!("mirror {} does not help", empty.address));
    }
    let known = sandbox.rbuild(&["images", "--format", "{{.Repository}}"]).succeeded().stdout;
    assert!(known.contains("busybox\n") && known.contains(&full.address), "{known}");
    sandbox.build("FROM busybox\nCOPY Dockerfile /x\n", &["--pull"]).succeeded();
}

/// A proxy that leads every connection to one address, and notes where it was meant to lead.
fn proxy(to: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("its address").to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (noted, to) = (Arc::clone(&asked), to.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (noted, to) = (Arc::clone(&noted), to.clone());
            std::thread::spawn(move || lead(client, &to, &noted));
        }
    });
    (address, asked)
}

fn lead(mut client: TcpStream, to: &str, asked: &Mutex<Vec<String>>) {
    let mut head = BufReader::new(client.try_clone().expect("a second handle"));
    let (mut first, mut line) = (String::new(), String::new());
    head.read_line(&mut first).expect("a request");
    while head.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    asked.lock().expect("no panic").push(first.trim().to_owned());
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").expect("an answer");
    let upstream = TcpStream::connect(to).expect("the registry is there");
    let (mut there, mut back) =
        (upstream.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
    let answers = std::thread::spawn(move || {
        // Who goes away in between is done.
        let _ = std::io::copy(&mut there, &mut back);
        let _ = back.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut head, &mut &upstream);
    let _ = upstream.shutdown(Shutdown::Write);
    answers.join().expect("no panic");
}

#[test]
fn proxies_are_asked_but_for_exceptions() {
    let Some(registry) = Registry::start(None) else { return };
    let maker = Sandbox::new();
    maker.build(FILES, &["-q", "-t", &format!("{}/app:1", registry.address), "--push"]).succeeded();
    let (address, asked) = proxy(&registry.address);
    let sandbox = Sandbox::new();
    configure(&sandbox, r#"{"registries":{"registry.invalid":{"insecure":true}}}"#);
    let pull = |variables: &[(&str, &str)]| {
        let mut command = sandbox.command(&["pull", "-q", "registry.invalid/app:1"]);
        command.envs(variables.iter().copied());
        command.output().expect("rbuild starts")
    };
    let through = format!("http://{address}");
    let without = pull(&[("http_proxy", &through), ("NO_PROXY", ".invalid,other")]);
    assert!(!without.status.success() && asked.lock().expect("no panic").is_empty());
    let with = pull(&[("http_proxy", &through), ("NO_PROXY", "other")]);
    assert!(with.status.success(), "{}", String::from_utf8_lossy(&with.stderr));
    let asked = asked.lock().expect("no panic");
    assert!(!asked.is_empty() && asked.iter().all(|line| line.contains("registry.invalid")), "{asked:?}");
}

#[test]
fn a_credential_helper_keeps_the_login() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(registry) = Registry::start(Some(&htpasswd(folder.path()))) else { return };
    let sandbox = Sandbox::new();
    let name = format!("{}/private:1", registry.address);
    sandbox.build(FILES, &["-q", "-t", &name]).succeeded();
    let (config, kept) = (sandbox.home().join(".docker/config.json"), folder.path().join("kept"));
    write(&config, r#"{"credsStore":"of-the-test"}"#);
    let helper = folder.path().join("docker-credential-of-the-test");
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat >{0};;\nget) cat >/dev/null; cat {0} 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }};;\n\
         erase) rm -f {0};;\nesac\n",
        kept.display()
    );
    write(&helper, &script);
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let rbuild = |args: &[&str], input: &[u8]| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(input).and_then(|()| std::io::Seek::rewind(&mut file)).expect("the input");
        let mut command = sandbox.command(args);
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        let output = command.env("PATH", path).stdin(file).output().expect("rbuild starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (pushed, text) = rbuild(&["push", "-q", &name], b"");
    assert!(!pushed && text.contains("denied"), "{text}");
    let (done, text) = rbuild(&["login", "-u", "user", "--password-stdin", &registry.address], b"secret");
    assert!(done && !text.contains("unencrypted"), "{text}");
    let secret: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&kept).expect("the helper was asked")).expect("JSON");
    assert!(secret["Username"] == "user" && secret["Secret"] == "secret", "{secret}");
    assert!(!std::fs::read_to_string(&config).expect("the file").contains("auth\":"));
    let (pushed, text) = rbuild(&["push", "-q", &name], b"");
    assert!(pushed, "{text}");
    let (done, text) = rbuild(&["logout", &registry.address], b"");
    assert!(done && !kept.exists(), "{text}");
    let (pulled, text) = rbuild(&["pull", &name], b"");
    assert!(!pulled && text.contains("denied"), "{text}");
}

#[test]
fn a_digest_is_a_name_too() {
    let Some(registry) = Registry::start(None) else { return };
    let name = format!("{}/app", registry.address);
    let here = Sandbox::new();
    let pushed = here.build(FILES, &["-t", &format!("{name}:1"), "--push"]).succeeded();
    let at = pushed.stderr.find("digest: ").expect("a digest") + "digest: ".len();
    let digest = pushed.stderr[at..].split_whitespace().next().expect("a digest");
    let exact = format!("{name}@{digest}");
    let there = Sandbox::new();
    let pulled = there.rbuild(&["pull", &exact]).succeeded();
    assert!(
        pulled.stdout.starts_with(&format!("{digest}: Pulling from app\nDigest: {digest}\n")),
        "{pulled}"
    );
    there.build(&format!("FROM {exact}\nCOPY Dockerfile /x\n"), &[]).succeeded();
    there.rbuild(&["push", &exact]).ended_with(1).saying("digest");
    let other = exact.replace(&digest[7..11], if &digest[7..11] == "0000" { "1111" } else { "0000" });
    there.rbuild(&["pull", &other]).ended_with(1).saying("not found");
}
