//! Git repositories, for ADD and as build contexts, by running the `git` program.
//!
//! Not by a library: a repository is reached with what the user has set up for git (credential helpers, `ssh`
//! configuration and agents, proxies, certificates), and served with what servers expect of git (protocol version
//! 2, shallow fetches). BuildKit runs the program for the same reasons.
//!
//! - `url`: what `https://host/x.git?tag=v1#ref:dir` means;
//! - `program`: running git so that nothing of the repository or of a terminal can interfere;
//! - `mirror`: the store's bare copy of a repository, and checkouts of its commits.
//!
//! Invariants: a reference is turned into a commit before anything else, and only the commit counts from then on;
//! a checkout in the store is whole, and never changes.

mod mirror;
mod program;
#[cfg(test)]
mod tests;
mod url;

pub use mirror::{Checkout, Git, GitError};
pub use url::{GitUrl, is_git_url};
