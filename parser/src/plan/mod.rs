//! From a parsed Dockerfile to a [`Plan`]: stages are linked, variables expanded, and the instructions that
//! have no effect on files are folded into the configuration that the others see.
//!
//! Rooms: `options` is what goes in, `types` what comes out, `entry` the way in. `globals` is the scope before the
//! first FROM, `from` and `links` say which stage or image is meant by which name, `planner` finds out what is needed
//! and carries it out, stage by stage, on a `state`; `instructions`, `run`, `mount`, `copy`, `expose` and `signal`
//! know the instructions; `expansion` expands their words, `epoch` reads SOURCE_DATE_EPOCH; `environment`, `config_env`,
//! `history`, `platform` and `reference` are the vocabulary.
//!
//! Invariants: no variable is left in a plan; a base image is asked for only if a needed stage wants it; a plan
//! depends on nothing but the file, the options and what [`Bases`] answers.

mod config_env;
mod copy;
mod entry;
mod environment;
mod epoch;
mod expansion;
mod expose;
mod from;
mod globals;
mod history;
mod instructions;
mod links;
mod mount;
mod options;
mod planner;
mod platform;
mod reference;
mod run;
mod signal;
mod state;
#[cfg(test)]
mod tests;
mod types;

pub use entry::{check, epoch, moment, parse_warnings, plan};
pub use environment::Environment;
pub use epoch::{Epoch, RemoteAdd};
pub use history::CreatedBy;
pub use options::{Base, BaseRequest, Bases, Checked, NamedContext, Options, PlanError, Planned};
pub use types::*;
