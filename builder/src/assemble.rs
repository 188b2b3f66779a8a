//! From the last step's result to the image: configuration, history, and their times.

use rbuild_image::config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
use rbuild_image::digest::DiffId;
use rbuild_image::platform::Platform;
use rbuild_image::time::Timestamp;
use rbuild_parser::plan::{self, Config, HistoryEntry, StepId, Target};

/// Who made a history entry. Scanners read the instruction text, not this.
const COMMENT: &str = "rbuild.dockerfile.v0";

/// What BuildKit writes for a layer that no instruction made: a folder used as a base.
const SYNTHETIC: &str = "buildkit.exporter.image.v0";

/// The configuration of the image that `target` describes.
///
/// `base` is the configuration of the image it starts from, `created` tells when a step's layer was made, and
/// `diff_ids` are those of all layers, the base's included.
pub(crate) fn image_config(
    target: &Target,
    base: Option<&ImageConfig>,
    diff_ids: Vec<DiffId>,
    platform: &Platform,
    created: impl Fn(StepId) -> Timestamp,
) -> ImageConfig {
    let inherited = base.map_or(&[][..], |base| &base.history);
    let epoch = target.epoch.map(|secs| Timestamp::new(secs, 0));
    let own = target.history.iter().map(|entry| own_entry(entry, &created));
    let mut history: Vec<History> = inherited.iter().cloned().chain(own).collect();
    match_layers(&mut history, diff_ids.len());
    if let Some(epoch) = epoch {
        clamp(&mut history[inherited.len()..], epoch);
    }
    fill_times(&mut history);
    let last = history.iter().rev().find_map(|entry| entry.created);
    ImageConfig {
        architecture: platform.architecture.clone(),
        author: target.author.clone().unwrap_or_default(),
        config: container_config(&target.config),
        created: last,
        history,
        os: platform.os.clone(),
        os_features: base.map(|base| base.os_features.clone()).unwrap_or_default(),
        os_version: platform
            .os_version
            .clone()
            .or_else(|| base.map(|base| base.os_version.clone()))
            .unwrap_or_default(),
        rootfs: RootFs { diff_ids, ..RootFs::default() },
        variant: platform.variant.clone().unwrap_or_default(),
    }
}

fn own_entry(entry: &HistoryEntry, created: &impl Fn(StepId) -> Timestamp) -> History {
    History {
        created: entry.layer.map(created),
        created_by: entry.created_by.to_string(),
        author: String::new(),
        comment: COMMENT.into(),
        empty_layer: entry.layer.is_none(),
    }
}

/// One entry that claims a layer for every layer, as the image specification wants it.
fn match_layers(history: &mut Vec<History>, layers: usize) {
    let claimed = history.iter().filter(|entry| !entry.empty_layer).count();
    for _ in claimed..layers {
        history.push(History { comment: SYNTHETIC.into(), ..History::default() });
    }
    for entry in
        history.iter_mut().rev().filter(|entry| !entry.empty_layer).take(claimed.saturating_sub(layers))
    {
        entry.empty_layer = true;
    }
}

fn clamp(history: &mut [History], epoch: Timestamp) {
    for entry in history {
        if entry.created.is_none_or(|created| created > epoch) {
            entry.created = Some(epoch);
        }
    }
}

/// Instructions that made no layer get the time of the layer before them, those before the first new layer
/// the time of that one.
fn fill_times(history: &mut [History]) {
    let Some(first_untimed) = history.iter().position(|entry| entry.created.is_none()) else { return };
    let after = history[first_untimed..].iter().find_map(|entry| entry.created);
    let before = history[..first_untimed].iter().rev().find_map(|entry| entry.created);
    let mut current = after.or(before);
    for entry in &mut history[first_untimed..] {
        match entry.created {
            Some(created) => current = Some(created),
            None => entry.created = current,
        }
    }
}

/// A healthcheck as the other crate's type: the members are the same, and neither crate knows the other.
macro_rules! alike {
    ($check:ident as $($type:ident)::+) => {
        $($type)::+ {
            test: $check.test.clone(),
            interval: $check.interval,
            timeout: $check.timeout,
            start_period: $check.start_period,
            start_interval: $check.start_interval,
            retries: $check.retries,
        }
    };
}

/// The plan's `config` object as the image's.
pub(crate) fn container_config(config: &Config) -> ContainerConfig {
    ContainerConfig {
        user: config.user.clone(),
        exposed_ports: config.exposed_ports.clone(),
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone().unwrap_or_default(),
        cmd: config.cmd.clone().unwrap_or_default(),
        volumes: config.volumes.clone(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        args_escaped: config.args_escaped,
        healthcheck: config.healthcheck.as_ref().map(|check| alike!(check as Healthcheck)),
        on_build: config.on_build.clone(),
        shell: config.shell.clone().unwrap_or_default(),
    }
}

/// An image's `config` object as the plan's.
pub(crate) fn plan_config(config: &ContainerConfig) -> Config {
    Config {
        user: config.user.clone(),
        exposed_ports: config.exposed_ports.clone(),
        env: config.env.clone(),
        entrypoint: given(&config.entrypoint),
        cmd: given(&config.cmd),
        volumes: config.volumes.clone(),
        working_dir: config.working_dir.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        args_escaped: config.args_escaped,
        healthcheck: config.healthcheck.as_ref().map(|check| alike!(check as plan::Healthcheck)),
        on_build: config.on_build.clone(),
        shell: given(&config.shell),
    }
}

/// An empty list in an image says the same as none.
fn given(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}
