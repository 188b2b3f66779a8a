//! `/etc/hosts` and `/etc/resolv.conf` of a RUN (spec 6.4 and 6.5): provided, never recorded.

/// The hosts file: loopback under `hostname`, then what `--add-host` gave as name and address.
pub(crate) fn hosts(hostname: &str, added: &[(String, String)]) -> String {
    let mut text = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in added {
        text.push_str(&format!("{address}\t{}\n", name.to_lowercase()));
    }
    text
}

/// The machine's own resolv.conf: RUN shares its network. Without one, what other builders fall back to.
pub(crate) fn resolv_conf() -> String {
    std::fs::read_to_string("/etc/resolv.conf")
        .unwrap_or_else(|_| "nameserver 8.8.8.8\nnameserver 8.8.4.4\n".into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn added_hosts_come_last_in_lower_case() {
        assert_eq!(
            super::hosts("box", &[("Db.Local".into(), "10.0.0.7".into())]),
            "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.7\tdb.local\n"
        );
    }
}
