//! `rbuild diff`: what is not the same in two images, steps or containers.

mod line;
mod side;

use std::io::{self, BufWriter, Write};

use rbuild_image::layer::{Times, View, differences};
use rbuild_image::store::Store;

use self::side::Side;
use crate::args::{DiffArgs, DiffFormat};
use crate::exit::{Exit, FAILURE, Failure, Outcome};

/// Prints the differences, a path a line.
pub(crate) fn run(args: &DiffArgs, store: &Store) -> Outcome {
    let (old, new) = match &args.sides[..] {
        [one] => side::alone(store, one)?,
        [old, new] => (side::image_first(store, old)?, side::image_first(store, new)?),
        _ => return Err(Failure::usage("one or two things can be compared")),
    };
    let made_at_start = new.made_at_start;
    let (old, new) = (view(store, &old)?, view(store, &new)?);
    let times = if args.times { Times::Count } else { Times::Ignore };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut count = 0_u64;
    let mut gone = false;
    let written = differences(&old, &new, times, &mut |difference| {
        let is_at = |path: &&str| path.as_bytes() == difference.path;
        if difference.old.is_none() && made_at_start.iter().any(is_at) {
            return Ok(());
        }
        count += 1;
        let line = match args.format {
            DiffFormat::Text => line::text(&difference, times),
            DiffFormat::Json => line::object(&difference, times).to_string(),
        };
        writeln!(out, "{line}").inspect_err(|cause| gone |= cause.kind() == io::ErrorKind::BrokenPipe)
    });
    let flushed = out.flush();
    match written {
        // The reader has seen enough.
        Err(_) if gone => return Err(Failure::silent(crate::ui::CLOSED_PIPE)),
        Err(error) => return Err(error.into()),
        Ok(()) => flushed.map_err(|error| Failure::new(format!("write to standard output: {error}")))?,
    }
    Ok(if args.exit_code && count > 0 { Exit(FAILURE) } else { Exit::OK })
}

fn view(store: &Store, side: &Side) -> Result<View, Failure> {
    let mut open = Vec::new();
    open.extend(side.upper.as_ref().map(side::open_upper).transpose()?);
    for id in &side.stack {
        let layer = store.layer(*id)?;
        let layer = layer.ok_or_else(|| Failure::new(format!("layer {id} is not in the store any more")))?;
        open.extend(layer.open_fs()?.into_fds());
    }
    Ok(View::new(open, store.flavour()))
}
