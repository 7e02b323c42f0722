//! `/proc/PID/maps`: what lies where in the address space.

use std::fs;
use std::io::{self, Read};

/// The kernel allows 65,530 mappings by default; a process with 100 times that many is not believed.
const MAX_BYTES: u64 = 1 << 30;

/// One mapping of the address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// Whether it can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether it can be executed.
    pub executable: bool,
    /// The file, or a name in brackets such as `[heap]`; nothing for anonymous memory.
    pub path: Option<String>,
    /// Whether that file has been removed, or replaced by another of the same name.
    pub deleted: bool,
}

impl Mapping {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it is empty, which the kernel never reports.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `address` lies in it.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// The path of the file it maps; not `[stack]` and the like.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.path.as_deref().filter(|path| path.starts_with('/'))
    }
}

/// The mappings of process `pid`, in order of their addresses.
///
/// # Errors
/// When the file cannot be read: the process is gone, or not ours.
pub fn read(pid: u32) -> io::Result<Vec<Mapping>> {
    let mut bytes = Vec::with_capacity(32 * 1024);
    fs::File::open(format!("/proc/{pid}/maps"))?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(parse(&String::from_utf8_lossy(&bytes)))
}

/// Parses the text of `/proc/PID/maps`. Lines that make no sense are left out.
#[must_use]
pub fn parse(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Mapping> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let (flags, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let (_device, rest) = rest.split_once(' ')?;
    // The inode is followed by padding and the path, or by nothing (older kernels: by one space).
    let path = rest.split_once(' ').map_or("", |(_inode, path)| path.trim_start_matches(' '));
    let (path, deleted) = match path.strip_suffix(" (deleted)") {
        Some(path) => (path, true),
        None => (path, false),
    };
    let start = u64::from_str_radix(start, 16).ok()?;
    let end = u64::from_str_radix(end, 16).ok()?;
    let flags = flags.as_bytes();
    (start < end && flags.len() >= 3).then(|| Mapping {
        start,
        end,
        offset: u64::from_str_radix(offset, 16).unwrap_or(0),
        readable: flags.first() == Some(&b'r'),
        writable: flags.get(1) == Some(&b'w'),
        executable: flags.get(2) == Some(&b'x'),
        // A newline is the one character that the kernel escapes here.
        path: (!path.is_empty()).then(|| path.replace("\\012", "\n")),
        deleted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
00400000-00420000 r--p 00000000 fe:00 131                                /usr/bin/python3.14
00420000-00921000 r-xp 00020000 fe:00 131                                /usr/bin/python3.14
00c5b000-00dd3000 rw-p 0085a000 fe:00 131                                /opt/my app/python (deleted)
1f2c3000-1f301000 rw-p 00000000 00:00 0                                  [heap]
7f31a0000000-7f31a0021000 rw-p 00000000 00:00 0 
7f31a0021000-7f31a4000000 ---p 00000000 00:00 0
7f31a5000000-7f31a5001000 rw-s 00000000 00:01 7                          /memfd:a\\012b (deleted)
";

    #[test]
    fn reads_every_kind_of_line() {
        let maps = parse(TEXT);
        assert_eq!(maps.len(), 7);
        assert_eq!((maps[1].start, maps[1].end, maps[1].offset), (0x420000, 0x921000, 0x20000));
        assert!(maps[1].readable && !maps[1].writable && maps[1].executable && !maps[1].deleted);
        assert_eq!(maps[2].path.as_deref(), Some("/opt/my app/python"));
        assert!(maps[2].deleted && maps[2].writable);
        assert_eq!((maps[3].path.as_deref(), maps[3].file()), (Some("[heap]"), None));
        assert_eq!((&maps[4].path, &maps[5].path), (&None, &None));
        assert!(!maps[5].readable);
        assert_eq!(maps[6].file(), Some("/memfd:a\nb"));
    }

    #[test]
    fn leaves_out_what_makes_no_sense() {
        assert_eq!(parse("hello\n\n2-1 r--p 0 0:0 0\nzz-1 r--p 0 0:0 0\n1-2 r 0 0:0 0\n"), []);
    }

    #[test]
    fn knows_this_process() {
        let here = TEXT.as_ptr() as u64;
        let maps = read(std::process::id()).expect("maps of this process");
        assert!(maps.windows(2).all(|pair| pair[0].end <= pair[1].start));
        assert!(maps.iter().any(|mapping| mapping.readable && mapping.contains(here)));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,300}", cut in 0..TEXT.len()) {
            let _ = parse(&text);
            let _ = parse(&TEXT[..cut]);
        }
    }
}
