//! `rbuild info`, `rbuild system info`.

use std::path::Path;

use rbuild_runtime::rootless::{Ids, Mode, probe};
use serde_json::{Value, json};

use crate::args::VersionArgs;
use crate::exit::{Exit, Outcome};
use crate::format::Template;
use crate::ui;

/// Says where the store is and how processes are isolated here.
pub(crate) fn run(args: &VersionArgs, root: &Path) -> Outcome {
    let data = data(root);
    let text = match args.format.as_deref() {
        None => lines(&data),
        Some("json") => format!("{data}\n"),
        Some(template) => Template::parse(template)?.render(&data)? + "\n",
    };
    ui::print(&text)?;
    Ok(Exit::OK)
}

fn data(root: &Path) -> Value {
    let found = probe();
    let isolation = match found.mode {
        Mode::Root => "root",
        Mode::Rootless(Ids::Ranges) => "rootless, with the id ranges of /etc/subuid",
        Mode::Rootless(Ids::Single) => "rootless, with a single id",
        Mode::Bare => "none: neither root nor a user namespace",
    };
    json!({
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "StoreRoot": root.to_string_lossy(),
        "Isolation": isolation,
        "Overlay": found.overlay,
        "OSType": std::env::consts::OS,
        "Architecture": std::env::consts::ARCH,
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
    })
}

fn lines(data: &Value) -> String {
    let text = |name: &str| data[name].as_str().map_or_else(|| data[name].to_string(), str::to_owned);
    format!(
        "Version:    {}\nStore:      {}\nIsolation:  {}\nOverlayfs:  {}\nPlatform:   {}/{}\nCPUs:       {}\n",
        text("ServerVersion"),
        text("StoreRoot"),
        text("Isolation"),
        text("Overlay"),
        text("OSType"),
        text("Architecture"),
        text("NCPU"),
    )
}
