//! Containers: an image, what the user asked for, and a life.
//!
//! A container is a folder of the store. There is no daemon: the rbuild that started a container is its parent and
//! holds a lock on the folder as long as it runs, and every other rbuild reads from the folder what it has to know.
//!
//! ```text
//! <store>/containers/<id>/
//!   config.json   what it was made with; never changes
//!   state.json    running or exited; missing while the program has never run
//!   layers        the image's layers, one LayerId a line: they stay as long as the container does
//!   upper/ work/  the overlay's
//!   volumes/<n>/  the image's VOLUMEs that nobody gave a place
//! <store>/container-names/<name>   a symlink that says the id: made by one call that only one of two can win
//! <store>/volumes/<name>/_data     named volumes
//! ```
//!
//! - `settings`: what the user asked for, plain data.
//! - `spec`, `command`, `environment`, `volumes`: docker's rules, from image and settings to a sandbox.
//! - `host`: the host's files that containers get copies of.
//! - `fill`: the first content of a named volume.
//! - `id`, `names`, `folder`, `state`, `list`: the folder on the disk.
//! - `container`: making one, running it, removing it.
//! - `attach`, `pump`: the foreground life, one poll loop.
//!
//! Invariants:
//! - A folder under `containers/` is whole: it is made in `tmp/` under a lock and moved by one rename, and it goes the
//!   same way. Who holds the lock of its folder runs it; a free lock means that nothing of it runs.
//! - Nothing is synced: a container that a loss of power damages was ended by it as well.
//! - On the way to the program there is no sweep, no listing, and one small JSON file.

mod attach;
mod command;
#[expect(clippy::module_inception, reason = "the room is named after what it is about")]
mod container;
mod environment;
mod error;
mod fill;
mod folder;
mod host;
mod id;
mod list;
mod names;
mod pump;
mod settings;
mod spec;
mod state;
mod volumes;

pub use attach::foreground;
pub use container::{Base, Container, run};
pub use error::ContainerError;
pub use id::ContainerId;
pub use list::{Listed, MADE_AT_START, file_system, list, remove, sweep};
pub use settings::{RunSettings, Tmpfs, Volume, VolumeSource};
pub use state::State;
