//! Whom we trust, and who we are, when a connection is encrypted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::error::RegistryError;
use super::settings::Settings;

/// The folder of `certs.d` for a registry, if there is one. `host` is as it stands in image names.
pub(super) fn folder(settings: &Settings, host: &str) -> Option<PathBuf> {
    // A host cannot have a slash, and thus not lead out of the folder; `..` is no host either.
    settings.certificates.iter().map(|base| base.join(host)).find(|folder| host != ".." && folder.is_dir())
}

/// What a connection to `host` is checked with.
///
/// # Errors
/// When a file that is there for this registry cannot be used: leaving it out would weaken the connection.
pub(super) fn config(settings: &Settings, host: &str, unchecked: bool) -> Result<TlsConfig, RegistryError> {
    let mut roots = machine_roots();
    for file in &settings.authorities {
        roots.extend(certificates(file)?);
    }
    let mut client = None;
    if let Some(folder) = folder(settings, host) {
        for file in files(&folder)? {
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => roots.extend(certificates(&file)?),
                Some("cert") => client = Some(client_certificate(&file)?),
                _ => {}
            }
        }
    }
    let roots = if roots.is_empty() {
        // A machine without authorities of its own, such as a container from scratch.
        RootCerts::WebPki
    } else {
        RootCerts::Specific(Arc::new(roots))
    };
    Ok(TlsConfig::builder().root_certs(roots).client_cert(client).disable_verification(unchecked).build())
}

fn machine_roots() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs();
    found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let mut files = fs::read_dir(folder)
        .and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
        })
        .map_err(RegistryError::file("list", folder))?;
    files.sort();
    Ok(files)
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let pem = fs::read(file).map_err(RegistryError::file("read", file))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(unusable(file, error)),
        }
    }
    if found.is_empty() { Err(unusable(file, "there is no certificate in it")) } else { Ok(found) }
}

/// `NAME.cert` and `NAME.key`.
fn client_certificate(file: &Path) -> Result<ClientCert, RegistryError> {
    let chain = certificates(file)?;
    let key_file = file.with_extension("key");
    let pem = fs::read(&key_file).map_err(RegistryError::file("read", &key_file))?;
    let key = PrivateKey::from_pem(&pem).map_err(|error| unusable(&key_file, error))?;
    check_pair(&chain, &pem).map_err(|reason| unusable(&key_file, reason))?;
    Ok(ClientCert::new_with_certs(&chain, key))
}

/// ureq panics on a key that does not belong to the certificate, so that is found out here.
fn check_pair(chain: &[Certificate<'static>], key: &[u8]) -> Result<(), String> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("{error:?}"))?;
    let provider = rustls::crypto::ring::default_provider();
    rustls::sign::CertifiedKey::from_der(chain, key, &provider).map(drop).map_err(|error| error.to_string())
}

fn unusable(file: &Path, reason: impl ToString) -> RegistryError {
    RegistryError::Settings { path: file.to_owned(), reason: reason.to_string() }
}
