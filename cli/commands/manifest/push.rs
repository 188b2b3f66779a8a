//! `rbuild manifest push`.

use rbuild_image::registry::{PushOptions, Settings};
use rbuild_image::store::{ListEntry, Named, Store};

use super::{list_name, missing, registry};
use crate::args::ManifestPushArgs;
use crate::exit::{Exit, Outcome};
use crate::settings::ProgressMode;
use crate::ui::{self, Direction, Transfer};

/// Sends a list, or an image for several platforms, and prints its digest.
pub(super) fn run(args: &ManifestPushArgs, settings: Settings, store: &Store) -> Outcome {
    let name = list_name(&args.list)?;
    let registry = registry(settings, args.insecure, &[&name]);
    let view = Transfer::new(Direction::Push, ProgressMode::Plain, &name.canonical());
    let pushed = match (store.list(&name)?, store.meaning(&name)?) {
        (Some(list), _) => {
            let pushed = registry.push_list(store, &list, &view)?;
            for ListEntry { descriptor, .. } in list.entries {
                let name = name.clone().at(descriptor.digest.0).canonical();
                ui::print(&format!("Pushed ref {name} with digest: {}\n", descriptor.digest))?;
            }
            pushed
        }
        (None, Some(index @ Named::Index(_))) => {
            registry.push(store, index, &name, &PushOptions::default(), &view)?
        }
        (None, _) => return Err(missing(&args.list)),
    };
    if args.purge {
        store.remove_list(&name)?;
    }
    ui::print(&format!("{}\n", pushed.digest))?;
    Ok(Exit::OK)
}
