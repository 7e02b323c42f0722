//! Core files of real interpreters, and files that only look like one.

#[path = "../../../tests/target/mod.rs"]
#[allow(missing_docs)]
mod target;

use super::CoreFile;
use crate::memory::Memory;
use crate::process::maps;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use target::{Target, interpreters, memory};

/// A directory that is removed with all that is in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("async-trace-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PROGRAM: &str = "
import ctypes, os, sys, asyncio, threading
at = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, '_PyRuntime'))
marker = ctypes.create_string_buffer(b'a marker in the heap')
threading.Thread(target=sys.stdin.read, daemon=True, name='reader').start()
print('READY', hex(at), sys.version.split()[0], ctypes.addressof(marker), flush=True)
import time
while True: time.sleep(600)
";

/// Checks a core of [`PROGRAM`].
fn check(core: &Path, told: &[String], pid: u32, python: &Path) {
    let core = CoreFile::open(core).expect("a core file");
    let process = core.process();
    assert_eq!((process.pid, process.truncated), (pid, false));
    assert_eq!(Path::new(&process.executable), python);
    assert_eq!(process.command.first().map(String::as_str), python.to_str());
    assert_eq!(process.threads.len(), 2);
    assert!(process.threads.iter().any(|thread| thread.tid == pid));
    assert_eq!(core.missing_files(), [""; 0]);
    let located = core.locate().expect("CPython");
    assert_eq!(format!("{:#x}", located.runtime), told[0]);
    assert_eq!(located.version.to_string(), told[1].trim_end_matches('+'));
    assert_eq!(located.asyncio_debug.is_some(), located.version.at_least(3, 14));
    let mut marker = [0; 20];
    assert_eq!(core.read(told[2].parse().expect("an address"), &mut marker), 20);
    assert_eq!(&marker, b"a marker in the heap");
}

#[test]
fn reads_what_gcore_writes() {
    if Command::new("gcore").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return eprintln!("skipped: gcore (of gdb) is not installed");
    }
    let scratch = Scratch::new("gcore");
    for python in interpreters() {
        let (target, told) = Target::python(&python, PROGRAM);
        let pid = target.pid();
        let path = scratch.0.join("core");
        let mut gcore = Command::new("gcore");
        gcore.arg("-o").arg(&path).arg(pid.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(gcore.status().expect("gcore").success());
        let path = scratch.0.join(format!("core.{pid}"));
        check(&path, &told, pid, &python);

        // What is never written to is the same in the process, in the core and in the files.
        let core = CoreFile::open(&path).expect("a core file");
        let live = memory(pid);
        let mut compared = 0;
        for mapping in maps::read(pid).expect("maps") {
            let (mut now, mut then) = ([0; 5000], [0; 5000]);
            let start = mapping.start + mapping.len() / 2;
            let size = now.len().min((mapping.end - start) as usize);
            if mapping.file().is_some() && !mapping.writable && live(start, &mut now[..size]) {
                assert_eq!(core.read(start, &mut then[..size]), size, "{mapping:x?}");
                assert!(now == then, "{mapping:x?}");
                compared += 1;
            }
        }
        assert!(compared > 10);
        fs::remove_file(path).expect("a file");
    }
}

#[test]
fn reads_the_core_of_a_crash() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if !pattern.trim_end().starts_with("core") || pattern.contains('%') {
        return eprintln!("skipped: cores do not go to the working directory here");
    }
    let scratch = Scratch::new("crash");
    for python in interpreters() {
        let mut command = Command::new("sh");
        command.current_dir(&scratch.0).args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]);
        let (mut target, told) = Target::start(command.arg(&python).args(["-c", PROGRAM]));
        let pid = target.pid();
        let pid_t = nix::unistd::Pid::from_raw(pid.cast_signed());
        nix::sys::signal::kill(pid_t, nix::sys::signal::Signal::SIGABRT).expect("a signal");
        let status = target.child.wait().expect("a status");
        if !std::os::unix::process::ExitStatusExt::core_dumped(&status) {
            return eprintln!("skipped: the kernel writes no cores here");
        }
        let path = ["core".into(), format!("core.{pid}")].map(|name| scratch.0.join(name));
        let path = path.iter().find(|path| path.exists()).expect("a core file");
        check(path, &told, pid, &python);
        let core = CoreFile::open(path).expect("a core file");
        assert_eq!(core.process().signal, 6);
        let sleeper = core.process().threads.iter().find(|thread| thread.tid == pid).expect("a thread");
        let call = sleeper.syscall.and_then(|call| call.name());
        assert!(cfg!(not(target_arch = "x86_64")) || call.is_some(), "{sleeper:?}");

        // Cut off by a limit: what is there is read, and nothing else.
        let size = fs::metadata(path).expect("a size").len();
        let file = fs::File::options().write(true).open(path).expect("a file");
        file.set_len(size / 2).expect("a cut");
        let core = CoreFile::open(path).expect("a core file");
        assert!(core.process().truncated);
        let _ = core.locate();
        fs::remove_file(path).expect("a file");
    }
}

#[test]
fn names_the_file_without_which_it_cannot_be_read() {
    if Command::new("gcore").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return eprintln!("skipped: gcore (of gdb) is not installed");
    }
    let scratch = Scratch::new("gone");
    // The oldest, which needs the file, and the newest, whose cookie is in the core.
    let pythons = interpreters();
    for python in [pythons.first(), pythons.last()].into_iter().flatten() {
        let (target, _) = Target::python(python, PROGRAM);
        let maps = maps::read(target.pid()).expect("maps");
        let libpython =
            maps.iter().filter_map(|mapping| mapping.file()).find(|path| path.contains("/libpython3"));
        // Its own files are the executable, and the library where there is one.
        let copies: Vec<PathBuf> =
            [python.to_str(), libpython].into_iter().flatten().map(PathBuf::from).collect();
        let copies: Vec<PathBuf> = copies
            .iter()
            .map(|file| {
                let copy = scratch.0.join(file.file_name().expect("a name"));
                fs::copy(file, &copy).expect("a copy");
                copy
            })
            .collect();
        let mut command = Command::new(&copies[0]);
        command.env("PYTHONHOME", python.parent().and_then(Path::parent).expect("a home"));
        command.env("LD_LIBRARY_PATH", &scratch.0).args(["-c", PROGRAM]);
        let (target, told) = Target::start(&mut command);
        let pid = target.pid();
        let mut gcore = Command::new("gcore");
        gcore.arg("-o").arg(scratch.0.join("core")).arg(pid.to_string());
        assert!(gcore.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("gcore").success());
        let path = scratch.0.join(format!("core.{pid}"));
        // Replaced by another file of the same name, as an upgrade does.
        for copy in &copies {
            fs::remove_file(copy).expect("a file");
            fs::copy("/bin/sh", copy).expect("a file");
        }
        let core = CoreFile::open(&path).expect("a core file");
        let missing: Vec<&Path> = core.missing_files().into_iter().map(Path::new).collect();
        assert!(copies.iter().all(|copy| missing.contains(&copy.as_path())), "{missing:?}");
        match core.locate() {
            // By the cookie, which is in the core.
            Ok(located) => assert_eq!(format!("{:#x}", located.runtime), told[0]),
            Err(error) => {
                let minor: u32 =
                    told[1].split('.').nth(1).and_then(|minor| minor.parse().ok()).expect("a version");
                assert!(minor < 13, "{told:?}: {error}");
                assert!(error.to_string().contains("it needs "), "{error}");
            }
        }
        fs::remove_file(path).expect("a file");
    }
}

#[test]
fn says_what_is_wrong_with_other_files() {
    let scratch = Scratch::new("other");
    let reason = |content: &[u8]| {
        let path = scratch.0.join("file");
        fs::write(&path, content).expect("a file");
        CoreFile::open(&path)
            .err()
            .expect("an error")
            .to_string()
            .rsplit_once(": ")
            .expect("a reason")
            .1
            .to_owned()
    };
    assert_eq!(reason(b""), "it is empty");
    assert_eq!(reason(b"hello"), "it is not a core file or image");
    assert_eq!(reason(b"\x28\xb5\x2f\xfd..."), "unpack it with `zstd -d` first");
    assert_eq!(reason(b"\x7fELF"), "it is not of a 64-bit process, or damaged");
    let program = fs::read("/proc/self/exe").expect("this program");
    assert_eq!(reason(&program), "it is a program or a library, not a core file");
    assert_eq!(CoreFile::open(&scratch.0).err().expect("an error").code(), "bad-file");
    assert_eq!(CoreFile::open(&scratch.0.join("none")).err().expect("an error").code(), "io");
}

/// A small core: one segment of data, one that is only in a file, and notes.
fn small() -> Vec<u8> {
    let mut notes = Vec::new();
    let mut note = |kind: u32, desc: &[u8]| {
        for word in [5, desc.len() as u32, kind] {
            notes.extend(word.to_le_bytes());
        }
        notes.extend(b"CORE\0\0\0\0");
        notes.extend(desc);
        notes.resize(notes.len().next_multiple_of(4), 0);
    };
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut status = vec![0; 336];
    status[32] = 77;
    note(1, &status);
    let mut info = vec![0; 136];
    info[24] = 77;
    info[40..46].copy_from_slice(b"python");
    info[56..64].copy_from_slice(b"python x");
    note(3, &info);
    let mut files = words(&[1, 4096, 0x20000, 0x22000, 0]);
    files.extend(b"/proc/self/exe\0");
    note(0x4649_4c45, &files);

    let mut core = Vec::new();
    core.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    core.extend([4, 0, 62, 0, 1, 0, 0, 0]);
    core.extend(words(&[0, 64, 0]));
    core.extend([0, 0, 0, 0, 64, 0, 56, 0, 3, 0, 64, 0, 0, 0, 0, 0]);
    let data = 64 + 3 * 56 + notes.len() as u64;
    for (kind, flags, offset, address, in_file, in_memory) in [
        (4_u32, 0_u32, 64 + 3 * 56, 0, notes.len() as u64, 0),
        (1, 6, data, 0x10000, 256, 4096),
        (1, 5, data + 256, 0x20000, 0, 0x2000),
    ] {
        core.extend(kind.to_le_bytes());
        core.extend(flags.to_le_bytes());
        core.extend(words(&[offset, address, 0, in_file, in_memory, 4]));
    }
    core.extend(notes);
    core.extend((0..=255).collect::<Vec<u8>>());
    core
}

#[test]
fn reads_no_further_than_the_core_goes() {
    let scratch = Scratch::new("small");
    let path = scratch.0.join("core");
    fs::write(&path, small()).expect("a file");
    let core = CoreFile::open(&path).expect("a core file");
    assert_eq!((core.process().pid, core.process().threads.len()), (77, 1));
    assert_eq!(core.process().command, ["python", "x"]);
    assert_eq!(core.process().threads[0].name, "python");
    let mut buf = [0; 300];
    assert_eq!(core.read(0x10000, &mut buf), 256);
    assert_eq!(buf[255], 255);
    assert_eq!(core.read(0x100f0, &mut buf), 16);
    for outside in [0, 0x10100, 0x11000, 0x1ffff, 0x30000, u64::MAX] {
        assert_eq!(core.read(outside, &mut buf), 0, "{outside:#x}");
    }
    // The file is what its name leads to now, and it is older than the core.
    assert_eq!(core.read(0x20000, &mut buf[..4]), 4);
    assert_eq!(&buf[..4], b"\x7fELF");
    assert_eq!(core.mappings()[1].path.as_deref(), Some("/proc/self/exe"));
}

proptest! {
    #[test]
    fn survives_any_damage(
        changes in prop::collection::vec((0_usize..700, any::<u8>()), 0..12),
        cut in 0_usize..900,
        addr in prop_oneof![any::<u64>(), 0x0_u64..0x40000],
    ) {
        let scratch = Scratch::new("damage");
        let path = scratch.0.join("core");
        let mut bytes = small();
        for (at, byte) in changes {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut.max(64));
        fs::write(&path, bytes).expect("a file");
        if let Ok(core) = CoreFile::open(&path) {
            let mut buf = [0; 600];
            prop_assert!(core.read(addr, &mut buf) <= buf.len());
            core.missing_files();
            let _ = core.locate();
        }
    }
}
