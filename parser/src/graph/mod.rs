//! The steps of a plan as a graph, for people and programs to look at.
//!
//! Rooms: `dag` makes nodes and edges of a [`Plan`](crate::plan::Plan), `draw` writes them as Graphviz or Mermaid.
//! As JSON, a [`Dag`] is serialised as it is.
//!
//! Invariants: a node for every step and for every source that a step or the result uses, and no others; edges lead
//! from what is used to what uses it; names depend on the plan only, so the same plan is always drawn the same.

mod dag;
mod draw;
#[cfg(test)]
mod tests;

pub use dag::{Dag, Edge, EdgeKind, Node, NodeKind};
