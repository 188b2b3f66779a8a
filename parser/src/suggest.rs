//! "did you mean …?"

/// Distance from which on a candidate is too far away.
const TOO_FAR: usize = 3;

/// Longest input for which a candidate is looked for; what is longer is near to none of ours.
const LONGEST: usize = 64;

/// The candidate nearest to a mistyped word, at most two edits away; the first one of several. None also if the
/// word is itself a candidate. Without `case_sensitive`, the answer is in upper or lower case as the word is.
#[must_use]
pub fn suggest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
    case_sensitive: bool,
) -> Option<String> {
    if word.len() > LONGEST {
        return None;
    }
    let fold = |text: &str| if case_sensitive { text.to_owned() } else { text.to_lowercase() };
    let wanted = fold(word);
    let mut best: Option<(usize, String)> = None;
    for candidate in candidates {
        let candidate = fold(candidate);
        if candidate == wanted {
            return None;
        }
        let limit = best.as_ref().map_or(TOO_FAR, |(distance, _)| *distance);
        let distance = levenshtein(&wanted, &candidate);
        if distance < limit {
            best = Some((distance, candidate));
        }
    }
    let upper =
        !case_sensitive && word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase);
    best.map(|(_, candidate)| if upper { candidate.to_uppercase() } else { candidate })
}

/// Adds ` (did you mean X?)` to a message if there is an X.
#[must_use]
pub fn with_suggestion<'c>(
    message: String,
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
    case_sensitive: bool,
) -> String {
    match suggest(word, candidates, case_sensitive) {
        Some(candidate) => format!("{message} (did you mean {candidate}?)"),
        None => message,
    }
}

/// Insertions, deletions and replacements of characters that lead from one to the other.
fn levenshtein(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (deleted, left) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], deleted + 1);
        for (index, right) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[index + 1];
            row[index + 1] = replaced.min(row[index] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_nearest() {
        let flags = ["chmod", "chown", "exclude", "from", "link", "parents"];
        assert_eq!(suggest("chwon", flags, true).as_deref(), Some("chmod"));
        assert_eq!(suggest("chown", flags, true), None, "an exact match is no mistake");
        assert_eq!(suggest("From", flags, true).as_deref(), Some("from"));
        assert_eq!(suggest("form", flags, true).as_deref(), Some("from"));
        assert_eq!(suggest("whatever", flags, true), None);
        assert_eq!(suggest("FNTRYPOINT", ["ENTRYPOINT", "ENV"], false).as_deref(), Some("ENTRYPOINT"));
        assert_eq!(suggest("coyp", ["COPY"], false).as_deref(), Some("copy"));
    }

    #[test]
    fn counts_edits() {
        for (from, to, distance) in
            [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("bnid", "bind", 2), ("ä", "a", 1)]
        {
            assert_eq!(levenshtein(from, to), distance, "{from} to {to}");
            assert_eq!(levenshtein(to, from), distance, "{to} to {from}");
        }
    }
}
