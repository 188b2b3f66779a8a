//! Certificates: authorities of a registry's own, and ours for it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rbuild_image::registry::{PullOptions, PushOptions, Registry, RegistryError, Settings, Silent};

use super::images::{home, name, quick};
use super::peer;

/// An authority, and a certificate of it for the server and for a client; false where openssl is not installed.
fn make_certificates(folder: &Path) -> bool {
    let openssl = |arguments: &[&str]| {
        let run = Command::new("openssl")
            .args(arguments)
            .current_dir(folder)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    };
    fs::write(folder.join("server.ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    fs::write(folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    let authority = |name: &str| {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &certificate,
        ])
    };
    let signed = |name: &str| {
        let file = |extension: &str| format!("{name}.{extension}");
        openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &file("key"),
            "-out",
            &file("csr"),
        ]) && openssl(&[
            "x509",
            "-req",
            "-in",
            &file("csr"),
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &file("ext"),
            "-out",
            &file("crt"),
        ])
    };
    let made = authority("ca") && authority("other") && signed("server") && signed("client");
    if !made {
        println!("SKIP openssl is not installed");
    }
    made
}

#[test]
fn a_registry_has_to_prove_itself_and_so_do_we() {
    let folder = tempfile::tempdir().unwrap();
    if !make_certificates(folder.path()) {
        return;
    }
    let at = folder.path().display();
    let http = format!(
        "  tls:\n    certificate: {at}/server.crt\n    key: {at}/server.key\n    clientcas: [{at}/ca.crt]\n"
    );
    let Some(peer) = peer::start(&http, "") else { return };
    let (here, there) = (home(), home());
    let image = here.image(&[("a", b"x".to_vec())]);
    let reference = name(&format!("{}/app", peer.address));
    let certificates = folder.path().join("certs.d");
    let ours = certificates.join(&peer.address);
    fs::create_dir_all(&ours).unwrap();
    let put = |from: &str, to: &str| fs::copy(folder.path().join(from), ours.join(to)).unwrap();
    let push = || {
        let settings = Settings { certificates: vec![certificates.clone()], attempts: 2, ..quick() };
        Registry::new(settings).push(&here.store, image, &reference, &PushOptions::default(), &Silent)
    };

    put("other.crt", "ca.crt");
    let error = push().unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    put("ca.crt", "ca.crt");
    assert!(push().is_err(), "it asks for our certificate");
    put("client.crt", "client.cert");
    put("other.key", "client.key");
    let error = push().unwrap_err();
    assert!(matches!(error, RegistryError::Settings { .. }), "{error}");
    put("client.key", "client.key");
    push().unwrap();

    let settings = Settings { certificates: vec![certificates.clone()], ..quick() };
    let pulled =
        Registry::new(settings).pull(&there.store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.image, image);
}
