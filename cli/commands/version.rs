//! `rbuild version`.

use serde_json::json;

use crate::args::VersionArgs;
use crate::exit::{Exit, Outcome};
use crate::format::Template;
use crate::ui;

/// Prints the version.
pub(crate) fn run(args: &VersionArgs) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    let data = json!({"Version": version, "Os": std::env::consts::OS, "Arch": std::env::consts::ARCH});
    let text = match args.format.as_deref() {
        None => format!("rbuild version {version}, {}/{}\n", std::env::consts::OS, std::env::consts::ARCH),
        Some("json") => format!("{data}\n"),
        Some(template) => Template::parse(template)?.render(&data)? + "\n",
    };
    ui::print(&text)?;
    Ok(Exit::OK)
}
