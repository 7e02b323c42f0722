//! Finds CPython in processes of every interpreter on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod target;

use async_trace_remote::cpython::locate::{locate, locate_dead};
use async_trace_remote::process::maps;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use target::{Target, interpreters, memory};

/// Says where its runtime is, as the dynamic linker knows it, and which version it is.
const PROGRAM: &str = "
import ctypes, sys, asyncio
at = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, '_PyRuntime'))
print('READY', hex(at), sys.version.split()[0], hasattr(sys, '_is_gil_enabled') and 't' in sys.abiflags, flush=True)
sys.stdin.read()
";

#[test]
fn finds_the_runtime_and_the_version() {
    for python in interpreters() {
        let (target, told) = Target::python(&python, PROGRAM);
        let maps = maps::read(target.pid()).unwrap();
        let read = memory(target.pid());
        let start = std::time::Instant::now();
        let located = locate(target.pid(), &maps, &read).unwrap();
        eprintln!("{python:?} {:?} {located:x?}", start.elapsed());
        assert_eq!(format!("{:#x}", located.runtime), told[0], "{python:?}");
        assert_eq!(located.version.to_string(), told[1].trim_end_matches('+'), "{python:?}");
        assert_eq!(located.free_threaded, told[2] == "True", "{python:?}");
        assert_eq!(located.debug_offsets.is_some(), located.version.at_least(3, 13), "{python:?}");
        assert_eq!(located.asyncio_debug.is_some(), located.version.at_least(3, 14), "{python:?}");
    }
}

/// A copy of the interpreter's own files that can be deleted under it.
struct Copy {
    directory: PathBuf,
    executable: PathBuf,
}

impl Copy {
    fn of(python: &Path, libpython: Option<&str>) -> Self {
        let name = python.file_name().unwrap();
        let unique = format!("async-trace-{}-{}", name.to_string_lossy(), std::process::id());
        let directory = std::env::temp_dir().join(unique);
        fs::create_dir_all(&directory).unwrap();
        let executable = directory.join(name);
        fs::copy(python, &executable).unwrap();
        if let Some(library) = libpython.map(Path::new) {
            fs::copy(library, directory.join(library.file_name().unwrap())).unwrap();
        }
        Self { directory, executable }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn finds_the_runtime_of_deleted_files() {
    for python in interpreters() {
        let home = python.parent().unwrap().parent().unwrap();
        let (target, _) = Target::python(&python, PROGRAM);
        let maps = maps::read(target.pid()).unwrap();
        let libpython =
            maps.iter().filter_map(|mapping| mapping.file()).find(|path| path.contains("/libpython3"));
        let copy = Copy::of(&python, libpython);
        let mut command = Command::new(&copy.executable);
        command.env("PYTHONHOME", home).env("LD_LIBRARY_PATH", &copy.directory).args(["-c", PROGRAM]);
        let (target, told) = Target::start(&mut command);
        drop(copy);

        let maps = maps::read(target.pid()).unwrap();
        let read = memory(target.pid());
        let located = locate(target.pid(), &maps, &read).unwrap();
        assert!(maps.iter().any(|mapping| mapping.deleted && mapping.path.as_ref() == Some(&located.file)));
        assert_eq!(format!("{:#x}", located.runtime), told[0], "{python:?}");
        assert_eq!(located.version.to_string(), told[1].trim_end_matches('+'), "{python:?}");

        // As one who may not follow the kernel's links to deleted files: from the memory alone.
        let located = locate_dead(0, &located.file, &maps, &read).unwrap();
        assert_eq!(format!("{:#x}", located.runtime), told[0], "{python:?}");
        assert_eq!(located.version.to_string(), told[1].trim_end_matches('+'), "{python:?}");
    }
}

#[test]
fn finds_the_runtime_behind_another_mount_namespace() {
    let Some(python) = interpreters().pop() else { return };
    let home = python.parent().unwrap().parent().unwrap();
    // There the interpreter has a path that does not exist here.
    let hidden = std::env::temp_dir().join(format!("async-trace-mount-{}", std::process::id()));
    fs::create_dir_all(&hidden).unwrap();
    let script = "mount --bind \"$1\" \"$2\" && exec \"$2/bin/$3\" -c \"$4\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(home)
        .arg(&hidden)
        .arg(python.file_name().unwrap());
    let permitted = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !permitted.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: no right to make a mount namespace");
    }
    let (target, told) = Target::start(command.arg(PROGRAM));
    let maps = maps::read(target.pid()).unwrap();
    let located = locate(target.pid(), &maps, &memory(target.pid())).unwrap();
    assert!(Path::new(&located.file).starts_with(&hidden) && !Path::new(&located.file).exists());
    assert_eq!(format!("{:#x}", located.runtime), told[0]);
    assert_eq!(located.asyncio_debug.is_some(), located.version.at_least(3, 14));
    drop(target);
    fs::remove_dir(&hidden).unwrap();
}

#[test]
fn says_that_other_programs_are_not_python() {
    let (target, _) = Target::start(Command::new("sh").args(["-c", "echo READY; read line"]));
    let maps = maps::read(target.pid()).unwrap();
    let error = locate(target.pid(), &maps, &memory(target.pid())).unwrap_err();
    assert_eq!(error.code(), "not-python");
    let error = locate(target.pid(), &[], &|_, _| false).unwrap_err();
    assert_eq!(error.code(), "not-python");
}
