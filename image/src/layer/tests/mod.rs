//! Layers on real directories.

mod hostile;
mod overlays;
mod round_trip;
mod support;
mod tars;
mod views;
