//! Ranges of ids lent to a user.

/// `count` ids from `start` on, of the outer namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) count: u32,
}

/// The ranges that a file in the form of `/etc/subuid` lends to a user, by name or number.
pub(super) fn of_user(file: &str, name: &str, uid: u32) -> Vec<Range> {
    let uid = uid.to_string();
    file.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let start = fields.next()?.parse().ok()?;
            let count = fields.next()?.parse().ok()?;
            ((owner == name || owner == uid) && count > 0).then_some(Range { start, count })
        })
        .collect()
}

/// Arguments for newuidmap or newgidmap: ourselves as 0, then the ranges one after the other.
pub(super) fn map_arguments(own: u32, ranges: &[Range]) -> Vec<String> {
    let mut arguments = vec!["0".to_owned(), own.to_string(), "1".to_owned()];
    let mut inside: u32 = 1;
    for range in ranges {
        arguments.extend([inside.to_string(), range.start.to_string(), range.count.to_string()]);
        inside = inside.saturating_add(range.count);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_number() {
        let file = "other:1:2\nme:100000:65536\n1000:300000:10\n# comment\nme:bad:1\nme:5:0\n";
        let ranges = of_user(file, "me", 1000);
        assert_eq!(ranges, [Range { start: 100_000, count: 65536 }, Range { start: 300_000, count: 10 }]);
        let arguments = map_arguments(1000, &ranges).join(" ");
        assert_eq!(arguments, "0 1000 1 1 100000 65536 65537 300000 10");
    }
}
