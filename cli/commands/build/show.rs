//! `rbuild build --print` and `--call`: the plan, the tree, the targets, on standard output.

use rbuild_builder::error::BuildError;
use rbuild_builder::examine::Examined;
use rbuild_image::store::Store;
use rbuild_parser::graph::Dag;
use rbuild_parser::outline;
use serde::Serialize;

use super::failure;
use crate::args::{CheckFormat, PrintForm};
use crate::exit::{Exit, FAILURE, Failure, Outcome};
use crate::ui::{self, Style};

/// `--print`.
pub(super) fn print(examined: &Examined, store: &Store, form: PrintForm, style: Style) -> Outcome {
    if form == PrintForm::Ast {
        return match examined.parsed.errors.is_empty() {
            true => json(&examined.parsed.dockerfile),
            false => examined.plan(store).map_or_else(|error| refuse(&error, style), |_| Ok(Exit::OK)),
        };
    }
    let (plan, names) = match examined.plan(store) {
        Ok(planned) => planned,
        Err(error) => return refuse(&error, style),
    };
    let dag = Dag::new(&plan, &|id| names.get(id.0 as usize).cloned().unwrap_or_default());
    match form {
        PrintForm::Graph => ui::print(&dag.graphviz())?,
        PrintForm::Mermaid => ui::print(&dag.mermaid())?,
        PrintForm::Json | PrintForm::Ast => return json(&dag),
    }
    Ok(Exit::OK)
}

/// `--call outline`.
pub(super) fn outline(examined: &Examined, store: &Store, format: CheckFormat, style: Style) -> Outcome {
    if !examined.parsed.errors.is_empty() {
        return examined.plan(store).map_or_else(|error| refuse(&error, style), |_| Ok(Exit::OK));
    }
    let found = outline::outline(&examined.parsed.dockerfile, &examined.options).map_err(Failure::new)?;
    answer(&found, format)
}

/// `--call targets`.
pub(super) fn targets(examined: &Examined, store: &Store, format: CheckFormat, style: Style) -> Outcome {
    if !examined.parsed.errors.is_empty() {
        return examined.plan(store).map_or_else(|error| refuse(&error, style), |_| Ok(Exit::OK));
    }
    answer(&outline::targets(&examined.parsed.dockerfile), format)
}

fn answer(value: &(impl Serialize + std::fmt::Display), format: CheckFormat) -> Outcome {
    match format {
        CheckFormat::Json => json(value),
        CheckFormat::Text => ui::print(&value.to_string()).map(|()| Exit::OK),
    }
}

fn json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value)?;
    ui::print(&format!("{text}\n"))?;
    Ok(Exit::OK)
}

/// Shows why there is nothing to show.
fn refuse(error: &BuildError, style: Style) -> Outcome {
    ui::explain(&failure::report(error), style);
    Ok(Exit(FAILURE))
}
