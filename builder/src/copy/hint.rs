//! What may help when a source is not there.

use crate::context::Context;
use crate::context::path::{base_name, parent, show};

/// Names further away than this are no typing errors.
const MAX_DISTANCE: usize = 2;

/// Sentences for the user: the ignore file hides it, or a name like it exists.
pub(crate) fn for_missing(source: &Context, path: &[u8]) -> Vec<String> {
    let mut help = Vec::new();
    if source.is_ignored(path) {
        help.push(format!("{} exists, but the ignore file (.dockerignore) excludes it", show(path)));
        return help;
    }
    let name = String::from_utf8_lossy(base_name(path)).into_owned();
    // The search for help must not become an error of its own.
    let siblings = source.list(parent(path)).unwrap_or_default();
    let nearest = siblings
        .iter()
        .map(|found| String::from_utf8_lossy(&found.name).into_owned())
        .map(|candidate| (distance(&name, &candidate), candidate))
        .filter(|(distance, _)| *distance <= MAX_DISTANCE && *distance < name.chars().count())
        .min();
    if let Some((_, candidate)) = nearest {
        help.push(format!("did you mean {candidate}?"));
    }
    help
}

/// Levenshtein distance without regard to case: `readme` is near to `README`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in [("src", "src", 0), ("readme", "README", 0), ("scr", "src", 2), ("a", "xyz", 3)] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
