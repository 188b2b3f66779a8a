//! `rbuild tag`.

use rbuild_image::store::Store;

use super::find;
use crate::args::TagArgs;
use crate::exit::{Exit, Outcome};

/// Gives an image another name; a name that is taken moves.
pub(crate) fn run(args: &TagArgs, store: &Store) -> Outcome {
    let target = find::new_name(&args.target)?;
    let what = find::meaning(store, &args.source)?;
    store.set_name_as(&target, what, find::document(store, &args.source, what)?)?;
    Ok(Exit::OK)
}
