//! Fitting text into one line of the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;
/// Output in fewer columns says nothing.
const FEWEST: usize = 10;

/// How wide the terminal at standard error is now.
pub(super) fn columns() -> usize {
    let size = rbuild_runtime::tty::window_size(std::io::stderr());
    size.ok().map(|size| usize::from(size.columns)).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// The beginning of `text` in so many columns; an ellipsis says that there was more.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// The line of a step that runs: what it is, for how long, and what it said last. The time is always there; what it
/// is gets half of the rest, or what its output does not need.
pub(super) fn running(title: &str, seconds: f64, output: &str, columns: usize) -> String {
    let time = format!(" {seconds:.1}s");
    let room = columns.saturating_sub("=> ".len() + time.len());
    let wanted = output.width().min(room / 2);
    let title = cut(title, room.saturating_sub(if wanted == 0 { 0 } else { wanted + 2 }));
    let left = room.saturating_sub(title.width() + 2);
    if output.is_empty() || left < FEWEST.min(output.width()) {
        return format!("=> {title}{time}");
    }
    format!("=> {title}{time}  {}", cut(output, left))
}

/// The line of a step that has ended: `label` is in front of it and takes `label_width` columns, `tail` is kept.
pub(super) fn ended(label: &str, label_width: usize, title: &str, tail: &str, columns: usize) -> String {
    let room = columns.saturating_sub(label_width + 1 + tail.width());
    format!("{label} {}{tail}", cut(title, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_counts_columns() {
        for (text, width, want) in
            [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("漢字漢", 5, "漢字…"), ("abc", 1, "…"), ("abc", 0, "")]
        {
            assert_eq!(cut(text, width), want, "{text} {width}");
        }
    }

    #[test]
    fn a_running_step_always_shows_its_time() {
        let title = "[stage 2/5] RUN a command that is long";
        for (columns, output, want) in [
            (80, "", "=> [stage 2/5] RUN a command that is long 1.5s"),
            (80, "out", "=> [stage 2/5] RUN a command that is long 1.5s  out"),
            (40, "some output that is long", "=> [stage 2/5] R… 1.5s  some output tha…"),
            (40, "50%", "=> [stage 2/5] RUN a command … 1.5s  50%"),
            (20, "", "=> [stage 2/5]… 1.5s"),
            (3, "out", "=>  1.5s"),
        ] {
            let line = running(title, 1.5, output, columns);
            assert!(line.width() <= columns.max(8), "{line}");
            assert_eq!(line, want, "{columns} {output}");
        }
        assert_eq!(ended("DONE  ", 6, title, " 0.1s", 30), "DONE   [stage 2/5] RUN a… 0.1s");
    }
}
