//! `rbuild cache mount`: the folders of `RUN --mount=type=cache`.

mod export;
mod import;
mod inspect;
mod ls;
mod rm;

use rbuild_builder::cache_mount::{self, Cache, CacheError};
use rbuild_image::store::Store;
use rbuild_image::time::Timestamp;
use serde_json::{Value, json};

use crate::args::CacheMountCommand;
use crate::commands::age;
use crate::exit::{Failure, Outcome};
use crate::format::human;
use crate::settings::Environment;

/// Characters of a folder's name where it is shortened.
const SHORT: usize = 12;

/// Does what the command says.
pub(super) fn run(command: CacheMountCommand, store: &Store, environment: &Environment) -> Outcome {
    match command {
        CacheMountCommand::Ls(args) => ls::run(&args, store),
        CacheMountCommand::Inspect(args) => inspect::run(&args, store),
        CacheMountCommand::Export(args) => export::run(&args, store, environment),
        CacheMountCommand::Import(args) => import::run(&args, store),
        CacheMountCommand::Rm(args) => rm::run(&args, store),
    }
}

/// The one cache of that id or name.
fn only(store: &Store, text: &str) -> Result<Cache, Failure> {
    let mut found = cache_mount::find(store, text)?;
    match (found.pop(), found.is_empty()) {
        (Some(cache), true) => Ok(cache),
        (cache, _) => {
            let names = found.iter().chain(&cache).map(|cache| short(&cache.name)).collect();
            let several = CacheError::Ambiguous { id: text.to_owned(), names };
            Err(Failure::from(several).with_hint("use the beginning of one of these names"))
        }
    }
}

/// The name of a folder as lists show it; the number of a further one stays.
fn short(name: &str) -> String {
    let (digits, number) =
        name.split_once('-').map_or((name, None), |(digits, number)| (digits, Some(number)));
    let digits = &digits[..digits.len().min(SHORT)];
    number.map_or_else(|| digits.to_owned(), |number| format!("{digits}-{number}"))
}

/// What lists and `inspect` show.
fn row(cache: &Cache, now: Timestamp, whole: bool) -> Value {
    let users: Vec<String> = cache.users.iter().map(u32::to_string).collect();
    let in_use = match (cache.in_use, users.is_empty()) {
        (false, _) => "-".to_owned(),
        (true, true) => "a process".to_owned(),
        (true, false) => users.join(","),
    };
    json!({
        "Name": if whole { cache.name.clone() } else { short(&cache.name) },
        "ID": cache.id.as_deref().unwrap_or("<unknown>"),
        "Size": human::size(cache.bytes),
        "Bytes": cache.bytes,
        "LastUsedSince": age::since(cache.last_used, now),
        "LastUsedAt": age::at(cache.last_used),
        "InUseBy": in_use,
    })
}
