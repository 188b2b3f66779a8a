//! What this machine and this user allow.

use std::sync::OnceLock;

/// Whether we are in a user namespace other than the first: root here is not root of the machine.
#[must_use]
pub fn in_user_namespace() -> bool {
    static IN: OnceLock<bool> = OnceLock::new();
    *IN.get_or_init(|| {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let fields: Vec<&str> = map.split_ascii_whitespace().collect();
        fields != ["0", "0", "4294967295"]
    })
}
