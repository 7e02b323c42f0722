//! Finds CPython in processes of every interpreter on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod target;

use async_trace_remote::cpython::locate::locate;
use async_trace_remote::process::maps;
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
