//! What each instruction does to the state of its stage (spec 3.8 to 3.17).

use super::expose;
use super::options::{PlanError, fail};
use super::planner::{Planner, Site};
use super::signal::is_signal;
use super::state::State;
use super::types::{Healthcheck, Op, Workdir};
use super::{copy, run};
use crate::go::{duration, list, quote, quote_list};
use crate::instruction::{self, Command, Instruction, Kind, Pair};
use crate::lint::Rule;
use crate::paths::{clean, workdir};
use crate::source::{LineRange, Spanned, Text};

/// Carries out one instruction.
pub(super) fn dispatch(
    planner: &mut Planner<'_>,
    state: &mut State,
    instruction: &Instruction,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    match &instruction.kind {
        Kind::Add(add) => copy::add(planner, state, add, site),
        Kind::Arg(arg) => declare(planner, state, arg, site),
        Kind::Cmd(cmd) => {
            used_once(planner, &mut state.cmd, site);
            let argv = argv(planner, state, &cmd.command, site);
            planner.note(state, format!("CMD {}", quote_list(&argv)));
            state.config.cmd = Some(argv);
            state.config.args_escaped = true;
            Ok(())
        }
        Kind::Copy(copy) => copy::copy(planner, state, copy, site),
        Kind::Entrypoint(entrypoint) => {
            used_once(planner, &mut state.entrypoint, site);
            let argv = argv(planner, state, &entrypoint.command, site);
            planner.note(state, format!("ENTRYPOINT {}", quote_list(&argv)));
            state.config.entrypoint = Some(argv);
            if state.cmd.is_none() {
                state.config.cmd = None;
            }
            Ok(())
        }
        Kind::Env(env) => set_env(planner, state, env, site),
        Kind::Expose(expose) => expose_ports(planner, state, expose, site),
        Kind::Healthcheck(healthcheck) => {
            used_once(planner, &mut state.healthcheck, site);
            check_health(planner, state, healthcheck);
            Ok(())
        }
        Kind::Label(label) => set_labels(planner, state, label, site),
        Kind::Maintainer(maintainer) => {
            planner.note(state, format!("MAINTAINER {}", maintainer.name.value));
            state.author = Some(maintainer.name.value.to_string());
            Ok(())
        }
        Kind::Onbuild(onbuild) => {
            state.config.on_build.push(onbuild.trigger.clone());
            Ok(())
        }
        Kind::Run(run) => run::run(planner, state, run, &instruction.heredocs, site),
        Kind::Shell(shell) => {
            planner.note(state, format!("SHELL {}", list(&shell.command)));
            state.config.shell = Some(shell.command.clone());
            Ok(())
        }
        Kind::Stopsignal(stopsignal) => stop_signal(planner, state, stopsignal, site),
        Kind::User(user) => {
            let user = planner.expand(state, user.user.as_str(), site)?;
            planner.note(state, format!("USER {user}"));
            state.config.user = user;
            Ok(())
        }
        Kind::Volume(volume) => volumes(planner, state, &volume.paths, site),
        Kind::Workdir(workdir) => change_workdir(planner, state, workdir, site),
    }
}

fn used_once(planner: &mut Planner<'_>, last: &mut Option<LineRange>, site: &Site<'_>) {
    if let Some(earlier) = last.replace(site.lines) {
        let keyword = site.keyword;
        planner.lint.warn(Rule::MultipleInstructionsDisallowed, earlier, || {
            format!(
                "Multiple {keyword} instructions should not be used in the same stage because only the last one will \
                 be used"
            )
        });
    }
}

fn argv(planner: &mut Planner<'_>, state: &State, command: &Command, site: &Site<'_>) -> Vec<String> {
    match command {
        Command::Exec(argv) => argv.clone(),
        Command::Shell(text) => {
            if state.config.shell.is_none() {
                planner.lint.warn(Rule::JSONArgsRecommended, site.lines, || {
                    format!(
                        "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                        site.keyword
                    )
                });
            }
            let mut argv = state.shell();
            argv.push(text.value.to_string());
            argv
        }
    }
}

/// ARG. Unlike elsewhere, each declaration sees the ones before it on the same line.
fn declare(
    planner: &mut Planner<'_>,
    state: &mut State,
    arg: &instruction::Arg,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    let mut text = "ARG".to_owned();
    for declaration in &arg.declarations {
        let name = declaration.name.as_str();
        warn_about_secret(planner, "ARG", name, site);
        let value = match (planner.options.build_args.get(name), &declaration.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(planner.expand(state, default.as_str(), site)?),
            (None, None) => planner.global(name).map(str::to_owned),
        };
        state.declare(name, value.as_deref());
        text.push(' ');
        text.push_str(name);
        if let Some(value) = value {
            text.push('=');
            text.push_str(&value);
        }
    }
    planner.note(state, text);
    Ok(())
}

/// Expands names and values in the environment before the instruction.
fn pairs(
    planner: &mut Planner<'_>,
    state: &State,
    pairs: &[Pair],
    site: &Site<'_>,
) -> Result<Vec<(String, String)>, PlanError> {
    pairs
        .iter()
        .map(|pair| {
            let name = planner.expand(state, pair.name.as_str(), site)?;
            Ok((name, planner.expand(state, pair.value.as_str(), site)?))
        })
        .collect()
}

fn warn_about_legacy(planner: &mut Planner<'_>, legacy: bool, site: &Site<'_>) {
    if legacy {
        let keyword = site.keyword;
        planner.lint.warn(Rule::LegacyKeyValueFormat, site.lines, || {
            format!("\"{keyword} key=value\" should be used instead of legacy \"{keyword} key value\" format")
        });
    }
}

fn set_env(
    planner: &mut Planner<'_>,
    state: &mut State,
    env: &instruction::Env,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    warn_about_legacy(planner, env.legacy, site);
    let mut text = "ENV".to_owned();
    for (name, value) in pairs(planner, state, &env.pairs, site)? {
        warn_about_secret(planner, "ENV", &name, site);
        text.push_str(&format!(" {name}={value}"));
        state.set_env(&name, &value);
    }
    planner.note(state, text);
    Ok(())
}

fn set_labels(
    planner: &mut Planner<'_>,
    state: &mut State,
    label: &instruction::Label,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    warn_about_legacy(planner, label.legacy, site);
    let mut text = "LABEL".to_owned();
    for (name, value) in pairs(planner, state, &label.pairs, site)? {
        text.push_str(&format!(" {name}={value}"));
        state.labels.insert(name, value);
    }
    planner.note(state, text);
    Ok(())
}

fn warn_about_secret(planner: &mut Planner<'_>, keyword: &str, name: &str, site: &Site<'_>) {
    let has =
        |words: &[&str]| name.split('_').any(|part| words.iter().any(|word| part.eq_ignore_ascii_case(word)));
    let secret = has(&[
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ]);
    if secret && !has(&["public", "file", "version"]) {
        planner.lint.warn(Rule::SecretsUsedInArgOrEnv, site.lines, || {
            format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {})", quote(name))
        });
    }
}

fn expose_ports(
    planner: &mut Planner<'_>,
    state: &mut State,
    expose: &instruction::Expose,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    let mut written: Vec<&str> = expose.ports.iter().map(Spanned::as_str).collect();
    written.sort_unstable();
    let mut ports = Vec::new();
    for text in written {
        for word in planner.words(state, text, site)? {
            let parsed = expose::parse(&word)?;
            if parsed.odd_casing {
                planner.lint.warn(Rule::ExposeProtoCasing, site.lines, || {
                    format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase")
                });
            }
            if parsed.host {
                planner.lint.warn(Rule::ExposeInvalidFormat, site.lines, || {
                    format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'")
                });
            }
            ports.extend(parsed.ports);
        }
    }
    planner.note(state, format!("EXPOSE {}", list(&ports)));
    state.ports.extend(ports);
    Ok(())
}

fn check_health(planner: &mut Planner<'_>, state: &mut State, healthcheck: &instruction::Healthcheck) {
    let health = match healthcheck {
        instruction::Healthcheck::None => {
            Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }
        }
        instruction::Healthcheck::Cmd { command, timing } => Healthcheck {
            test: match command {
                Command::Exec(argv) => {
                    std::iter::once("CMD".to_owned()).chain(argv.iter().cloned()).collect()
                }
                Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.value.to_string()],
            },
            interval: timing.interval,
            timeout: timing.timeout,
            start_period: timing.start_period,
            start_interval: timing.start_interval,
            retries: timing.retries.into(),
        },
    };
    let text = format!(
        "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        list(&health.test),
        duration(health.interval),
        duration(health.timeout),
        duration(health.start_period),
        duration(health.start_interval),
        health.retries
    );
    planner.note(state, text);
    state.config.healthcheck = Some(health);
}

fn stop_signal(
    planner: &mut Planner<'_>,
    state: &mut State,
    stopsignal: &instruction::Stopsignal,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    let signal = planner.expand(state, stopsignal.signal.as_str(), site)?;
    if !is_signal(&signal) {
        return fail(format!("invalid signal: {signal}"));
    }
    planner.note(state, format!("STOPSIGNAL {signal}"));
    state.config.stop_signal = signal;
    Ok(())
}

fn volumes(
    planner: &mut Planner<'_>,
    state: &mut State,
    paths: &[Spanned<Text>],
    site: &Site<'_>,
) -> Result<(), PlanError> {
    let mut volumes = Vec::with_capacity(paths.len());
    for path in paths {
        let volume = planner.expand(state, path.as_str().trim(), site)?;
        if volume.is_empty() {
            return fail("VOLUME specified can not be an empty string");
        }
        volumes.push(volume);
    }
    planner.note(state, format!("VOLUME {}", list(&volumes)));
    state.volumes.extend(volumes);
    Ok(())
}

fn change_workdir(
    planner: &mut Planner<'_>,
    state: &mut State,
    written: &instruction::Workdir,
    site: &Site<'_>,
) -> Result<(), PlanError> {
    let path = planner.expand(state, written.path.as_str(), site)?;
    if !state.workdir_seen && !path.starts_with('/') {
        planner.lint.warn(Rule::WorkdirRelativePath, site.lines, || {
            format!("Relative workdir {} can have unexpected results if the base image changes", quote(&path))
        });
    }
    state.workdir_seen = true;
    state.config.working_dir = workdir(&state.config.working_dir, &path);
    let text = format!("WORKDIR {}", state.config.working_dir);
    let path = clean(&state.config.working_dir);
    if path == "/" {
        planner.count_step();
        planner.note(state, text);
        return Ok(());
    }
    let op = Workdir { path, user: state.config.user.clone(), epoch: planner.epoch() };
    planner.step(state, Op::Workdir(op), text, site);
    Ok(())
}
