//! Looks an exported symbol up in the memory of a loaded ELF file, as the dynamic linker does.
//!
//! This is the way that is left when the file itself is gone or out of reach: deleted by an upgrade,
//! unpacked into a directory that was removed, on the other side of a container's wall.

use object::elf::{DT_GNU_HASH, DT_NULL, DT_STRTAB, DT_SYMTAB, PT_DYNAMIC, PT_LOAD, gnu_hash};

/// Reads memory: fills the buffer from the address, or says that it cannot.
pub type Read<'a> = &'a dyn Fn(u64, &mut [u8]) -> bool;

const MAX_SEGMENTS: u16 = 128;
const MAX_DYNAMIC: u64 = 512;
/// Chains of the hash table have a few entries.
const MAX_CHAIN: u64 = 1024;

fn bytes<const N: usize>(read: Read<'_>, address: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    read(address, &mut bytes).then_some(bytes)
}

fn u64_at(read: Read<'_>, address: u64) -> Option<u64> {
    bytes(read, address).map(u64::from_ne_bytes)
}

fn u32_at(read: Read<'_>, address: u64) -> Option<u32> {
    bytes(read, address).map(u32::from_ne_bytes)
}

/// The address of the symbol `name` that the file loaded at `base` exports. `base` is where its
/// first page lies.
pub fn exported(read: Read<'_>, base: u64, name: &str) -> Option<u64> {
    let header: [u8; 64] = bytes(read, base)?;
    if !header.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let word = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes);
    let half = |at: usize| header.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes);
    let (table, size, count) = (base.checked_add(word(32)?)?, u64::from(half(54)?), half(56)?);
    let mut bias = None;
    let mut dynamic = None;
    for i in 0..u64::from(count.min(MAX_SEGMENTS)) {
        let at = table.checked_add(i * size)?;
        let kind = u32_at(read, at)?;
        let address = u64_at(read, at.checked_add(16)?)?;
        if kind == PT_LOAD.0 && bias.is_none() {
            let offset = u64_at(read, at.checked_add(8)?)?;
            bias = Some(base.wrapping_add(offset).wrapping_sub(address));
        } else if kind == PT_DYNAMIC.0 {
            dynamic = Some(address);
        }
    }
    let bias = bias?;
    let dynamic = bias.wrapping_add(dynamic?);

    let (mut hashes, mut symbols, mut strings) = (None, None, None);
    for i in 0..MAX_DYNAMIC {
        let at = dynamic.checked_add(i * 16)?;
        let tag = u64_at(read, at)?.cast_signed();
        // glibc has added the bias to these addresses already, musl has not.
        let value = u64_at(read, at.checked_add(8)?)?;
        let value = if value < bias { value.wrapping_add(bias) } else { value };
        if tag == DT_NULL.0 {
            break;
        } else if tag == DT_GNU_HASH.0 {
            hashes = Some(value);
        } else if tag == DT_SYMTAB.0 {
            symbols = Some(value);
        } else if tag == DT_STRTAB.0 {
            strings = Some(value);
        }
    }
    let (hashes, symbols, strings) = (hashes?, symbols?, strings?);

    let buckets = u64::from(u32_at(read, hashes)?);
    let first = u64::from(u32_at(read, hashes.checked_add(4)?)?);
    let filter = u64::from(u32_at(read, hashes.checked_add(8)?)?);
    let bucket_table = hashes.checked_add(16 + filter * 8)?;
    let chain_table = bucket_table.checked_add(buckets * 4)?;
    let wanted = gnu_hash(name.as_bytes());
    let bucket = u64::from(wanted).checked_rem(buckets)?;
    let start = u64::from(u32_at(read, bucket_table.checked_add(bucket * 4)?)?);
    for index in start..start.saturating_add(MAX_CHAIN) {
        let hash = u32_at(read, chain_table.checked_add(index.checked_sub(first)? * 4)?)?;
        if hash | 1 == wanted | 1 {
            let symbol: [u8; 24] = bytes(read, symbols.checked_add(index * 24)?)?;
            let at = u64::from(u32::from_ne_bytes(symbol.get(..4)?.try_into().ok()?));
            let defined = symbol.get(6..8)? != [0, 0];
            let mut text = vec![0; name.len() + 1];
            if defined
                && read(strings.checked_add(at)?, &mut text)
                && text.strip_suffix(b"\0") == Some(name.as_bytes())
            {
                let value = u64::from_ne_bytes(symbol.get(8..16)?.try_into().ok()?);
                return Some(bias.wrapping_add(value));
            }
        }
        if hash & 1 == 1 {
            break;
        }
    }
    None
}
