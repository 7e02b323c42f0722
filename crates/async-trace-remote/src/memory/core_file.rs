//! A core file: the memory of a process that is no more, or of one that `gcore` looked at.
//!
//! What the kernel left out of it, which are pages of files that were never written to, comes from
//! those files, provided that they are still the same.

mod notes;
#[cfg(test)]
mod tests;

use super::Memory;
use crate::cpython::locate::{Located, locate_dead};
use crate::elf::Pieces;
use crate::error::{Error, Result};
use crate::process::maps::Mapping;
use crate::process::threads::OsThread;
use notes::{FileRange, Notes};
use object::Endianness;
use object::elf::{ET_CORE, FileHeader64, PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramHeader64};
use object::read::elf::{FileHeader, ProgramHeader};
use rustc_hash::FxHashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// A core file.
pub(crate) struct CoreFile {
    path: PathBuf,
    file: File,
    /// When it was written.
    written: Option<SystemTime>,
    /// In order of their addresses.
    segments: Vec<Segment>,
    mappings: Vec<Mapping>,
    /// Ranges of memory that are files, in order.
    ranges: Vec<FileRange>,
    backing: Vec<Backing>,
    process: CoreProcess,
}

/// What a core file says about its process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreProcess {
    /// Its id; 0 where the core does not tell.
    pub pid: u32,
    /// Its user.
    pub uid: Option<u32>,
    /// The path of its executable, or the kernel's name for it.
    pub executable: String,
    /// The command line, cut off by the kernel after 80 bytes.
    pub command: Vec<String>,
    /// The signal that ended it; 0 where it was not a signal.
    pub signal: u32,
    /// Its threads; the first is the one that got the signal.
    pub threads: Vec<OsThread>,
    /// Whether the core is shorter than it says, as after `ulimit -c`.
    pub truncated: bool,
}

/// Memory that is in the core.
struct Segment {
    start: u64,
    /// The end of what is in the file.
    end: u64,
    offset: u64,
}

/// A file that was mapped.
struct Backing {
    path: String,
    /// Whether it had been removed or replaced then already.
    deleted: bool,
    /// The address of its first page, where that was mapped.
    base: Option<u64>,
    file: OnceLock<Option<File>>,
}

impl CoreFile {
    /// Opens a core file. Only its headers and notes are read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bad = |reason: &str| Error::BadFile { path: path.to_owned(), reason: reason.to_owned() };
        let failed = |source| match path.is_dir() {
            true => bad("it is a directory"),
            false => Error::Io { what: format!("cannot open {}", path.display()), source },
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(bad("it is not a regular file"));
        }
        let mut magic = [0; 4];
        if let Err(error) = file.read_exact_at(&mut magic, 0) {
            return Err(if error.kind() == io::ErrorKind::UnexpectedEof {
                bad("it is empty")
            } else {
                failed(error)
            });
        }
        match magic {
            [0x7f, b'E', b'L', b'F'] => {}
            [0x28, 0xb5, 0x2f, 0xfd] => return Err(bad("it is compressed: unpack it with `zstd -d` first")),
            [0x04, 0x22, 0x4d, 0x18] => return Err(bad("it is compressed: unpack it with `lz4 -d` first")),
            [0x1f, 0x8b, ..] => return Err(bad("it is compressed: unpack it with `gunzip` first")),
            [0xfd, b'7', b'z', b'X'] => return Err(bad("it is compressed: unpack it with `unxz` first")),
            _ => return Err(bad("it is not a core file or image")),
        }
        let headers = Pieces::new(file.try_clone().map_err(failed)?);
        let data = &headers;
        let header = FileHeader64::<Endianness>::parse(data)
            .map_err(|_| bad("it is not of a 64-bit process, or damaged"))?;
        let endian = header.endian().map_err(|_| bad("it is damaged"))?;
        if endian != Endianness::Little {
            return Err(bad("it is of a big-endian machine, which is not supported"));
        }
        if header.e_type(endian) != ET_CORE {
            return Err(bad("it is a program or a library, not a core file"));
        }
        let programs =
            header.program_headers(endian, data).map_err(|_| bad("its table of segments is damaged"))?;
        let mut notes = Notes::default();
        for program in programs.iter().filter(|program| program.p_type(endian) == PT_NOTE) {
            if let Ok(Some(found)) = program.notes(endian, data) {
                notes.read(endian, header.e_machine(endian), found);
            }
        }
        let loads = || programs.iter().filter(|program| program.p_type(endian) == PT_LOAD);
        let mut segments: Vec<Segment> = loads().filter_map(|program| segment(endian, program)).collect();
        segments.sort_by_key(|segment| segment.start);
        if segments.is_empty() {
            return Err(bad("it contains no memory"));
        }
        let size = metadata.len();
        let truncated = segments.iter().any(|segment| {
            segment.end > segment.start && segment.offset.saturating_add(segment.end - segment.start) > size
        });

        let (ranges, backing) = backing(&mut notes);
        let mut mappings: Vec<Mapping> = loads().filter_map(|program| mapping(endian, program)).collect();
        mappings.sort_by_key(|mapping| mapping.start);
        add_what_is_only_in_files(&mut mappings, &ranges);
        for mapping in &mut mappings {
            if let Some(range) = find(&ranges, mapping.start) {
                let file = backing.get(range.file);
                mapping.path = file.map(|file| file.path.clone());
                mapping.deleted = file.is_some_and(|file| file.deleted);
                mapping.offset = range.offset + (mapping.start - range.start);
            }
        }
        let executable = notes.program_headers.and_then(|address| find(&ranges, address));
        let executable = executable.and_then(|range| backing.get(range.file)).map(|file| file.path.clone());
        let process = CoreProcess {
            pid: notes.pid,
            uid: notes.uid,
            executable: executable.unwrap_or(notes.name),
            command: notes.command,
            signal: notes.signal,
            threads: notes.threads,
            truncated,
        };
        let written = metadata.modified().ok();
        Ok(Self { path: path.to_owned(), file, written, segments, mappings, ranges, backing, process })
    }

    /// What lay where in the address space.
    #[cfg(test)]
    pub(crate) fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// What the core says about its process.
    pub(crate) fn process(&self) -> &CoreProcess {
        &self.process
    }

    /// Finds CPython in it.
    ///
    /// # Errors
    /// As [`locate_dead`]; and where CPython's own file is not there any more, its name.
    pub(crate) fn locate(&self) -> Result<Located> {
        let CoreProcess { pid, executable, .. } = &self.process;
        locate_dead(*pid, executable, &self.mappings, &reader(self)).map_err(|error| {
            let missing = self.missing_files();
            let needed = |file: &&&str| **file == executable || file.contains("python");
            match (&error, missing.iter().find(needed)) {
                (Error::NotPython { .. }, Some(file)) => Error::BadFile {
                    path: self.path.clone(),
                    reason: format!(
                        "it needs {file} as it was then, and that is gone or not the same any more"
                    ),
                },
                _ => error,
            }
        })
    }

    /// The files with code that were mapped and are gone, or not the same any more. Where Python is
    /// one of them, little can be read.
    pub(crate) fn missing_files(&self) -> Vec<&str> {
        let is_code = |file: &Backing| {
            let same = |mapping: &Mapping| mapping.executable && mapping.path.as_deref() == Some(&file.path);
            self.mappings.iter().any(same)
        };
        let missing = self.backing.iter().filter(|file| self.open_backing(file).is_none());
        missing.filter(|file| is_code(file)).map(|file| file.path.as_str()).collect()
    }

    /// The part of `buf` that is in the core.
    fn read_core(&self, addr: u64, buf: &mut [u8]) -> usize {
        let index = self.segments.partition_point(|segment| segment.start <= addr);
        let Some(segment) = index.checked_sub(1).and_then(|index| self.segments.get(index)) else { return 0 };
        let Some(left) = segment.end.checked_sub(addr) else { return 0 };
        read_at(&self.file, buf, left, segment.offset.checked_add(addr - segment.start))
    }

    /// The part of `buf` that is in a mapped file.
    fn read_backing(&self, addr: u64, buf: &mut [u8]) -> usize {
        let Some(range) = find(&self.ranges, addr) else { return 0 };
        let Some(backing) = self.backing.get(range.file) else { return 0 };
        // A hole between two segments is unmapped, whatever the list of files says.
        let mapped = self.mappings.partition_point(|mapping| mapping.start <= addr);
        let Some(mapping) = mapped.checked_sub(1).and_then(|index| self.mappings.get(index)) else {
            return 0;
        };
        let end = range.end.min(mapping.end).min(self.next_in_core(addr));
        let (Some(left), Some(file)) = (end.checked_sub(addr), self.open_backing(backing)) else { return 0 };
        read_at(file, buf, left, range.offset.checked_add(addr - range.start))
    }

    fn next_in_core(&self, addr: u64) -> u64 {
        let index = self.segments.partition_point(|segment| segment.start <= addr);
        self.segments.get(index).map_or(u64::MAX, |segment| segment.start)
    }

    fn open_backing<'a>(&self, backing: &'a Backing) -> Option<&'a File> {
        backing.file.get_or_init(|| self.try_backing(backing)).as_ref()
    }

    /// The file, if it is the one that was mapped. Its first page is in the core by default; where it
    /// is not, the file must at least not be younger than the core.
    fn try_backing(&self, backing: &Backing) -> Option<File> {
        let metadata = fs::metadata(&backing.path).ok()?;
        // Opening a device or a pipe could block, or do something.
        let file = if metadata.is_file() { File::open(&backing.path).ok()? } else { return None };
        let (mut now, mut then) = ([0; 4096], [0; 4096]);
        let in_core = backing.base.map_or(0, |base| self.read_core(base, &mut then));
        if in_core >= 64 {
            let in_file = file.read_at(&mut now, 0).ok()?;
            let both = in_core.min(in_file);
            (both >= 64 && now.get(..both) == then.get(..both)).then_some(file)
        } else {
            (metadata.modified().ok()? <= self.written?).then_some(file)
        }
    }
}

impl Memory for CoreFile {
    fn read(&self, addr: u64, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = addr.checked_add(done as u64) else { break };
            let got = match self.read_core(at, rest) {
                0 => self.read_backing(at, rest),
                got => got,
            };
            if got == 0 {
                break;
            }
            done += got;
        }
        done
    }
}

/// Reads at most `left` bytes.
fn read_at(file: &File, buf: &mut [u8], left: u64, offset: Option<u64>) -> usize {
    let size = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
    let (Some(buf), Some(offset)) = (buf.get_mut(..size), offset) else { return 0 };
    loop {
        match file.read_at(buf, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome.unwrap_or(0),
        }
    }
}

fn segment(endian: Endianness, program: &ProgramHeader64<Endianness>) -> Option<Segment> {
    let start = program.p_vaddr(endian);
    let size = program.p_filesz(endian).min(program.p_memsz(endian));
    let end = start.checked_add(size)?;
    (size > 0).then_some(Segment { start, end, offset: program.p_offset(endian) })
}

fn mapping(endian: Endianness, program: &ProgramHeader64<Endianness>) -> Option<Mapping> {
    let start = program.p_vaddr(endian);
    let end = start.checked_add(program.p_memsz(endian))?;
    let flags = program.p_flags(endian).0;
    (start < end).then_some(Mapping {
        start,
        end,
        offset: 0,
        readable: flags & PF_R.0 != 0,
        writable: flags & PF_W.0 != 0,
        executable: flags & PF_X.0 != 0,
        path: None,
        deleted: false,
    })
}

/// gdb's `gcore` writes no segment at all for memory that it leaves out, such as code.
fn add_what_is_only_in_files(mappings: &mut Vec<Mapping>, ranges: &[FileRange]) {
    let covered = |address: u64| {
        let index = mappings.partition_point(|mapping| mapping.start <= address);
        index.checked_sub(1).and_then(|index| mappings.get(index)).is_some_and(|m| m.contains(address))
    };
    let left_out: Vec<Mapping> = ranges
        .iter()
        .filter(|range| !covered(range.start))
        // Its rights are not noted. It was not written to, or it would not be left out.
        .map(|range| Mapping {
            start: range.start,
            end: range.end,
            offset: range.offset,
            readable: true,
            writable: false,
            executable: true,
            path: None,
            deleted: false,
        })
        .collect();
    mappings.extend(left_out);
    mappings.sort_by_key(|mapping| mapping.start);
}

/// The ranges in order, and the files that they are of.
fn backing(notes: &mut Notes) -> (Vec<FileRange>, Vec<Backing>) {
    let mut files: Vec<Backing> = Vec::new();
    let mut by_path: FxHashMap<String, usize> = FxHashMap::default();
    let mut ranges = Vec::with_capacity(notes.files.len());
    for (mut range, path) in std::mem::take(&mut notes.files) {
        range.file = *by_path.entry(path).or_insert_with_key(|path| {
            let kept = path.strip_suffix(" (deleted)");
            let path = kept.unwrap_or(path).to_owned();
            files.push(Backing { path, deleted: kept.is_some(), base: None, file: OnceLock::new() });
            files.len() - 1
        });
        if let Some(file) = files.get_mut(range.file).filter(|_| range.offset == 0) {
            file.base.get_or_insert(range.start);
        }
        ranges.push(range);
    }
    ranges.sort_by_key(|range| range.start);
    (ranges, files)
}

fn find(ranges: &[FileRange], addr: u64) -> Option<&FileRange> {
    let index = ranges.partition_point(|range| range.start <= addr);
    ranges.get(index.checked_sub(1)?).filter(|range| addr < range.end)
}

/// As a function that [`locate_dead`] takes.
fn reader(memory: &CoreFile) -> impl Fn(u64, &mut [u8]) -> bool {
    |addr, buf| memory.read(addr, buf) == buf.len()
}
