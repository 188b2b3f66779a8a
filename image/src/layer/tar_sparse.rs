//! Maps of sparse files in archives of GNU tar: where the stored bytes belong.

use super::tar::BLOCK;
use super::tar_reader::{TarError, field, number};

/// A file in more pieces than this is an attack.
pub(super) const MAX_EXTENTS: usize = 1 << 16;

/// A run of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) length: u64,
}

/// The map in a header of type `S`: extents, the file's size, and whether more blocks of the map follow.
pub(super) fn old_gnu(header: &tar::Header) -> Result<(Vec<Extent>, u64, bool), TarError> {
    let gnu =
        header.as_gnu().ok_or_else(|| TarError::Malformed("a sparse file in a foreign format".to_owned()))?;
    let mut extents = Vec::new();
    push(&mut extents, &gnu.sparse)?;
    Ok((extents, field(gnu.real_size(), "size")?, gnu.is_extended()))
}

/// A further block of the map; whether yet another follows.
pub(super) fn old_gnu_more(block: &[u8; BLOCK], extents: &mut Vec<Extent>) -> Result<bool, TarError> {
    let mut more = tar::GnuExtSparseHeader::new();
    more.as_mut_bytes().copy_from_slice(block);
    push(extents, &more.sparse)?;
    Ok(more.is_extended())
}

/// Offsets and lengths in turn.
pub(super) fn map<'a>(numbers: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Extent>, TarError> {
    let numbers = numbers.map(number).collect::<Result<Vec<_>, _>>()?;
    if numbers.len() % 2 != 0 || numbers.len() / 2 > MAX_EXTENTS {
        return Err(TarError::Malformed("a sparse map of a wrong length".to_owned()));
    }
    Ok(numbers.chunks_exact(2).map(|pair| Extent { offset: pair[0], length: pair[1] }).collect())
}

/// The extents are in order, inside of the file, and as long as what is stored.
pub(super) fn check(extents: &[Extent], stored: u64, size: u64) -> Result<(), TarError> {
    let mut end: u64 = 0;
    let mut sum: u64 = 0;
    for extent in extents {
        let next =
            extent.offset.checked_add(extent.length).filter(|next| extent.offset >= end && *next <= size);
        end = next.ok_or_else(|| TarError::Malformed("a sparse map that contradicts itself".to_owned()))?;
        sum += extent.length;
    }
    if sum == stored {
        Ok(())
    } else {
        Err(TarError::Malformed("a sparse map that contradicts its content".to_owned()))
    }
}

fn push(extents: &mut Vec<Extent>, sparse: &[tar::GnuSparseHeader]) -> Result<(), TarError> {
    for header in sparse.iter().filter(|header| !header.is_empty()) {
        if extents.len() >= MAX_EXTENTS {
            return Err(TarError::Malformed("a sparse map that is too long".to_owned()));
        }
        let (offset, length) = (field(header.offset(), "map")?, field(header.length(), "map")?);
        extents.push(Extent { offset, length });
    }
    Ok(())
}
