//! The file that an image lies in.

use super::{Facts, Image, PAGE_LEN, PageSet};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;

/// The word that every version begins with, and the version that we write.
const MAGIC: &[u8] = b"async-trace image ";
const VERSION: u32 = 1;

const BLOCK_PAGES: usize = 256;
const PACKED: u32 = 1;
const STORED: u32 = 0;
/// Zlib's: the best that it does in reasonable time.
const LEVEL: u8 = 9;

/// The most that an image may take in memory: twelve times what a process with 100,000 tasks needs.
const MAX_PAGES: u64 = (4 << 30) / PAGE_LEN as u64;
/// The most that the facts may take.
const MAX_FACTS: u64 = 64 << 20;
/// What a page takes at most in a block: its number and its content.
const MAX_ENTRY: usize = 8 + PAGE_LEN;

/// Whether a file begins as an image does.
///
/// # Errors
/// When it cannot be opened.
pub(crate) fn is_image(path: &Path) -> Result<bool> {
    let bad = |reason: &str| Error::BadFile { path: path.to_owned(), reason: reason.to_owned() };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => bad("there is no such file"),
        io::ErrorKind::PermissionDenied => bad("no permission to read it"),
        _ => Error::Io { what: format!("cannot open {}", path.display()), source },
    };
    // Opening a pipe would wait for whoever writes into it.
    let metadata = path.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(bad("it is a directory"));
    }
    if !metadata.is_file() {
        return Err(bad("it is not a regular file"));
    }
    let mut start = Vec::new();
    File::open(path).map_err(failed)?.take(MAGIC.len() as u64).read_to_end(&mut start).map_err(failed)?;
    Ok(start == MAGIC)
}

/// Writes an image.
pub(crate) fn write(facts: &Facts, pages: &PageSet, out: &mut dyn Write) -> io::Result<()> {
    let facts = Facts { pages: pages.len() as u64, ..facts.clone() };
    out.write_all(MAGIC)?;
    writeln!(out, "{VERSION}")?;
    serde_json::to_writer(&mut *out, &facts)?;
    out.write_all(b"\n")?;
    for block in pages.numbers().chunks(BLOCK_PAGES) {
        let (mut numbers, mut contents) = (Vec::new(), Vec::new());
        for &number in block {
            let Some(page) = pages.get(number) else { continue };
            let zero = *page == [0; PAGE_LEN];
            numbers.extend((number << 1 | u64::from(zero)).to_le_bytes());
            if !zero {
                contents.extend_from_slice(page);
            }
        }
        numbers.append(&mut contents);
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(&numbers, LEVEL);
        let size = u32::try_from(packed.len()).map_err(io::Error::other)?;
        for word in [block.len() as u32, PACKED, size] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&packed)?;
    }
    out.write_all(&0u32.to_le_bytes())
}

/// Reads an image. What is damaged behind its facts is lost, and counted.
///
/// # Errors
/// Why it is none that can be used.
pub(crate) fn parse(mut from: impl BufRead) -> Result<Image, String> {
    let failed = |error: io::Error| format!("it cannot be read: {error}");
    let mut first = Vec::new();
    (&mut from).take(MAGIC.len() as u64 + 12).read_until(b'\n', &mut first).map_err(failed)?;
    let version = first.strip_prefix(MAGIC).ok_or("it is not an image made by async-trace")?;
    let version = std::str::from_utf8(version).ok().and_then(|version| version.strip_suffix('\n'));
    match version.and_then(|version| version.parse::<u32>().ok()) {
        Some(VERSION) => {}
        Some(other) => {
            return Err(format!("it is an image of version {other}; a newer async-trace reads it"));
        }
        None => return Err("it is a damaged image".into()),
    }
    let mut line = Vec::new();
    (&mut from).take(MAX_FACTS).read_until(b'\n', &mut line).map_err(failed)?;
    if line.pop() != Some(b'\n') {
        return Err("it is an image that is cut off".into());
    }
    let facts: Facts = serde_json::from_slice(&line)
        .map_err(|error| format!("it is a damaged image: its facts are not readable: {error}"))?;
    let mut pages = PageSet::default();
    let whole = loop {
        match block(&mut from, &mut pages) {
            Ok(true) => {}
            Ok(false) => break true,
            Err(Damaged) => break false,
        }
    };
    let lost = facts.pages.saturating_sub(pages.len() as u64);
    let lost = if whole { lost } else { lost.max(1) };
    Ok(Image { facts, pages, lost })
}

struct Damaged;

impl From<io::Error> for Damaged {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// Reads one block; `false` after the last.
fn block(from: &mut impl Read, pages: &mut PageSet) -> Result<bool, Damaged> {
    let mut word = || -> Result<u32, Damaged> {
        let mut bytes = [0; 4];
        from.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    };
    let count = word()? as usize;
    if count == 0 {
        return Ok(false);
    }
    let (method, size) = (word()?, word()? as usize);
    // What cannot be packed grows a little.
    if count > BLOCK_PAGES || size > 2 * BLOCK_PAGES * MAX_ENTRY {
        return Err(Damaged);
    }
    if pages.len() as u64 + count as u64 > MAX_PAGES {
        return Err(Damaged);
    }
    let mut bytes = Vec::new();
    from.take(size as u64).read_to_end(&mut bytes)?;
    if bytes.len() < size {
        return Err(Damaged);
    }
    let bytes = match method {
        STORED => bytes,
        PACKED => miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&bytes, count * MAX_ENTRY)
            .map_err(|_| Damaged)?,
        _ => return Err(Damaged),
    };
    let (numbers, mut contents) = bytes.split_at_checked(count * 8).ok_or(Damaged)?;
    for number in numbers.chunks_exact(8) {
        let number = u64::from_le_bytes(number.try_into().map_err(|_| Damaged)?);
        let content = if number & 1 == 1 {
            &[0; PAGE_LEN]
        } else {
            let (content, rest) = contents.split_first_chunk().ok_or(Damaged)?;
            contents = rest;
            content
        };
        pages.put(number >> 1, content);
    }
    Ok(true)
}
