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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::maps;
    use proptest::prelude::*;

    const PAGE: u64 = 0x1000;

    /// A library with one section `.PyRuntime`, one exported and one undefined symbol.
    fn small() -> Vec<u8> {
        let names = b"\0.shstrtab\0.dynsym\0.dynstr\0.PyRuntime\0";
        let strings = b"\0_PyRuntime\0Py_Version\0";
        let word = |word: u64| word.to_le_bytes();
        let mut elf = Vec::new();
        elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0");
        let (segments, sections) = (64, 64 + 2 * 56);
        for at in [0, segments, sections] {
            elf.extend(word(at));
        }
        elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 5, 0, 1, 0]);
        for (flags, offset, address) in [(5_u32, 0, 0), (6, PAGE, 0x3000)] {
            elf.extend(1_u32.to_le_bytes());
            elf.extend(flags.to_le_bytes());
            elf.extend([offset, address, address, PAGE, PAGE, PAGE].into_iter().flat_map(word));
        }
        let data = sections + 5 * 64;
        let symbols = data + names.len() as u64;
        let text = symbols + 3 * 24;
        for (name, kind, address, offset, size, link, entry) in [
            (0_u32, 0_u32, 0, 0, 0, 0_u32, 0),
            (1, 3, 0, data, names.len() as u64, 0, 0),
            (11, 11, 0, symbols, 3 * 24, 3, 24),
            (19, 3, 0, text, strings.len() as u64, 0, 0),
            (27, 1, 0x3040, PAGE, 0x100, 0, 0),
        ] {
            elf.extend(name.to_le_bytes());
            elf.extend(kind.to_le_bytes());
            elf.extend([0, address, offset, size].into_iter().flat_map(word));
            elf.extend(link.to_le_bytes());
            elf.extend(0_u32.to_le_bytes());
            elf.extend([1, entry].into_iter().flat_map(word));
        }
        elf.extend(names);
        for (name, section, value) in [(0_u32, 0_u16, 0), (1, 4, 0x3040), (12, 0, 0)] {
            elf.extend(name.to_le_bytes());
            elf.extend([0x11, 0]);
            elf.extend(section.to_le_bytes());
            elf.extend([value, 8].into_iter().flat_map(word));
        }
        elf.extend(strings);
        elf
    }

    fn mapping(start: u64, offset: u64) -> Mapping {
        let text = format!("{start:x}-{:x} rw-p {offset:x} 00:00 1 /lib/a.so\n", start + PAGE);
        maps::parse(&text).remove(0)
    }

    #[test]
    fn finds_sections_and_defined_symbols() {
        let bytes = small();
        let elf = Elf::parse(&bytes[..]).expect("an ELF file");
        assert_eq!(elf.section(".PyRuntime"), Some((0x3040, 0x100)));
        assert_eq!((elf.section(".PyRun"), elf.section("PyRuntime")), (None, None));
        assert_eq!(elf.symbol("_PyRuntime"), Some(0x3040));
        assert_eq!((elf.symbol("Py_Version"), elf.symbol("_PyRun")), (None, None));
    }

    #[test]
    fn finds_where_a_file_was_loaded() {
        let bytes = small();
        let elf = Elf::parse(&bytes[..]).expect("an ELF file");
        let loaded = [mapping(0x7000_0000, 0), mapping(0x7000_3000, PAGE)];
        assert_eq!(elf.bias(&loaded.each_ref()), Some(0x7000_0000));
        // The same file as data, which is mapped in one piece.
        let both =
            [mapping(0x5000_0000, 0), mapping(0x5000_1000, PAGE), loaded[0].clone(), loaded[1].clone()];
        assert_eq!(elf.bias(&both.each_ref()), Some(0x7000_0000));
        assert_eq!((elf.bias(&[&loaded[1]]), elf.bias(&[])), (None, None));
    }

    /// In this process: by the file and by the memory, as the dynamic linker finds it.
    #[test]
    fn finds_the_symbols_of_the_c_library() {
        let maps = maps::read(std::process::id()).expect("maps");
        let libc: Vec<&Mapping> = maps
            .iter()
            .filter(|mapping| mapping.file().is_some_and(|path| path.contains("/libc.so")))
            .collect();
        let Some(first) = libc.first() else { return };
        let pieces = Pieces::new(File::open(first.file().expect("a file")).expect("the C library"));
        let elf = Elf::parse(&pieces).expect("an ELF file");
        let by_file = elf.bias(&libc).expect("a bias") + elf.symbol("getpid").expect("a symbol");
        let memory = File::open("/proc/self/mem").expect("the memory");
        let read = |address, buffer: &mut [u8]| {
            std::os::unix::fs::FileExt::read_exact_at(&memory, buffer, address).is_ok()
        };
        assert_eq!(loaded::exported(&read, first.start, "getpid"), Some(by_file));
        assert_eq!(loaded::exported(&read, first.start, "no_such_function_anywhere"), None);
    }

    proptest! {
        #[test]
        fn survives_any_damage(
            changes in prop::collection::vec((0_usize..700, any::<u8>()), 0..16),
            cut in 0_usize..800,
            fill in any::<u64>(),
        ) {
            let mut bytes = small();
            for (at, byte) in changes {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(cut.max(64));
            if let Some(elf) = Elf::parse(&bytes[..]) {
                let _ = elf.section(".PyRuntime");
                let _ = elf.symbol("Py_Version");
                let _ = elf.bias(&[&mapping(0x7000_0000, 0), &mapping(u64::MAX - 0x2fff, PAGE)]);
            }
            // Loaded at an address, with nonsense all around it.
            let read = |address: u64, buffer: &mut [u8]| {
                for (at, byte) in (address..).zip(buffer) {
                    let in_file = at.checked_sub(PAGE).and_then(|at| bytes.get(at as usize));
                    *byte = in_file.copied().unwrap_or((fill >> (at % 8 * 8)) as u8);
                }
                true
            };
            let _ = loaded::exported(&read, PAGE, "_PyRuntime");
        }
    }
}
