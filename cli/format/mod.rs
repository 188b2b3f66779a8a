//! What lists and reports look like: docker's tables, sizes, ages and templates.
//!
//! A command describes each row once, as a JSON object under docker's field names; from it come the table's
//! columns, `--format json` and `--format '{{.Field}}'`, so that the three never disagree.

pub(crate) mod human;
mod list;
mod table;
mod template;

pub(crate) use list::{Column, List};
pub(crate) use template::Template;
