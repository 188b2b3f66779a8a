//! What a stage is, after some of its instructions.

use std::collections::{HashMap, HashSet};

use super::environment::Variables;
use super::options::Base;
use super::types::{BaseId, Config, Root};
use crate::expand::Lookup;
use crate::paths::workdir;
use crate::source::LineRange;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Build arguments that are never variables.
pub(super) const NOT_IN_ENVIRONMENT: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// The state that instructions change one after the other.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) root: Root,
    pub(super) config: Config,
    /// Where each variable is in `config.env`.
    env_places: HashMap<String, usize>,
    pub(super) author: Option<String>,
    /// That of the base image.
    pub(super) platform: String,
    pub(super) base: Option<BaseId>,
    /// Last entry of the history, in the planner's arena.
    pub(super) history: Option<usize>,
    pub(super) variables: Variables,
    /// Declared ARGs in order, each once.
    pub(super) args: Vec<String>,
    declared: HashSet<String>,
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
    pub(super) fn image(base: Base) -> Self {
        let root = if base.empty { Root::Scratch } else { Root::Base(base.id) };
        let config = Config { on_build: Vec::new(), ..base.config };
        Self::new(root, config, base.platform, Some(base.id), base.author)
    }

    fn new(
        root: Root,
        config: Config,
        platform: String,
        base: Option<BaseId>,
        author: Option<String>,
    ) -> Self {
        let mut state = Self {
            root,
            config,
            env_places: HashMap::new(),
            author,
            platform,
            base,
            history: None,
            variables: Variables::default(),
            args: Vec::new(),
            declared: HashSet::new(),
            workdir_seen: false,
            cmd: None,
            entrypoint: None,
            healthcheck: None,
        };
        state.adopt_config();
        state
    }

    /// The start of a stage that is based on this one.
    pub(super) fn child(&self) -> Self {
        let mut child = self.clone();
        child.config.on_build.clear();
        (child.cmd, child.entrypoint, child.healthcheck) = (None, None, None);
        child.adopt_config();
        child
    }

    /// What a stage takes from its configuration when it starts.
    fn adopt_config(&mut self) {
        self.env_places.clear();
        for (place, entry) in self.config.env.iter().enumerate() {
            let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
            self.env_places.entry(name.to_owned()).or_insert(place);
        }
        if !self.env_places.contains_key("PATH") {
            self.set_config_env("PATH", DEFAULT_PATH);
        }
        for entry in &self.config.env {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            self.variables.set(name, value);
        }
        if !self.config.working_dir.is_empty() {
            self.config.working_dir = workdir("", &self.config.working_dir);
        }
    }

    /// ENV: in place if the image has the variable, else at the end.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.set_config_env(name, value);
        self.variables.set(name, value);
    }

    fn set_config_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        match self.env_places.get(name) {
            Some(&place) => self.config.env[place] = entry,
            None => {
                self.env_places.insert(name.to_owned(), self.config.env.len());
                self.config.env.push(entry);
            }
        }
    }

    /// ARG, with its value if it has one.
    pub(super) fn declare(&mut self, name: &str, value: Option<&str>) {
        if self.declared.insert(name.to_owned()) {
            self.args.push(name.to_owned());
        }
        if let Some(value) = value.filter(|_| !NOT_IN_ENVIRONMENT.contains(&name)) {
            self.variables.set(name, value);
        }
    }

    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    /// The shell of shell forms.
    pub(super) fn shell(&self) -> Vec<String> {
        match &self.config.shell {
            Some(shell) if !shell.is_empty() => shell.clone(),
            _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
        }
    }

    /// The prefix of RUN in the history: `|2 A=1 B= `.
    pub(super) fn args_prefix(&self) -> String {
        if self.args.is_empty() {
            return String::new();
        }
        let mut prefix = format!("|{} ", self.args.len());
        for name in &self.args {
            prefix.push_str(name);
            prefix.push('=');
            prefix.push_str(self.variables.get(name).unwrap_or(""));
            prefix.push(' ');
        }
        prefix
    }
}
