//! The output of steps: bytes to lines, lines to what a terminal may see.

/// A line longer than this many bytes is handed on in pieces, so that memory stays flat.
const LONGEST_LINE: usize = 16 * 1024;

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Hands every line that `bytes` completes to `each`, without its end.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(line) if self.partial.is_empty() => each(line),
                Some(line) => {
                    self.partial.extend_from_slice(line);
                    each(&self.partial);
                    self.partial.clear();
                }
                None => self.partial.extend_from_slice(piece),
            }
            if self.partial.len() >= LONGEST_LINE {
                each(&self.partial);
                self.partial.clear();
            }
        }
    }

    /// Hands on what came after the last line end.
    pub(super) fn finish(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            each(&self.partial);
            self.partial.clear();
        }
    }
}

/// Of the last line, as much is remembered as any terminal shows.
const LONGEST_SHOWN: usize = 4 * 1024;

/// Remembers the last line of a stream of bytes that is not empty. What is between two looks at it costs a search for
/// line ends from behind, however many lines it is.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    whole: Vec<u8>,
    partial: Vec<u8>,
}

impl LastLine {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let Some(end) = bytes.iter().rposition(|b| *b == b'\n') else {
            return extend(&mut self.partial, bytes);
        };
        let (lines, rest) = (&bytes[..end], &bytes[end + 1..]);
        let start = lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if start == 0 {
            extend(&mut self.partial, lines);
            std::mem::swap(&mut self.whole, &mut self.partial);
        } else {
            self.whole.clear();
            extend(&mut self.whole, &lines[start..]);
        }
        self.partial.clear();
        extend(&mut self.partial, rest);
    }

    /// The line as text for the view.
    pub(super) fn text(&self) -> String {
        visible(if self.partial.is_empty() { &self.whole } else { &self.partial })
    }
}

/// Adds the end of `bytes`, and lets go of the beginning where it gets too long.
fn extend(line: &mut Vec<u8>, bytes: &[u8]) {
    line.extend_from_slice(&bytes[bytes.len().saturating_sub(LONGEST_SHOWN)..]);
    line.drain(..line.len().saturating_sub(LONGEST_SHOWN));
}

/// The end of a log as it may go to a terminal below an error: lines and colours stay, whatever moves the cursor or
/// changes the terminal goes, and the colours end with the text.
pub(super) fn harmless(log: &[u8], color: bool) -> String {
    let text = String::from_utf8_lossy(log);
    let mut out = String::with_capacity(text.len());
    let mut painted = false;
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let line = line.strip_suffix('\r').unwrap_or(line);
        let last = line.rsplit('\r').next().unwrap_or(line);
        let mut chars = last.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\x1b' => {
                    let sequence = escape(&mut chars);
                    let is_color = sequence.starts_with('[') && sequence.ends_with('m');
                    if color && is_color && !sequence.contains(['?', '>', '<', '=']) {
                        painted = true;
                        out.push('\x1b');
                        out.push_str(&sequence);
                    }
                }
                '\t' => out.push('\t'),
                c if is_hidden(c) => {}
                c => out.push(c),
            }
        }
        out.push_str(end);
    }
    if painted {
        out.push_str("\x1b[0m");
    }
    out
}

/// Control characters, and those that turn the direction of what follows.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text of ours that quotes a Dockerfile or a name, as a terminal may see it: as many characters as before, so that
/// marks below a line stay below what they mark.
pub(super) fn quoted(text: &str) -> String {
    let shown =
        |c: char| if is_hidden(c) && !matches!(c, '\t' | '\n') { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).collect()
}

/// A line as text: what a carriage return overwrote is dropped, escape sequences and control characters too,
/// so that no program can move the cursor of the view that it is shown in.
pub(super) fn visible(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let last = line.rsplit(|b| *b == b'\r').next().unwrap_or(line);
    let mut out = String::with_capacity(last.len());
    let text = String::from_utf8_lossy(last);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' => out.push_str("    "),
            '\x1b' => drop(escape(&mut chars)),
            c if is_hidden(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Takes what follows ESC: CSI up to its final byte; OSC, DCS and their like up to the terminator, which is left out;
/// else one character, or two where the first only begins something.
fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let Some(first) = chars.next() else { return String::new() };
    let mut sequence = String::from(first);
    match first {
        '[' => {
            for c in chars {
                sequence.push(c);
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
        ']' | 'P' | 'X' | '^' | '_' => {
            while let Some(c) = chars.next() {
                if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
                sequence.push(c);
            }
        }
        ' '..='/' => sequence.extend(chars.next()),
        _ => {}
    }
    sequence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&str]) -> Vec<String> {
        let (mut cutter, mut out) = (Lines::default(), Vec::new());
        let mut keep = |line: &[u8]| out.push(String::from_utf8_lossy(line).into_owned());
        for chunk in chunks {
            cutter.feed(chunk.as_bytes(), &mut keep);
        }
        cutter.finish(keep);
        out
    }

    #[test]
    fn cutting() {
        assert_eq!(lines(&["a\nb", "c\n", "\nd"]), ["a", "bc", "", "d"]);
        assert_eq!(lines(&["", "\n"]), [""]);
        let long = "x".repeat(LONGEST_LINE + 5);
        let got = lines(&[&long, "y\n"]);
        assert_eq!(got.iter().map(String::len).collect::<Vec<_>>(), [LONGEST_LINE + 5, 1]);
    }

    #[test]
    fn the_last_line_that_says_something() {
        for (chunks, want) in [
            (&["a\nb\n"][..], "b"),
            (&["a\nb"], "b"),
            (&["a", "b\n"], "ab"),
            (&["a\n", "b", "c", "\nd\n"], "d"),
            (&["a\nbc", "d\n"], "bcd"),
            (&["a\nb\n", "c"], "c"),
        ] {
            let mut last = LastLine::default();
            chunks.iter().for_each(|chunk| last.feed(chunk.as_bytes()));
            assert_eq!(last.text(), want, "{chunks:?}");
        }
        let mut last = LastLine::default();
        (0..100).for_each(|_| last.feed(&[b'x'; 1000]));
        assert_eq!(last.text().len(), LONGEST_SHOWN);
    }

    #[test]
    fn of_a_log_colours_stay_and_nothing_else() {
        let log = b"\x1b[2J\x1b[1;31mred\x1b[?25l\n\x1b]0;t\x07a\tb\r\n10%\r20%\n\x1b[>4;1mx";
        assert_eq!(harmless(log, true), "\x1b[1;31mred\na\tb\n20%\nx\x1b[0m");
        assert_eq!(harmless(log, false), "red\na\tb\n20%\nx");
    }

    #[test]
    fn what_is_quoted_keeps_its_length() {
        assert_eq!(quoted("a\tb\n\x1b[2J\u{202e}c"), "a\tb\n\u{fffd}[2J\u{fffd}c");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        for (line, want) in [
            (&b"plain"[..], "plain"),
            (b"10%\r20%\r30%", "30%"),
            (b"windows\r", "windows"),
            (b"\x1b[1;31mred\x1b[0m", "red"),
            (b"\x1b]0;title\x07after", "after"),
            (b"\x1b]8;;http://x\x1b\\link", "link"),
            (b"\x1b[2J\x1bM\x08x", "x"),
            (b"a\tb", "a    b"),
            (b"\xff", "\u{fffd}"),
            (b"\x1b[", ""),
            (b"\x1bPq data\x1b\\after", "after"),
            (b"\x1b(0x", "x"),
            ("\u{202e}tfel".as_bytes(), "tfel"),
        ] {
            assert_eq!(visible(line), want, "{line:?}");
        }
    }
}
