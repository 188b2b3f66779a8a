//! What a stage is, after some of its instructions.

use imbl::{OrdMap, OrdSet};

use super::config_env::ConfigEnv;
use super::environment::Variables;
use super::history::{Arguments, CreatedBy};
use super::options::Base;
use super::types::{BaseId, Config, Root};
use crate::paths::workdir;
use crate::source::LineRange;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Build arguments that are never variables.
pub(super) const NOT_IN_ENVIRONMENT: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// The state that instructions change one after the other. Copying it is cheap, however much there is in it.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) root: Root,
    /// What is in the four fields below is missing here until the end.
    pub(super) config: Config,
    env: ConfigEnv,
    pub(super) ports: OrdSet<String>,
    pub(super) volumes: OrdSet<String>,
    pub(super) labels: OrdMap<String, String>,
    pub(super) author: Option<String>,
    /// That of the base image.
    pub(super) platform: String,
    pub(super) base: Option<BaseId>,
    /// Last entry of the history, in the planner's arena.
    pub(super) history: Option<usize>,
    pub(super) variables: Variables,
    arguments: Arguments,
    /// A WORKDIR was seen, here or in a stage below.
    pub(super) workdir_seen: bool,
    /// The last CMD, ENTRYPOINT and HEALTHCHECK of this stage.
    pub(super) cmd: Option<LineRange>,
    pub(super) entrypoint: Option<LineRange>,
    pub(super) healthcheck: Option<LineRange>,
}

impl State {
    /// Nothing, or a folder: the configuration of an empty image.
    pub(super) fn empty(root: Root, platform: String) -> Self {
        let config = Config { working_dir: "/".to_owned(), ..Config::default() };
        Self::new(root, config, platform, None, None)
    }

    /// A base image. The list of its triggers is consumed by whoever asked for it.
    pub(super) fn image(base: &Base) -> Self {
        let root = if base.empty { Root::Scratch } else { Root::Base(base.id) };
        let config = Config { on_build: Vec::new(), ..base.config.clone() };
        Self::new(root, config, base.platform.clone(), Some(base.id), base.author.clone())
    }

    fn new(
        root: Root,
        mut config: Config,
        platform: String,
        base: Option<BaseId>,
        author: Option<String>,
    ) -> Self {
        let mut env = ConfigEnv::new(&std::mem::take(&mut config.env));
        if !env.has("PATH") {
            env.set("PATH", DEFAULT_PATH);
        }
        let mut variables = Variables::default();
        for (name, value) in env.iter() {
            variables.set(name, value);
        }
        let mut state = Self {
            root,
            env,
            ports: std::mem::take(&mut config.exposed_ports).into_iter().collect(),
            volumes: std::mem::take(&mut config.volumes).into_iter().collect(),
            labels: std::mem::take(&mut config.labels).into_iter().collect(),
            config,
            author,
            platform,
            base,
            history: None,
            variables,
            arguments: Arguments::default(),
            workdir_seen: false,
            cmd: None,
            entrypoint: None,
            healthcheck: None,
        };
        state.start();
        state
    }

    /// The start of a stage that is based on this one.
    pub(super) fn into_child(mut self) -> Self {
        self.config.on_build.clear();
        (self.cmd, self.entrypoint, self.healthcheck) = (None, None, None);
        self.start();
        self
    }

    /// What a stage takes from its configuration when it starts.
    fn start(&mut self) {
        for assigned in self.variables.restart(&self.env) {
            self.arguments.update(assigned);
        }
        if !self.config.working_dir.is_empty() {
            self.config.working_dir = workdir("", &self.config.working_dir);
        }
    }

    /// ENV.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.env.set(name, value);
        self.assign(name, value);
    }

    /// ARG, with its value if it has one.
    pub(super) fn declare(&mut self, name: &str, value: Option<&str>) {
        self.arguments.declare(name, self.variables.assigned(name));
        if let Some(value) = value.filter(|_| !NOT_IN_ENVIRONMENT.contains(&name)) {
            self.assign(name, value);
        }
    }

    fn assign(&mut self, name: &str, value: &str) {
        let assigned = self.variables.set(name, value);
        self.arguments.update(assigned);
    }

    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.arguments.is_declared(name)
    }

    /// The shell of shell forms.
    pub(super) fn shell(&self) -> Vec<String> {
        match &self.config.shell {
            Some(shell) if !shell.is_empty() => shell.clone(),
            _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        }
    }

    /// What the history says of a RUN.
    pub(super) fn created_by_run(&self, argv: &[String]) -> CreatedBy {
        self.arguments.run(argv.join(" "))
    }

    /// The configuration as a whole.
    pub(super) fn into_config(self) -> Config {
        Config {
            env: self.env.entries(),
            exposed_ports: self.ports.into_iter().collect(),
            volumes: self.volumes.into_iter().collect(),
            labels: self.labels.into_iter().collect(),
            ..self.config
        }
    }
}
