//! The notes of a core file: who the process was, its threads, which files were mapped where.
//!
//! Structures are those of include/linux/elfcore.h for 64-bit machines.

use crate::process::syscalls::RawSyscall;
use crate::process::threads::OsThread;
use async_trace_core::snapshot::ThreadState;
use object::Endianness;
use object::elf::{EM_X86_64, FileHeader64, Machine, NT_AUXV, NT_FILE, NT_PRPSINFO, NT_PRSTATUS};
use object::read::elf::NoteIterator;

/// A range of memory that is a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileRange {
    pub start: u64,
    pub end: u64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// Which file, by its number.
    pub file: usize,
}

#[derive(Default)]
pub(super) struct Notes {
    pub pid: u32,
    pub uid: Option<u32>,
    pub name: String,
    pub command: Vec<String>,
    pub signal: u32,
    pub threads: Vec<OsThread>,
    pub files: Vec<(FileRange, String)>,
    /// An address within the executable.
    pub program_headers: Option<u64>,
}

impl Notes {
    pub(super) fn read(
        &mut self,
        endian: Endianness,
        machine: Machine,
        mut notes: NoteIterator<'_, FileHeader64<Endianness>>,
    ) {
        while let Ok(Some(note)) = notes.next() {
            let desc = note.desc();
            // The other types with these numbers belong to `LINUX`.
            if note.name() != b"CORE" {
                continue;
            }
            match note.n_type(endian) {
                NT_PRSTATUS => self.thread(machine, desc),
                NT_PRPSINFO => self.process(desc),
                NT_AUXV => self.program_headers = auxiliary(desc, AT_PHDR),
                NT_FILE => self.files = files(desc),
                _ => {}
            }
        }
        // The main thread has the process's id and name.
        if let Some(main) = self.threads.iter_mut().find(|thread| thread.tid == self.pid) {
            main.name.clone_from(&self.name);
        }
    }

    fn process(&mut self, desc: &[u8]) {
        self.uid = u32_at(desc, 16);
        self.pid = u32_at(desc, 24).unwrap_or(0);
        let text = |at: usize, size: usize| {
            let text = desc.get(at..at + size)?.split(|&byte| byte == 0).next()?;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        self.name = text(40, 16).unwrap_or_default();
        // The kernel has joined the words by spaces already.
        let command = text(56, 80).unwrap_or_default();
        self.command = command.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    }

    fn thread(&mut self, machine: Machine, desc: &[u8]) {
        let Some(tid) = u32_at(desc, 32) else { return };
        if self.threads.is_empty() {
            self.signal = u32_at(desc, 12).unwrap_or(0) & 0xffff;
        }
        let time = |at| {
            let seconds = u64_at(desc, at)?.saturating_mul(1_000_000);
            Some(seconds.saturating_add(u64_at(desc, at + 8)?))
        };
        let cpu_us = time(48).unwrap_or(0).saturating_add(time(64).unwrap_or(0));
        let syscall = syscall(machine, desc);
        self.threads.push(OsThread {
            tid,
            name: String::new(),
            // It is not noted, and the registers alone do not tell for sure.
            state: ThreadState::Unknown,
            cpu_us,
            syscall,
        });
    }
}

/// The system call that the thread was in, from its registers.
fn syscall(machine: Machine, desc: &[u8]) -> Option<RawSyscall> {
    const REGISTERS: usize = 112;
    let register = |index: usize| u64_at(desc, REGISTERS + index * 8);
    // On aarch64 x8 is the number during a call, and anything at any other time.
    if machine != EM_X86_64 || !cfg!(target_arch = "x86_64") {
        return None;
    }
    // struct user_regs_struct: orig_rax, and rdi, rsi, rdx, r10, r8, r9.
    let number = register(15)?;
    let args = [register(14)?, register(13)?, register(12)?, register(7)?, register(9)?, register(8)?];
    (number < 1024).then_some(RawSyscall { number, args })
}

/// The address of the program headers, which lie in the executable's first page.
const AT_PHDR: u64 = 3;

fn auxiliary(desc: &[u8], kind: u64) -> Option<u64> {
    desc.chunks_exact(16).find(|entry| u64_at(entry, 0) == Some(kind)).and_then(|entry| u64_at(entry, 8))
}

/// `count, page size, count × (start, end, page), count × name\0`
fn files(desc: &[u8]) -> Vec<(FileRange, String)> {
    let (Some(count), Some(page)) = (u64_at(desc, 0), u64_at(desc, 8)) else { return Vec::new() };
    let table = usize::try_from(count).ok().and_then(|count| count.checked_mul(24)?.checked_add(16));
    let Some((table, names)) = table.and_then(|end| desc.split_at_checked(end)) else { return Vec::new() };
    let entries = table.get(16..).unwrap_or_default().chunks_exact(24);
    let names = names.split(|&byte| byte == 0);
    let range = |entry: &[u8]| {
        let range = FileRange {
            start: u64_at(entry, 0)?,
            end: u64_at(entry, 8)?,
            offset: u64_at(entry, 16)?.checked_mul(page)?,
            file: 0,
        };
        // So that no later sum can overflow.
        let fits = range.start < range.end && range.offset.checked_add(range.end - range.start).is_some();
        fits.then_some(range)
    };
    let named = entries.zip(names).filter(|(_, name)| !name.is_empty());
    named
        .filter_map(|(entry, name)| Some((range(entry)?, String::from_utf8_lossy(name).into_owned())))
        .collect()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..)?.get(..8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn reads_the_list_of_files() {
        let mut desc = words(&[2, 4096, 0x1000, 0x3000, 0, 0x3000, 0x4000, 2]);
        desc.extend(b"/usr/bin/python\0/usr/bin/python\0");
        let found = files(&desc);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].0, FileRange { start: 0x3000, end: 0x4000, offset: 0x2000, file: 0 });
        assert_eq!(found[1].1, "/usr/bin/python");
    }

    #[test]
    fn believes_no_absurd_number() {
        assert_eq!(files(&words(&[u64::MAX, 4096])), []);
        assert_eq!(files(&words(&[1 << 60, 4096, 1, 2, 3])), []);
        let mut desc = words(&[1, u64::MAX, 0x1000, 0x3000, 2]);
        desc.extend(b"/a\0");
        assert_eq!(files(&desc), []);
        let mut desc = words(&[1, 1, 0, u64::MAX, 1]);
        desc.extend(b"/a\0");
        assert_eq!(files(&desc), []);
    }

    #[test]
    fn finds_the_executable() {
        assert_eq!(auxiliary(&words(&[6, 4096, 3, 0x40_0040, 0, 0]), AT_PHDR), Some(0x40_0040));
        assert_eq!(auxiliary(&words(&[6, 4096, 3]), AT_PHDR), None);
    }
}
