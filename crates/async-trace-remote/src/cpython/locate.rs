//! Finds the runtime of CPython in a process: `_PyRuntime`, from which everything else is reached.
//!
//! The rules, best first: the section `.PyRuntime` (3.10+; it survives `strip`), the exported symbol
//! `_PyRuntime`, the symbol table, and for a file that is out of reach the cookie `xdebugpy` with
//! which the structure begins (3.13+). Names of files are hints for the order and nothing more:
//! servers that embed Python are not called python.

use super::Version;
use crate::elf::{Elf, Pieces, loaded};
use crate::error::{Error, Result};
use crate::process::maps::Mapping;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Read as _;

pub use crate::elf::loaded::Read;

/// Where CPython lies in a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The address of `_PyRuntime`.
    pub runtime: u64,
    /// The version.
    pub version: Version,
    /// The address of `_AsyncioDebug` (3.14+). Absent as long as `_asyncio` is not imported.
    pub asyncio_debug: Option<u64>,
    /// Whether the build has no GIL.
    pub free_threaded: bool,
    /// The address of `_Py_DebugOffsets` (3.13+), which is that of the runtime.
    pub debug_offsets: Option<u64>,
    /// Whether the names of mapped files speak of a `Py_DEBUG` build.
    pub debug_build: bool,
    /// The file that contains the runtime.
    pub file: String,
}

/// `_Py_DebugOffsets` begins with it.
const COOKIE: &[u8; 8] = b"xdebugpy";
/// What is scanned for the cookie or a version in one mapping, and in all.
const MAX_SCAN: u64 = 64 << 20;
const CHUNK: usize = 1 << 18;

/// Finds CPython in the live process `pid`.
///
/// # Errors
/// [`Error::NotPython`] where there is none, [`Error::UnsupportedVersion`] where there is one without
/// a `_PyRuntime` (3.6 and earlier).
pub fn locate(pid: u32, maps: &[Mapping], read: Read<'_>) -> Result<Located> {
    let executable = fs::read_link(format!("/proc/{pid}/exe"))
        .map(|path| path.to_string_lossy().trim_end_matches(" (deleted)").to_owned())
        .unwrap_or_default();
    Search::new(Some(pid), &executable, maps, read).run()
}

/// As [`locate`], without the search through all memory that is its last resort: for a look at every
/// process of the machine.
pub(crate) fn glance(pid: u32, executable: &str, maps: &[Mapping], read: Read<'_>) -> Option<Located> {
    Search::new(Some(pid), executable, maps, read).by_file()
}

/// Finds CPython in memory whose process is no more, such as a core file.
///
/// # Errors
/// As [`locate`].
pub fn locate_dead(pid: u32, executable: &str, maps: &[Mapping], read: Read<'_>) -> Result<Located> {
    Search::new(None, executable, maps, read).run().map_err(|error| match error {
        Error::NotPython { executable, .. } => Error::NotPython { pid, executable },
        Error::UnsupportedVersion { version, .. } => Error::UnsupportedVersion { pid, version },
        error => error,
    })
}

/// A file that is mapped.
struct Module<'a> {
    path: &'a str,
    mappings: Vec<&'a Mapping>,
}

impl Module<'_> {
    /// Where its first page lies.
    fn base(&self) -> Option<u64> {
        self.mappings.iter().find(|mapping| mapping.offset == 0).map(|mapping| mapping.start)
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

struct Search<'a> {
    pid: Option<u32>,
    executable: &'a str,
    maps: &'a [Mapping],
    modules: Vec<Module<'a>>,
    read: Read<'a>,
}

impl<'a> Search<'a> {
    fn new(pid: Option<u32>, executable: &'a str, maps: &'a [Mapping], read: Read<'a>) -> Self {
        let mut modules: Vec<Module<'a>> = Vec::new();
        let mut by_path: FxHashMap<&str, usize> = FxHashMap::default();
        for mapping in maps {
            let Some(path) = mapping.file() else { continue };
            let index = *by_path.entry(path).or_insert_with(|| {
                modules.push(Module { path, mappings: Vec::new() });
                modules.len() - 1
            });
            if let Some(module) = modules.get_mut(index) {
                module.mappings.push(mapping);
            }
        }
        // Data files have no code; a process may map thousands of them.
        modules.retain(|module| module.mappings.iter().any(|mapping| mapping.executable));
        modules.sort_by_key(|module| {
            let name = module.name();
            (module.path != executable, !name.starts_with("libpython"), !name.contains("python"))
        });
        Self { pid, executable, maps, modules, read }
    }

    fn run(&self) -> Result<Located> {
        self.by_file().or_else(|| self.scan_for_cookie()).ok_or_else(|| self.not_found())
    }

    fn by_file(&self) -> Option<Located> {
        let mut second_best = None;
        for (module, runtime) in self.candidates() {
            let Some(located) = self.examine(module, runtime) else { continue };
            // An executable may contain a Python of its own and load an extension that drags in
            // another libpython, which then stays unused.
            if self.in_use(&located) {
                return Some(located);
            }
            second_best.get_or_insert(located);
        }
        second_best
    }

    fn candidates(&self) -> impl Iterator<Item = (&Module<'a>, u64)> {
        let first = self.modules.iter().filter_map(|module| {
            let runtime = self
                .in_file(module, |elf| elf.section(".PyRuntime").map(|(address, _)| address))
                .or_else(|| loaded::exported(self.read, module.base()?, "_PyRuntime"))?;
            Some((module, runtime))
        });
        // Whole symbol tables are large. They are needed for 3.9 in a file that exports nothing.
        let second = self
            .modules
            .iter()
            .filter(|module| module.path == self.executable || module.name().contains("python"))
            .filter_map(|module| Some((module, self.in_file(module, |elf| elf.symbol("_PyRuntime"))?)));
        first.chain(second).filter(|&(_, runtime)| self.bytes::<8>(runtime).is_some())
    }

    /// Looks something up in the module's file and says where it was loaded.
    fn in_file(&self, module: &Module<'a>, find: impl Fn(&Elf<'_, &Pieces>) -> Option<u64>) -> Option<u64> {
        let pieces = self.open(module)?;
        let elf = Elf::parse(&pieces)?;
        let address = find(&elf)?;
        Some(elf.bias(&module.mappings)?.wrapping_add(address))
    }

    /// Opens the file that is mapped: of that name as the target sees it, else as we see it, else by
    /// the kernel's own links, which lead to deleted files too.
    fn open(&self, module: &Module<'a>) -> Option<Pieces> {
        let path = module.path;
        let Some(pid) = self.pid else { return self.open_path(module, path) };
        if path == self.executable
            && let Some(file) = self.open_path(module, &format!("/proc/{pid}/exe"))
        {
            return Some(file);
        }
        if !module.mappings.iter().any(|mapping| mapping.deleted)
            && let Some(file) = self
                .open_path(module, &format!("/proc/{pid}/root{path}"))
                .or_else(|| self.open_path(module, path))
        {
            return Some(file);
        }
        let first = module.mappings.first()?;
        self.open_path(module, &format!("/proc/{pid}/map_files/{:x}-{:x}", first.start, first.end))
    }

    /// Opens the file if it is the one that is mapped: a container may have another one under the
    /// same name, and an upgrade may have replaced it.
    fn open_path(&self, module: &Module<'a>, path: &str) -> Option<Pieces> {
        let mut file = File::open(path).ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut here = Vec::with_capacity(4096);
        (&mut file).take(4096).read_to_end(&mut here).ok()?;
        let mut there = vec![0; here.len()];
        if let Some(base) = module.base()
            && (self.read)(base, &mut there)
            && here != there
        {
            return None;
        }
        here.starts_with(b"\x7fELF").then(|| Pieces::new(file))
    }

    fn bytes<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.read)(address, &mut bytes).then_some(bytes)
    }

    fn u64(&self, address: u64) -> Option<u64> {
        self.bytes(address).map(u64::from_le_bytes)
    }

    fn examine(&self, module: &Module<'a>, runtime: u64) -> Option<Located> {
        let mut located = Located {
            runtime,
            version: Version::new(3, 0, 0),
            asyncio_debug: None,
            free_threaded: false,
            debug_offsets: None,
            debug_build: self.modules.iter().any(|module| is_debug_build(module.name())),
            file: module.path.to_owned(),
        };
        if self.bytes(runtime).as_ref() == Some(COOKIE) {
            self.read_cookie(&mut located)?;
        } else {
            located.version = self.version(module)?;
        }
        if located.version.at_least(3, 14) {
            located.asyncio_debug = self.asyncio_debug(module);
        }
        Some(located)
    }

    fn read_cookie(&self, located: &mut Located) -> Option<()> {
        let hex = self.u64(located.runtime.checked_add(8)?)?;
        located.version = Version::from_hex(u32::try_from(hex).ok()?)?;
        located.free_threaded = match self.u64(located.runtime.checked_add(16)?)? {
            0 => false,
            1 => true,
            _ => return None,
        };
        located.debug_offsets = Some(located.runtime);
        Some(())
    }

    /// The version where the runtime does not say it (3.12 and earlier).
    fn version(&self, module: &Module<'a>) -> Option<Version> {
        // 3.11+
        let value = |address| Version::from_hex(u32::from_le_bytes(self.bytes(address)?));
        let exported = || loaded::exported(self.read, module.base()?, "Py_Version").and_then(value);
        let hidden = || self.in_file(module, |elf| elf.symbol("Py_Version")).and_then(value);
        // `Py_GetVersion` keeps the text of `sys.version` in a buffer of its own, which compilers align.
        let banner = |step: usize| {
            self.scan(self.data_of(module), |_, bytes| {
                (0..bytes.len()).step_by(step).find_map(|at| {
                    let rest = bytes.get(at..).filter(|rest| rest.starts_with(b"3."))?;
                    let begins = at == 0 || bytes.get(at - 1) == Some(&0);
                    Version::from_banner(rest).filter(|_| begins)
                })
            })
        };
        let name = || {
            let others = self.modules.iter().map(|module| module.path);
            std::iter::once(module.path).chain(others).find_map(Version::from_path)
        };
        exported().or_else(|| banner(8)).or_else(hidden).or_else(|| banner(1)).or_else(name)
    }

    /// The writable memory of a module: mapped from its file, and the zeroed part that follows.
    fn data_of<'s>(&'s self, module: &'s Module<'a>) -> impl Iterator<Item = &'s Mapping> {
        let mut belongs = false;
        self.maps.iter().filter(move |mapping| {
            belongs = match mapping.file() {
                Some(path) => path == module.path,
                None => belongs && mapping.path.is_none(),
            };
            belongs && mapping.writable
        })
    }

    /// Shows the content of mappings to `find`, piece by piece, each with its address. Pieces overlap
    /// by a little.
    fn scan<'m, T>(
        &self,
        mappings: impl Iterator<Item = &'m Mapping>,
        find: impl Fn(u64, &[u8]) -> Option<T>,
    ) -> Option<T> {
        const OVERLAP: u64 = 64;
        let mut buffer = vec![0; CHUNK];
        let mut left = MAX_SCAN;
        for mapping in mappings.filter(|mapping| mapping.readable) {
            let mut at = mapping.start;
            while at < mapping.end && left > 0 {
                let size = usize::try_from(mapping.end - at).unwrap_or(CHUNK).min(CHUNK);
                let piece = buffer.get_mut(..size)?;
                left = left.saturating_sub(size as u64);
                if (self.read)(at, piece)
                    && let Some(found) = find(at, piece)
                {
                    return Some(found);
                }
                at = at.checked_add(size as u64)?;
                if at < mapping.end {
                    at -= OVERLAP;
                }
            }
        }
        None
    }

    /// The last resort: a file that we cannot open and that exports nothing, or no file at all.
    fn scan_for_cookie(&self) -> Option<Located> {
        let (files, rest): (Vec<_>, Vec<_>) =
            self.maps.iter().filter(|mapping| mapping.writable).partition(|mapping| mapping.file().is_some());
        // The word may also occur in a string of a program like this one; a version must follow.
        let runtime = self.scan(files.into_iter().chain(rest), |at, bytes| {
            let words = bytes.chunks_exact(8);
            words.zip(bytes.chunks_exact(8).skip(1)).zip(0..).find_map(|((word, next), i)| {
                let hex = u64::from_le_bytes(next.try_into().ok()?);
                let version = (word == COOKIE).then(|| Version::from_hex(u32::try_from(hex).ok()?))??;
                version.at_least(3, 13).then_some(at + 8 * i)
            })
        })?;
        let home = self
            .modules
            .iter()
            .find(|module| module.mappings.iter().any(|mapping| mapping.contains(runtime)));
        let nameless = Module { path: "", mappings: Vec::new() };
        self.examine(home.unwrap_or(&nameless), runtime)
    }

    fn asyncio_debug(&self, runtime: &Module<'a>) -> Option<u64> {
        let section = |module: &Module<'a>| {
            self.in_file(module, |elf| elf.section(".AsyncioDebug").map(|(address, _)| address))
        };
        let shared = self.modules.iter().filter(|module| module.name().starts_with("_asyncio."));
        shared.chain(std::iter::once(runtime)).find_map(section)
    }

    /// Whether an interpreter has been made from this runtime.
    fn in_use(&self, located: &Located) -> bool {
        match located.debug_offsets {
            // `runtime_state.interpreters_head`
            Some(offsets) => offsets
                .checked_add(40)
                .and_then(|address| self.u64(address))
                .and_then(|offset| self.u64(located.runtime.checked_add(offset)?))
                .is_some_and(|head| head != 0),
            // It begins with the flags "preinitializing", "preinitialized", "core_initialized", …
            None => self.bytes::<16>(located.runtime).is_some_and(|flags| flags != [0; 16]),
        }
    }

    fn not_found(&self) -> Error {
        let pid = self.pid.unwrap_or(0);
        let old = self
            .modules
            .iter()
            .filter(|module| module.path == self.executable || module.name().starts_with("libpython"))
            .find_map(|module| Version::from_path(module.name()))
            .filter(|version| !version.at_least(3, 7));
        match old {
            Some(version) => {
                Error::UnsupportedVersion { pid, version: format!("{}.{}", version.major, version.minor) }
            }
            None => Error::NotPython { pid, executable: self.executable.to_owned() },
        }
    }
}

/// `libpython3.11d.so.1.0`, `_asyncio.cpython-311d-x86_64-linux-gnu.so`.
fn is_debug_build(name: &str) -> bool {
    let after = |prefix: &str| {
        let rest = name.split_once(prefix)?.1.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        Some(rest.trim_start_matches('t').starts_with('d'))
    };
    after(".cpython-").or_else(|| after("libpython")).unwrap_or(false)
}
