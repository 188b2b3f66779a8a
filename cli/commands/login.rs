//! `rbuild login` and `rbuild logout`.

use std::io::{self, BufRead, Read};

use rbuild_image::registry::{Credential, Registry, Secret};

use super::secret_input;
use crate::args::{LoginArgs, LogoutArgs};
use crate::exit::{Exit, Failure, Outcome};
use crate::settings::{Environment, credential_files, registry};
use crate::ui::{self, Style};

const HUB: &str = "docker.io";
/// What docker calls Docker Hub where it speaks of logins.
const HUB_SHOWN: &str = "https://index.docker.io/v1/";
/// The most that is read as a password.
const LONGEST_PASSWORD: u64 = 64 << 10;

/// Asks the registry whether it takes the login, and keeps it.
pub(crate) fn login(args: &LoginArgs, environment: &Environment, style: Style) -> Outcome {
    if args.password.is_some() && args.password_stdin {
        return Err(Failure::new("conflicting options: cannot specify both --password and --password-stdin"));
    }
    if args.password_stdin && args.username.as_deref().unwrap_or_default().is_empty() {
        return Err(Failure::new("the --password-stdin option requires --username to be set"));
    }
    if args.password.is_some() {
        ui::warn("Using --password via the CLI is insecure. Use --password-stdin.", style);
    }
    let domain = domain(args.server.as_deref())?;
    let registry = Registry::new(registry(environment)?);
    let credential = match known(args, &domain, &registry)? {
        Some(credential) => credential,
        None => typed(args, &domain, environment)?,
    };
    let kept = registry.login(&domain, &credential)?;
    let in_file = registry.settings().credentials.store(&domain, &kept)?;
    if in_file && let Some(file) = credential_files(environment).first() {
        ui::warn(&format!("Your credentials are stored unencrypted in '{}'.", file.display()), style);
        ui::note(
            "Configure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
        );
    }
    ui::print("Login Succeeded\n")?;
    Ok(Exit::OK)
}

/// Forgets the login.
pub(crate) fn logout(args: &LogoutArgs, environment: &Environment) -> Outcome {
    let domain = domain(args.server.as_deref())?;
    ui::print(&format!("Removing login credentials for {}\n", shown(&domain)))?;
    registry(environment)?.credentials.erase(&domain)?;
    Ok(Exit::OK)
}

fn shown(domain: &str) -> &str {
    if domain == HUB { HUB_SHOWN } else { domain }
}

/// The domain of image names that a server stands for: without scheme and path, and one name for Docker Hub.
fn domain(server: Option<&str>) -> Result<String, Failure> {
    let text = server.unwrap_or(HUB).trim();
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = bare.split('/').next().unwrap_or_default();
    if host.is_empty() || host.contains(['@', ' ', '?', '#']) {
        return Err(Failure::new(format!("invalid registry address: {text:?}")));
    }
    Ok(match host {
        "index.docker.io" | "registry-1.docker.io" => HUB.to_owned(),
        host => host.to_owned(),
    })
}

/// The login that is kept already, if none was typed.
fn known(args: &LoginArgs, domain: &str, registry: &Registry) -> Result<Option<Credential>, Failure> {
    if args.username.is_some() || args.password.is_some() {
        return Ok(None);
    }
    let found = registry.settings().credentials.lookup(domain)?;
    if found.is_some() {
        ui::print(&format!("Authenticating with existing credentials... [{}]\n", shown(domain)))?;
    }
    Ok(found)
}

/// From the flags and standard input, which is asked only if somebody sits there.
fn typed(args: &LoginArgs, domain: &str, environment: &Environment) -> Result<Credential, Failure> {
    let interactive = || {
        if environment.stdin_is_terminal {
            return Ok(());
        }
        Err(Failure::new("cannot perform an interactive login from a non TTY device")
            .with_hint("rbuild login -u USER --password-stdin < FILE"))
    };
    let username = match args.username.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => {
            interactive()?;
            ui::note(&format!("Log in to {}\nUsername: ", shown(domain)));
            line()?
        }
    };
    if username.is_empty() {
        return Err(Failure::new("username is required"));
    }
    let password = match &args.password {
        Some(password) => password.clone(),
        None if args.password_stdin => password_from_stdin()?,
        None => {
            interactive()?;
            ui::note("Password: ");
            secret_input::hidden(line)?
        }
    };
    if password.is_empty() {
        return Err(Failure::new("password is required"));
    }
    Ok(Credential::Password { username, password: Secret::new(password) })
}

/// All of standard input without the end of its last line.
fn password_from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().take(LONGEST_PASSWORD).read_to_string(&mut text).map_err(unreadable)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn line() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().lock().take(LONGEST_PASSWORD).read_line(&mut text).map_err(unreadable)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn unreadable(error: io::Error) -> Failure {
    Failure::new(format!("read standard input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        for (server, want) in [
            (None, Some("docker.io")),
            (Some("https://index.docker.io/v1/"), Some("docker.io")),
            (Some("registry-1.docker.io"), Some("docker.io")),
            (Some("r.example:5000"), Some("r.example:5000")),
            (Some("http://r.example:5000/v2/"), Some("r.example:5000")),
            (Some("https://"), None),
            (Some("user@r.example"), None),
        ] {
            assert_eq!(domain(server).ok().as_deref(), want, "{server:?}");
        }
        assert_eq!(shown("docker.io"), HUB_SHOWN);
    }
}
