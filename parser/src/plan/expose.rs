//! Ports of EXPOSE: `[[ip:]hostport:]port[-port][/proto]` (spec 3.12).

use std::net::IpAddr;

use super::options::{PlanError, fail};

/// One word of EXPOSE, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// `N/proto`, one for each port of a range.
    pub(super) ports: Vec<String>,
    /// The protocol is not in lower case.
    pub(super) odd_casing: bool,
    /// An address or a port of the host is given, which has no meaning here.
    pub(super) host: bool,
}

pub(super) fn parse(word: &str) -> Result<Ports, PlanError> {
    let bad = |why: String| PlanError::new(format!("invalid port: {}: {why}", crate::go::quote(word)));
    let (address, protocol) = match word.split_once('/') {
        Some((address, protocol)) => (address, protocol.split('/').next().unwrap_or("")),
        None => (word, ""),
    };
    let protocol = if protocol.is_empty() { "tcp" } else { protocol };
    let lower = protocol.to_lowercase();
    let (host, container) = address.rsplit_once(':').unwrap_or(("", address));
    if container.is_empty() {
        return Err(bad("no port specified".to_owned()));
    }
    let (ip, host_port) = host.rsplit_once(':').unwrap_or(("", host));
    if !matches!(&*lower, "tcp" | "udp" | "sctp") {
        return Err(bad(format!("invalid proto: {protocol}")));
    }
    let bare = ip.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(ip);
    if !ip.is_empty() && bare.parse::<IpAddr>().is_err() {
        return fail(format!("invalid IP address: {ip}"));
    }
    let (first, last) =
        range(container).ok_or_else(|| PlanError::new(format!("invalid containerPort: {container}")))?;
    if !host_port.is_empty() {
        let on_host =
            range(host_port).ok_or_else(|| PlanError::new(format!("invalid hostPort: {host_port}")))?;
        // A range of host ports for a single port is a choice.
        if first != last && last - first != on_host.1 - on_host.0 {
            return fail(format!(
                "invalid ranges specified for container and host Ports: {container} and {host_port}"
            ));
        }
    }
    Ok(Ports {
        ports: (first..=last).map(|port| format!("{port}/{lower}")).collect(),
        odd_casing: lower != protocol,
        host: address.contains(':'),
    })
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        for (word, ports, odd_casing, host) in [
            ("80", &["80/tcp"][..], false, false),
            ("53/udp", &["53/udp"], false, false),
            ("54/Udp", &["54/udp"], true, false),
            ("1-3", &["1/tcp", "2/tcp", "3/tcp"], false, false),
            ("127.0.0.1:80:8080/TCP", &["8080/tcp"], true, true),
            ("8080:80", &["80/tcp"], false, true),
            ("[::1]:80:81", &["81/tcp"], false, true),
            ("8000-9000:80", &["80/tcp"], false, true),
        ] {
            let ports = ports.iter().map(|port| (*port).to_owned()).collect();
            assert_eq!(parse(word), Ok(Ports { ports, odd_casing, host }), "{word}");
        }
        for (word, message) in [
            ("http/tcp", "invalid containerPort: http"),
            ("80/foo", "invalid port: \"80/foo\": invalid proto: foo"),
            ("", "invalid port: \"\": no port specified"),
            ("/tcp", "invalid port: \"/tcp\": no port specified"),
            ("x:80", "invalid hostPort: x"),
            ("localhost:1:1", "invalid IP address: localhost"),
            ("1-3:1-2", "invalid ranges specified for container and host Ports: 1-2 and 1-3"),
            ("65536", "invalid containerPort: 65536"),
            ("3-1", "invalid containerPort: 3-1"),
        ] {
            assert_eq!(parse(word).unwrap_err().message, message, "{word}");
        }
    }
}
