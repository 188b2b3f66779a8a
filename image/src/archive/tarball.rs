//! The outer tar of an archive: sorted, no times, no owners. (Layers have a writer of their own.)

use std::io::{self, Write};

const BLOCK: u64 = 512;
/// Bytes of the header of a file that is not too long for one.
pub(super) const HEADER: usize = 512;
/// What eleven octal digits can say.
const MAX_USTAR_SIZE: u64 = (8 << 30) - 1;

/// Writes a folder; `name` ends with a slash.
pub(super) fn folder(out: &mut impl Write, name: &str) -> io::Result<()> {
    header(out, name, tar::EntryType::Directory, 0o755, 0)
}

/// Writes a file that is at hand.
pub(super) fn file(out: &mut impl Write, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    begin_file(out, name, mode, bytes.len() as u64)?;
    out.write_all(bytes)?;
    end_file(out, bytes.len() as u64)
}

/// Writes the header of a file; exactly `size` bytes and [`end_file`] have to follow.
pub(super) fn begin_file(out: &mut impl Write, name: &str, mode: u32, size: u64) -> io::Result<()> {
    if size > MAX_USTAR_SIZE {
        let record = pax_record("size", &size.to_string());
        header(out, "PaxHeaders.0", tar::EntryType::XHeader, 0o644, record.len() as u64)?;
        out.write_all(record.as_bytes())?;
        end_file(out, record.len() as u64)?;
    }
    header(out, name, tar::EntryType::Regular, mode, size)
}

/// Fills the last block of a file of `size` bytes.
pub(super) fn end_file(out: &mut impl Write, size: u64) -> io::Result<()> {
    let rest = usize::try_from(size.wrapping_neg() % BLOCK).expect("less than a block");
    out.write_all(&[0; 512][..rest])
}

/// Ends the tar.
pub(super) fn finish(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[0; 1024])
}

fn header(out: &mut impl Write, name: &str, kind: tar::EntryType, mode: u32, size: u64) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(if size > MAX_USTAR_SIZE { 0 } else { size });
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// `LENGTH key=value\n`, where the length counts its own digits.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    format!("{length} {key}={value}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_eleven_octal_digits_are_said_in_pax() {
        assert_eq!(pax_record("size", "8589934592"), "19 size=8589934592\n");
        assert_eq!(pax_record("k", "v"), "6 k=v\n");
        let mut bytes = Vec::new();
        begin_file(&mut bytes, "big", 0o444, 1 << 33).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!((entry.size(), entry.path_bytes().as_ref()), (1 << 33, &b"big"[..]));
    }
}
