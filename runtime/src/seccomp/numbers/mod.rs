//! System call numbers, one table an architecture, in ascending order.

#[cfg(any(target_arch = "aarch64", test))]
pub(super) mod aarch64;
#[cfg(any(target_arch = "aarch64", test))]
pub(super) mod arm;
#[cfg(any(target_arch = "x86_64", test))]
pub(super) mod i386;
#[cfg(any(target_arch = "x86_64", test))]
pub(super) mod x32;
#[cfg(any(target_arch = "x86_64", test))]
pub(super) mod x86_64;
