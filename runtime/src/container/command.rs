//! Which program a container runs: docker's rules for ENTRYPOINT, CMD and what the user says.

use rbuild_image::config::ContainerConfig;

use super::error::ContainerError;
use super::settings::RunSettings;

/// Entrypoint and command together. An entrypoint of the user's makes the image's CMD, which was meant for another
/// program, disappear; a command of the user's takes the place of the image's CMD.
pub(super) fn argv(image: &ContainerConfig, settings: &RunSettings) -> Result<Vec<String>, ContainerError> {
    let entrypoint = settings.entrypoint.as_ref().unwrap_or(&image.entrypoint);
    let command = if settings.command.is_empty() && settings.entrypoint.is_none() {
        &image.cmd
    } else {
        &settings.command
    };
    let argv: Vec<String> = entrypoint.iter().chain(command).cloned().collect();
    if argv.is_empty() { Err(ContainerError::NoCommand) } else { Ok(argv) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entrypoint_and_command_as_docker_joins_them() {
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        // Image's entrypoint, image's CMD, --entrypoint, command, what runs.
        let table: &[(&str, &str, Option<&str>, &str, &str)] = &[
            ("", "sh", None, "", "sh"),
            ("e", "c d", None, "", "e c d"),
            ("e", "c", None, "x y", "e x y"),
            ("e", "", None, "", "e"),
            ("e", "c", Some("f"), "", "f"),
            ("e", "c", Some("f"), "x", "f x"),
            ("e", "c", Some(""), "x", "x"),
            ("e", "c", Some(""), "", ""),
            ("", "", None, "", ""),
        ];
        for (entrypoint, cmd, asked, command, expected) in table {
            let image = ContainerConfig {
                entrypoint: words(entrypoint),
                cmd: words(cmd),
                ..ContainerConfig::default()
            };
            let settings = RunSettings {
                entrypoint: asked.map(words),
                command: words(command),
                ..RunSettings::default()
            };
            let case = format!("{entrypoint:?} {cmd:?} {asked:?} {command:?}");
            match argv(&image, &settings) {
                Ok(argv) => assert_eq!(argv, words(expected), "{case}"),
                Err(error) => {
                    assert!(matches!(error, ContainerError::NoCommand) && expected.is_empty(), "{case}");
                }
            }
        }
    }
}
