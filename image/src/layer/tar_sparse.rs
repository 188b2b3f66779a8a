//! Maps of sparse files in archives of GNU tar: where the stored bytes belong.

use super::tar::BLOCK;
use super::tar_reader::{TarError, number, numeric};

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

/// Of an extent in a header: two numbers of twelve bytes.
const EXTENT: usize = 24;

/// The map in a header of type `S`: extents, the file's size, and whether more blocks of the map follow.
pub(super) fn old_gnu(block: &[u8; BLOCK]) -> Result<(Vec<Extent>, u64, bool), TarError> {
    let mut extents = Vec::new();
    push(&mut extents, &block[386..482])?;
    Ok((extents, size(&block[483..495])?, block[482] != 0))
}

/// A further block of the map; whether yet another follows.
pub(super) fn old_gnu_more(block: &[u8; BLOCK], extents: &mut Vec<Extent>) -> Result<bool, TarError> {
    push(extents, &block[..504])?;
    Ok(block[504] != 0)
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

fn push(extents: &mut Vec<Extent>, map: &[u8]) -> Result<(), TarError> {
    for extent in map.chunks_exact(EXTENT).filter(|extent| extent[0] != 0) {
        if extents.len() >= MAX_EXTENTS {
            return Err(TarError::Malformed("a sparse map that is too long".to_owned()));
        }
        let (offset, length) = extent.split_at(EXTENT / 2);
        extents.push(Extent { offset: size(offset)?, length: size(length)? });
    }
    Ok(())
}

fn size(field: &[u8]) -> Result<u64, TarError> {
    let value = numeric(field, "sparse map")?;
    u64::try_from(value).map_err(|_| TarError::Malformed("a sparse map with a negative number".to_owned()))
}
