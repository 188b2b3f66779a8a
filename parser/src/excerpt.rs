//! Which lines to show around an error.

use crate::source::{LineRange, Source};

/// One line of an excerpt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExcerptLine<'s> {
    /// Its number, from 1.
    pub number: u32,
    /// True if it is part of the error, false if it is context.
    pub marked: bool,
    /// The line without its newline.
    pub text: &'s str,
}

/// The lines that BuildKit shows for an error at these ranges: two lines either side of a single line, one
/// either side of several, and more on one side where the file ends on the other. Empty without ranges, or
/// if the file has no such lines.
#[must_use]
pub fn excerpt<'s>(source: &'s Source<'_>, ranges: &[LineRange]) -> Vec<ExcerptLine<'s>> {
    let count = source.line_count();
    let Some(first) = ranges.iter().map(|range| range.first).min() else { return Vec::new() };
    let last = ranges.iter().map(|range| range.last).max().unwrap_or(first).min(count);
    if first < 1 || first > count {
        return Vec::new();
    }
    let (from, to) = grow(first, last.max(first), count);
    let marked = |number| ranges.iter().any(|range| (range.first..=range.last).contains(&number));
    (from..=to)
        .filter_map(|number| Some(ExcerptLine { number, marked: marked(number), text: source.line(number)? }))
        .collect()
}

/// Every round costs one more than the lines it adds; that is where the unequal amounts come from.
fn grow(mut from: u32, mut to: u32, count: u32) -> (u32, u32) {
    let budget = if from == to { 4 } else { 2 };
    let mut used = 0;
    while used < budget {
        if from > 1 {
            from -= 1;
            used += 1;
        }
        if to < count {
            to += 1;
            used += 1;
        }
        used += 1;
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_like_buildkit() {
        for (first, last, count, expected) in [
            (5, 5, 10, (3, 7)),
            (1, 1, 10, (1, 3)),
            (10, 10, 10, (8, 10)),
            (5, 6, 10, (4, 7)),
            (1, 1, 1, (1, 1)),
            (2, 2, 10, (1, 4)),
        ] {
            assert_eq!(grow(first, last, count), expected, "{first}-{last} of {count}");
        }
    }

    #[test]
    fn marks_the_ranges() {
        let source = Source::new(b"FROM a\nRUN b\n");
        let lines = excerpt(&source, &[LineRange::line(2)]);
        let shown: Vec<_> = lines.iter().map(|line| (line.number, line.marked, line.text)).collect();
        assert_eq!(shown, [(1, false, "FROM a"), (2, true, "RUN b"), (3, false, "")]);
        assert_eq!(excerpt(&source, &[LineRange::line(4)]), []);
        assert_eq!(excerpt(&source, &[]), []);
        let end = excerpt(&source, &[LineRange { first: 2, last: 9 }]);
        assert_eq!(end.last().map(|line| line.number), Some(3));
    }
}
