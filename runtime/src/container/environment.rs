//! The variables of a container, in docker's order: what every container has, then the user's, then the image's.

use rbuild_image::config::ContainerConfig;

use super::settings::RunSettings;

/// PATH for images that say none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// HOME is left to the sandbox, which knows the image's passwd.
pub(super) fn environment(
    image: &ContainerConfig,
    settings: &RunSettings,
    hostname: &str,
) -> Vec<(String, String)> {
    let mut variables = Variables(Vec::new());
    variables.set("PATH", DEFAULT_PATH);
    variables.set("HOSTNAME", hostname);
    if settings.tty {
        variables.set("TERM", "xterm");
    }
    let mut users = Variables(Vec::new());
    for (name, value) in &settings.env {
        users.set(name, value);
    }
    for (name, value) in &users.0 {
        variables.set(name, value);
    }
    for text in &image.env {
        // One without a value means that a default is not wanted.
        match text.split_once('=') {
            Some((name, _)) if users.has(name) => {}
            Some((name, value)) => variables.set(name, value),
            None if users.has(text) => {}
            None => variables.0.retain(|(name, _)| name != text),
        }
    }
    variables.0
}

struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_as_docker_merges_them() {
        let path = format!("PATH={DEFAULT_PATH}");
        // Image, user, terminal, result.
        type Case<'a> = (&'a [&'a str], &'a [&'a str], bool, &'a [&'a str]);
        let table: &[Case<'_>] = &[
            (&[], &[], false, &[&path, "HOSTNAME=h"]),
            (&[], &[], true, &[&path, "HOSTNAME=h", "TERM=xterm"]),
            (&["PATH=/x", "A=1"], &[], false, &["PATH=/x", "HOSTNAME=h", "A=1"]),
            (&["A=1", "B=2"], &["C=3", "A=4"], false, &[&path, "HOSTNAME=h", "C=3", "A=4", "B=2"]),
            (&["TERM=dumb"], &["HOSTNAME=mine"], true, &[&path, "HOSTNAME=mine", "TERM=dumb"]),
            (&["A=1"], &["A=2", "A=3"], false, &[&path, "HOSTNAME=h", "A=3"]),
            (&["E=", "Q=a=b"], &[], false, &[&path, "HOSTNAME=h", "E=", "Q=a=b"]),
            (&["PATH"], &[], false, &["HOSTNAME=h"]),
        ];
        for (image, users, tty, expected) in table {
            let image = ContainerConfig {
                env: image.iter().map(|text| (*text).to_owned()).collect(),
                ..ContainerConfig::default()
            };
            let pair = |text: &&str| {
                let (name, value) = text.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            };
            let settings =
                RunSettings { env: users.iter().map(pair).collect(), tty: *tty, ..RunSettings::default() };
            let expected: Vec<_> = expected.iter().map(pair).collect();
            assert_eq!(environment(&image, &settings, "h"), expected);
        }
    }
}
