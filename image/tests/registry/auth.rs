//! Who asks, and who is told.

use std::sync::{Arc, Mutex};

use rbuild_image::registry::{
    Credential, DockerConfig, PullOptions, PushOptions, Registry, RegistryError, Secret, Settings, Silent,
};

use super::images::{client, home, name, quick};
use super::peer;
use super::server::{Reply, forward, proxy, serve};

fn password(text: &str) -> Credential {
    Credential::Password { username: "user".into(), password: Secret::new(text) }
}

/// A client that has logged in.
fn logged_in(folder: &tempfile::TempDir, domain: &str, text: &str) -> Registry {
    let config = DockerConfig::new(vec![folder.path().join("config.json")]);
    config.store(domain, &password(text)).unwrap();
    Registry::new(Settings { credentials: config, ..quick() })
}

#[test]
fn basic_logins() {
    let folder = tempfile::tempdir().unwrap();
    let Some(peer) = peer::start("", &peer::htpasswd(folder.path())) else { return };
    let (here, there) = (home(), home());
    let image = here.image(&[("a", b"x".to_vec())]);
    let reference = name(&format!("{}/app", peer.address));
    let push =
        |client: &Registry| client.push(&here.store, image, &reference, &PushOptions::default(), &Silent);

    assert!(matches!(push(&client()), Err(RegistryError::Denied { .. })));
    let wrong = client().login(&peer.address, &password("wrong")).unwrap_err();
    assert!(wrong.to_string().contains("incorrect username or password"), "{wrong}");
    assert_eq!(client().login(&peer.address, &password("secret")).unwrap(), password("secret"));
    assert!(push(&logged_in(&folder, &peer.address, "wrong")).is_err());

    let known = logged_in(&folder, &peer.address, "secret");
    push(&known).unwrap();
    let pulled = known.pull(&there.store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.image, image);
}

#[test]
fn bearer_tokens() {
    let Some(peer) = peer::start("", "") else { return };
    let folder = tempfile::tempdir().unwrap();
    let scopes = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&scopes);
    // Gives tokens to the user, and to nobody for reading.
    let tokens = serve(move |request| {
        heard.lock().unwrap().push(request.target.clone());
        let is_user = request.header("authorization") == Some("Basic dXNlcjpzZWNyZXQ=");
        match (is_user, request.target.contains("push")) {
            (true, _) => Reply::status(200).body(r#"{"token":"for-user","expires_in":300}"#),
            (false, false) => Reply::status(200).body(r#"{"access_token":"for-anybody"}"#),
            (false, true) => Reply::status(401).body(r#"{"details":"who are you"}"#),
        }
    });
    let realm = format!("http://{}/token", tokens.address);
    let registry = proxy(&peer.address, move |request, forward| match request.header("authorization") {
        Some("Bearer for-user") => forward(),
        Some("Bearer for-anybody") if request.method == "GET" => forward(),
        _ => Reply::status(401)
            .with("WWW-Authenticate", &format!(r#"Bearer realm="{realm}",service="the registry""#)),
    });
    let (here, there) = (home(), home());
    let image = here.image(&[("a", b"x".to_vec()), ("b", b"y".to_vec())]);
    let reference = name(&format!("{}/team/app", registry.address));
    let error = client().push(&here.store, image, &reference, &PushOptions::default(), &Silent).unwrap_err();
    assert!(error.to_string().contains("who are you"), "{error}");
    let known = logged_in(&folder, &registry.address, "secret");
    known.push(&here.store, image, &reference, &PushOptions::default(), &Silent).unwrap();
    let pulled = client().pull(&there.store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.image, image);
    let scopes = scopes.lock().unwrap();
    assert!(scopes.iter().any(|target| target.contains("scope=repository%3Ateam%2Fapp%3Apull%2Cpush")));
    assert!(scopes.iter().any(|target| target.contains("service=the%20registry")));
}

#[test]
fn an_identity_token_takes_the_place_of_the_password() {
    let tokens = serve(|request| match request.method.as_str() {
        "GET" => Reply::status(200).body(r#"{"token":"short","refresh_token":"long"}"#),
        _ if String::from_utf8_lossy(&request.body).contains("refresh_token=long") => {
            Reply::status(200).body(r#"{"access_token":"renewed"}"#)
        }
        _ => Reply::status(400),
    });
    let realm = format!(r#"Bearer realm="http://{}/token",service="s""#, tokens.address);
    let registry = serve(move |request| match request.header("authorization") {
        Some("Bearer short" | "Bearer renewed") => Reply::status(200).body(r#"{"repositories":["a"]}"#),
        _ => Reply::status(401).with("WWW-Authenticate", &realm),
    });
    let credential = client().login(&registry.address, &password("secret")).unwrap();
    assert_eq!(credential, Credential::Identity { username: "user".into(), token: Secret::new("long") });
    let folder = tempfile::tempdir().unwrap();
    let config = DockerConfig::new(vec![folder.path().join("config.json")]);
    config.store(&registry.address, &credential).unwrap();
    let known = Registry::new(Settings { credentials: config, ..quick() });
    assert_eq!(known.search(&format!("{}/a", registry.address), 5, &Silent).unwrap().len(), 1);
}

#[test]
fn credentials_are_not_shown_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let Some(peer) = peer::start("", &peer::htpasswd(folder.path())) else { return };
    let (here, there) = (home(), home());
    let image = here.image(&[("a", b"x".to_vec())]);
    let reference = name(&format!("{}/app", peer.address));
    let known = logged_in(&folder, &peer.address, "secret");
    known.push(&here.store, image, &reference, &PushOptions::default(), &Silent).unwrap();
    // The registry's blobs lie on another host, which gets the request and not the login.
    let address = peer.address.clone();
    let blobs = serve(move |request| {
        let mut asked = request.clone();
        asked.headers.push(("Authorization".into(), "Basic dXNlcjpzZWNyZXQ=".into()));
        forward(&address, &asked)
    });
    let elsewhere = format!("http://{}", blobs.address);
    let front = proxy(&peer.address, move |request, forward| {
        if request.is_blob() && request.header("authorization").is_some() {
            return Reply::status(307).with("Location", &format!("{elsewhere}{}", request.target));
        }
        forward()
    });
    let known = logged_in(&folder, &front.address, "secret");
    let reference = name(&format!("{}/app", front.address));
    assert_eq!(known.pull(&there.store, &reference, &PullOptions::default(), &Silent).unwrap().image, image);
    let seen = blobs.requests();
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|request| request.header("authorization").is_none()), "{seen:?}");
}

#[test]
fn demands_that_cannot_be_met_are_clear() {
    let there = home();
    for (challenge, expected) in [
        (r#"Bearer realm="http://elsewhere.example/token""#, "not encrypted"),
        (r#"Bearer service="x""#, "names no token server"),
        (r#"Bearer realm="::""#, "no address"),
        ("Negotiate", "not supported"),
    ] {
        let registry = serve(move |_| Reply::status(401).with("WWW-Authenticate", challenge));
        let reference = name(&format!("{}/app", registry.address));
        let error = client().pull(&there.store, &reference, &PullOptions::default(), &Silent).unwrap_err();
        assert!(error.to_string().contains(expected), "{challenge}: {error}");
    }
}
