//! The system call filter: Docker's default profile, in effect, as a BPF program.
//!
//! - `numbers`: for each architecture the numbers of the names in the profile; what is not there is refused.
//! - `profile`: the names that are allowed under a condition only.
//! - `bpf`: a binary search over number ranges, as instructions.
//!
//! As runc does, a call that is newer than everything in the profile gets ENOSYS, so that C libraries fall back;
//! other refused calls get EPERM.

mod bpf;
mod numbers;
mod profile;

pub(crate) use bpf::{Instruction, Trap};
pub(crate) use profile::{Conditions, notifying, program};

#[cfg(test)]
mod tests;
