//! JSON as docker shows it.

/// The same JSON with tabs, as docker shows it: members stay in their order, and numbers and texts as they are.
pub(super) fn indented(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut is_escaped) = (0_usize, false, false);
    let mut rest = json.iter().copied().filter(|byte| !byte.is_ascii_control()).peekable();
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b'\t', depth));
    };
    while let Some(byte) = rest.next() {
        if in_text {
            out.push(byte);
            in_text = is_escaped || byte != b'"';
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b' ' => {}
            b'{' | b'[' => {
                out.push(byte);
                while rest.next_if_eq(&b' ').is_some() {}
                match rest.next_if(|next| matches!(next, b'}' | b']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend(b": "),
            _ => {
                in_text = byte == b'"';
                out.push(byte);
            }
        }
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_nothing_else() {
        let text = "{ \"z\":[1 , 2],\n \"a\": { },\"b\":\"x, {\\\"}: y\" }";
        let want = "{\n\t\"z\": [\n\t\t1,\n\t\t2\n\t],\n\t\"a\": {},\n\t\"b\": \"x, {\\\"}: y\"\n}\n";
        assert_eq!(String::from_utf8_lossy(&indented(text.as_bytes())), want);
    }
}
