use std::os::unix::fs::PermissionsExt;

use super::*;

fn config(folder: &tempfile::TempDir, text: &str) -> DockerConfig {
    let file = folder.path().join("config.json");
    fs::write(&file, text).unwrap();
    DockerConfig::new(vec![file])
}

fn password(username: &str, password: &str) -> Credential {
    Credential::Password { username: username.into(), password: Secret::new(password) }
}

#[test]
fn logins_of_docker_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let user = BASE64.encode("me:pa:ss");
    let text = json!({"auths": {
        "https://index.docker.io/v1/": {"auth": user},
        "r.example:5000": {"auth": BASE64.encode("me:"), "identitytoken": "idt"},
        "https://old.example/v1/": {"username": "u", "password": "p"},
        "t.example": {"registrytoken": "rt"},
        "empty.example": {},
        "broken.example": {"auth": "%%%"},
    }});
    let config = config(&folder, &text.to_string());
    assert_eq!(config.lookup("docker.io").unwrap(), Some(password("me", "pa:ss")));
    assert_eq!(
        config.lookup("r.example:5000").unwrap(),
        Some(Credential::Identity { username: "me".into(), token: Secret::new("idt") })
    );
    assert_eq!(config.lookup("old.example").unwrap(), Some(password("u", "p")));
    assert_eq!(config.lookup("t.example").unwrap(), Some(Credential::Registry(Secret::new("rt"))));
    for unknown in ["r.example", "empty.example", "broken.example", "x"] {
        assert_eq!(config.lookup(unknown).unwrap(), None, "{unknown}");
    }
}

#[test]
fn a_login_is_kept_beside_what_else_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, r#"{"psFormat":"x","auths":{"a.example":{"auth":"YTpi"}}}"#);
    assert!(config.store("docker.io", &password("me", "secret")).unwrap());
    let file = folder.path().join("config.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(value["psFormat"], "x");
    assert_eq!(value["auths"]["https://index.docker.io/v1/"]["auth"], BASE64.encode("me:secret"));
    assert_eq!(config.lookup("a.example").unwrap(), Some(password("a", "b")));
    assert!(config.erase("docker.io").unwrap());
    assert!(!config.erase("docker.io").unwrap());
    assert_eq!(config.lookup("docker.io").unwrap(), None);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_link_to_the_file_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("real.json"), "{}").unwrap();
    std::os::unix::fs::symlink("real.json", folder.path().join("config.json")).unwrap();
    let config = DockerConfig::new(vec![folder.path().join("config.json")]);
    config.store("r.example", &password("a", "b")).unwrap();
    assert!(folder.path().join("config.json").is_symlink());
    assert!(fs::read_to_string(folder.path().join("real.json")).unwrap().contains("r.example"));
}

#[test]
fn missing_files_are_made_and_broken_ones_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/docker/config.json");
    let fresh = DockerConfig::new(vec![file.clone()]);
    assert_eq!(fresh.lookup("r.example").unwrap(), None);
    fresh.store("r.example", &password("a", "b")).unwrap();
    assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let broken = config(&folder, "{");
    assert!(matches!(broken.lookup("x"), Err(RegistryError::Settings { .. })));
    assert!(DockerConfig::default().store("x", &password("a", "b")).is_err());
}

#[test]
fn helpers_are_chosen_as_docker_does() {
    let parse = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
    let both = parse(
        r#"{"credsStore":"all","credHelpers":{"r.example":"one","https://index.docker.io/v1/":"hub"}}"#,
    );
    for (domain, expected) in [("r.example", "one"), ("docker.io", "hub"), ("other.example", "all")] {
        assert_eq!(helper_for(&both, domain).as_deref(), Some(expected));
    }
    assert_eq!(helper_for(&parse("{}"), "r.example"), None);
    assert_eq!(helper_for(&parse(r#"{"credsStore":"../../bin/sh"}"#), "r.example"), None);
}

#[test]
fn a_helper_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, r#"{"credsStore":"that-nobody-has-installed"}"#);
    let error = config.lookup("r.example").unwrap_err().to_string();
    assert!(error.contains("docker-credential-that-nobody-has-installed"), "{error}");
}

#[test]
fn secrets_are_not_shown() {
    assert!(!format!("{:?}", password("me", "hidden")).contains("hidden"));
}
