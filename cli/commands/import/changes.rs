//! `import --change`: instructions that only say something about the configuration.

use rbuild_image::config::{ContainerConfig, Healthcheck};
use rbuild_image::platform::Platform;
use rbuild_parser::plan::{self, Base, BaseRequest, Bases, Config, Options};

use crate::exit::Failure;

/// The configuration that the instructions lead to.
pub(super) fn config(changes: &[String]) -> Result<ContainerConfig, Failure> {
    let text = format!("FROM scratch\n{}\n", changes.join("\n"));
    let wrong = |message: String| Failure::new(format!("--change: {message}"));
    let parsed = rbuild_parser::parse(text.as_bytes());
    if let Some(first) = parsed.errors.first() {
        return Err(wrong(first.message.clone()));
    }
    let options = Options { build_platform: Platform::host().to_string(), ..Options::default() };
    let planned = plan::plan(&parsed.dockerfile, &options, &mut Scratch).map_err(|e| wrong(e.message))?;
    match planned.plan.steps.first() {
        None => {
            let mut config = container_config(planned.plan.target.config);
            // FROM scratch brings a PATH; docker's import has one only where a change speaks of it.
            if !changes.iter().any(|change| change.contains("PATH")) {
                config.env.retain(|variable| !variable.starts_with("PATH="));
            }
            Ok(config)
        }
        Some(step) => Err(wrong(format!("{} is not a valid change command", step.text))),
    }
}

/// No image but scratch, which the plan knows by itself.
struct Scratch;

impl Bases for Scratch {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        Err(format!("{}: FROM is not a valid change command", request.name))
    }
}

fn container_config(config: Config) -> ContainerConfig {
    ContainerConfig {
        user: config.user,
        exposed_ports: config.exposed_ports,
        env: config.env,
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        volumes: config.volumes,
        working_dir: config.working_dir,
        labels: config.labels,
        stop_signal: config.stop_signal,
        args_escaped: config.args_escaped,
        healthcheck: config.healthcheck.map(|check| Healthcheck {
            test: check.test,
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        on_build: config.on_build,
        shell: config.shell.unwrap_or_default(),
    }
}
