//! What an ELF file says: where it was loaded, where a section or a symbol lies.
//!
//! Files come from the target and are not trusted. Only headers and the tables that are asked for
//! are read, so that looking at a 30 MB executable costs a few system calls.

pub mod loaded;

use crate::process::maps::Mapping;
use object::elf::{FileHeader64, PT_LOAD, ProgramHeader64, SHT_DYNSYM, SHT_SYMTAB};
use object::elf::{SectionHeader64, Sym64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, ReadCache, ReadRef};
use std::fs::File;
use std::ops::Range;

/// No table that we ask for is larger in any real file: the symbols of a debug build have 5 MB.
const MAX_TABLE: u64 = 64 << 20;

/// A file that is read piece by piece, none of them larger than [`MAX_TABLE`], whatever its headers claim.
pub struct Pieces(ReadCache<File>);

impl Pieces {
    /// Reads from `file`.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self(ReadCache::new(file))
    }
}

impl<'a> ReadRef<'a> for &'a Pieces {
    fn len(self) -> Result<u64, ()> {
        (&self.0).len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size > MAX_TABLE { Err(()) } else { (&self.0).read_bytes_at(offset, size) }
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        (&self.0).read_bytes_at_until(range, delimiter)
    }
}

/// A 64-bit ELF file.
pub struct Elf<'data, R: ReadRef<'data>> {
    data: R,
    endian: Endianness,
    segments: &'data [ProgramHeader64<Endianness>],
    sections: &'data [SectionHeader64<Endianness>],
    section_names: &'data [u8],
}

impl<'data, R: ReadRef<'data>> Elf<'data, R> {
    /// Reads the headers. Nothing where this is no 64-bit ELF file.
    pub fn parse(data: R) -> Option<Self> {
        let header = FileHeader64::<Endianness>::parse(data).ok()?;
        let endian = header.endian().ok()?;
        let segments = header.program_headers(endian, data).ok()?;
        // A file whose section headers were cut off is still good for its segments.
        let sections = header.section_headers(endian, data).unwrap_or_default();
        let section_names = header
            .shstrndx(endian, data)
            .ok()
            .and_then(|index| sections.get(usize::try_from(index).ok()?))
            .and_then(|section| section.data(endian, data).ok())
            .unwrap_or_default();
        Some(Self { data, endian, segments, sections, section_names })
    }

    /// How far the file was moved when it was loaded: what to add to an address of the file.
    ///
    /// A file may be mapped more than once (read as data by the program itself, by `dlmopen`): the
    /// mapping counts with which most of its segments agree.
    pub fn bias(&self, mappings: &[&Mapping]) -> Option<u64> {
        let loads = || self.segments.iter().filter(|segment| segment.p_type(self.endian) == PT_LOAD);
        let placed = |segment: &ProgramHeader64<Endianness>, mapping: &Mapping| {
            let into = segment.p_offset(self.endian).checked_sub(mapping.offset)?;
            let bias = mapping.start.wrapping_add(into).wrapping_sub(segment.p_vaddr(self.endian));
            (into < mapping.len()).then_some(bias)
        };
        let first = loads().next()?;
        let mut best = None;
        for bias in mappings.iter().filter_map(|mapping| placed(first, mapping)) {
            let agree = loads()
                .filter(|segment| mappings.iter().any(|mapping| placed(segment, mapping) == Some(bias)))
                .count();
            if best.is_none_or(|(_, most)| agree > most) {
                best = Some((bias, agree));
            }
        }
        best.map(|(bias, _)| bias)
    }

    /// The address and size of a section, as the file has it.
    pub fn section(&self, name: &str) -> Option<(u64, u64)> {
        let section = self.sections.iter().find(|section| {
            let at = usize::try_from(section.sh_name(self.endian)).unwrap_or(usize::MAX);
            names(self.section_names, at, name)
        })?;
        Some((section.sh_addr(self.endian), section.sh_size(self.endian)))
    }

    /// The value of a symbol that is defined here, as the file has it; exported symbols first.
    ///
    /// Undefined symbols, which have the value 0, are what an extension module has of `_PyRuntime`.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        [SHT_DYNSYM, SHT_SYMTAB].into_iter().find_map(|kind| {
            let table = self.sections.iter().find(|section| section.sh_type(self.endian) == kind)?;
            let symbols: &[Sym64<Endianness>] = table.data_as_array(self.endian, self.data).ok()?;
            let strings = self.sections.get(table.link(self.endian).0)?;
            let strings = strings.data(self.endian, self.data).ok()?;
            symbols
                .iter()
                .filter(|symbol| !symbol.is_undefined(self.endian))
                .find(|symbol| {
                    let at = usize::try_from(symbol.st_name(self.endian)).unwrap_or(usize::MAX);
                    names(strings, at, name)
                })
                .map(|symbol| symbol.st_value(self.endian))
        })
    }
}

/// Whether the NUL-terminated string at `at` is `name`.
fn names(strings: &[u8], at: usize, name: &str) -> bool {
    strings
        .get(at..)
        .and_then(|rest| rest.strip_prefix(name.as_bytes()))
        .is_some_and(|rest| rest.first() == Some(&0))
}
