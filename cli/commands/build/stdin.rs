//! `rbuild build -`: a Dockerfile or an archive on standard input.

use std::io::{self, Read, Write};

use crate::exit::Failure;

/// As many bytes as it takes to know an archive: the header block of a tar.
const PEEK: usize = 512;

/// What standard input has.
pub(super) enum Content {
    /// An archive; standard input can be read from its first byte again.
    Archive,
    /// A Dockerfile, read to its end.
    Text(Vec<u8>),
}

/// The whole of standard input.
pub(super) fn read_all() -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

/// Looks at the first bytes (as the docker client does) and, for an archive, puts them back.
pub(super) fn text_or_archive() -> Result<Content, Failure> {
    // Not through std's buffer, which would keep more than it hands out.
    let stdin = rustix::stdio::stdin();
    let mut first = vec![0; PEEK];
    let mut have = 0;
    while have < PEEK {
        match rustix::io::retry_on_intr(|| rustix::io::read(stdin, &mut first[have..])).map_err(failed)? {
            0 => break,
            n => have += n,
        }
    }
    first.truncate(have);
    if is_archive(&first) {
        put_back(first)?;
        return Ok(Content::Archive);
    }
    first.extend(read_all()?);
    Ok(Content::Text(first))
}

/// Makes a pipe standard input, which begins with `first` and goes on with what is left of the old one.
fn put_back(first: Vec<u8>) -> Result<(), Failure> {
    let rest = rustix::io::dup(rustix::stdio::stdin()).map_err(failed)?;
    let (reader, mut writer) = io::pipe().map_err(failed)?;
    rustix::stdio::dup2_stdin(&reader).map_err(failed)?;
    let copy = move || {
        // A reader that has seen enough closes the pipe; that is its business.
        let _ = writer.write_all(&first).and_then(|()| io::copy(&mut std::fs::File::from(rest), &mut writer));
    };
    std::thread::Builder::new().name("stdin".into()).spawn(copy).map_err(failed)?;
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("read standard input: {error}"))
}

/// True for gzip, bzip2, xz, zstd and for a tar: a header block whose checksum is right.
fn is_archive(bytes: &[u8]) -> bool {
    const MAGICS: [&[u8]; 4] = [b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    MAGICS.iter().any(|magic| bytes.starts_with(magic)) || is_tar_header(bytes)
}

fn is_tar_header(block: &[u8]) -> bool {
    let Some(field) = block.get(148..156) else { return false };
    let digits: String = field.iter().map(|b| char::from(*b)).filter(|c| c.is_digit(8)).collect();
    let Ok(want) = u32::from_str_radix(&digits, 8) else { return false };
    let sum = |from: &[u8]| from.iter().map(|b| u32::from(*b)).sum::<u32>();
    block.len() == PEEK && sum(&block[..148]) + sum(&block[156..]) + 8 * u32::from(b' ') == want
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_and_texts() {
        let mut header = tar::Header::new_ustar();
        header.set_path("Dockerfile").expect("a short name");
        header.set_size(0);
        header.set_cksum();
        assert!(is_archive(header.as_bytes()));
        let mut broken = header.as_bytes().to_vec();
        broken[0] ^= 1;
        for (bytes, want) in [
            (&b"\x1f\x8b\x08\0"[..], true),
            (b"FROM scratch\n", false),
            (b"", false),
            (b"BZh9", true),
            (&broken, false),
            (&[b'#'; 600], false),
        ] {
            assert_eq!(is_archive(bytes), want);
        }
    }
}
