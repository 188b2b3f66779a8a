//! "did you mean …?"

use std::borrow::Cow;

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
    let fold = |text| if case_sensitive { Cow::Borrowed(text) } else { Cow::Owned(str::to_lowercase(text)) };
    let wanted: Vec<char> = fold(word).chars().collect();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let limit = best.map_or(TOO_FAR, |(distance, _)| distance);
        match levenshtein(&wanted, &fold(candidate), limit) {
            Some(0) => return None,
            Some(distance) => best = Some((distance, candidate)),
            None => {}
        }
    }
    let upper =
        !case_sensitive && word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase);
    best.map(
        |(_, candidate)| if upper { fold(candidate).to_uppercase() } else { fold(candidate).into_owned() },
    )
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

/// Insertions, deletions and replacements of characters that lead from one to the other; None if that takes
/// `limit` of them or more. A file can have thousands of names, and most of them are excluded by their length or by
/// their letters.
fn levenshtein(from: &[char], to: &str, limit: usize) -> Option<usize> {
    let edited = (letters(from.iter().copied()) ^ letters(to.chars())).count_ones() as usize;
    // A replacement takes one letter away and brings another one.
    if from.len().abs_diff(to.chars().count()) >= limit || edited.div_ceil(2) >= limit {
        return None;
    }
    let mut column: Vec<usize> = (0..=from.len()).collect();
    for (inserted, right) in to.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut column[0], inserted + 1);
        let mut least = column[0];
        for (index, left) in from.iter().enumerate() {
            let replaced = diagonal + usize::from(*left != right);
            diagonal = column[index + 1];
            column[index + 1] = replaced.min(column[index] + 1).min(diagonal + 1);
            least = least.min(column[index + 1]);
        }
        if least >= limit {
            return None;
        }
    }
    Some(column[from.len()]).filter(|distance| *distance < limit)
}

/// The set of letters, as bits; different ones can share a bit.
fn letters(text: impl Iterator<Item = char>) -> u64 {
    text.fold(0, |set, letter| set | 1 << (u32::from(letter) % u64::BITS))
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
        assert_eq!(
            suggest("abcd", ["abxy", "abcx", "abcy"], true).as_deref(),
            Some("abcx"),
            "the first of the nearest"
        );
        assert_eq!(suggest("abcd", ["abcx", "abcd"], true), None, "an exact match wins wherever it stands");
    }

    #[test]
    fn counts_edits() {
        for (from, to, distance) in
            [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("bnid", "bind", 2), ("ä", "a", 1)]
        {
            for (from, to) in [(from, to), (to, from)] {
                let letters: Vec<char> = from.chars().collect();
                assert_eq!(levenshtein(&letters, to, distance + 1), Some(distance), "{from} to {to}");
                assert_eq!(levenshtein(&letters, to, distance), None, "{from} to {to} is too far");
            }
        }
    }
}
