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

    /// The line that is not complete yet.
    pub(super) fn partial(&self) -> &[u8] {
        &self.partial
    }
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
            '\x1b' => skip_escape(&mut chars),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Skips what follows ESC: CSI up to its final byte, OSC up to its terminator, else one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
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
        ] {
            assert_eq!(visible(line), want, "{line:?}");
        }
    }
}
