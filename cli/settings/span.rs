//! Spans of time.

/// Seconds of Go's time spans, and of days.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        sum += number * unit;
        rest = &rest[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "what is too large becomes the largest")]
    (!text.is_empty()).then_some(sum as i64)
}
