//! The demo runs to its end, and leaves nothing behind however it ends.

#![allow(clippy::unwrap_used)] // clippy knows functions that are tests, not those they call

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_async-trace"));
    command.args(["demo", "--width", "80", "--color", "never"]);
    command
}

/// A machine without Python has nothing to read; where Python is required, its absence is an error.
fn has_python() -> bool {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("CI").is_none(), "there is no python3 on the PATH");
    found
}

fn directory_of(pid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("async-trace-demo-{pid}"))
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn shows_the_deadlock_and_cleans_up() {
    if !has_python() {
        return;
    }
    let child = demo().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let directory = directory_of(child.id());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()), "{said}");
    for part in [
        "GET /stock            200 OK ",
        "POST /checkout        no answer",
        "DEADLOCK: 2 tasks wait for each other",
        "for Lock self.till_lock",
        "held by task POST /checkout at shop.py:",
        "5 more tasks wait behind it: GET /stock\n",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert!(!directory.exists());
}

#[test]
fn leaves_nothing_behind_when_it_is_killed() {
    if !has_python() {
        return;
    }
    let mut child = demo().stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let pid = lines.find_map(|line| {
        let line = line.unwrap();
        line.strip_prefix("It is process ")?.split_once(',').map(|(pid, _)| pid.to_owned())
    });
    let shop = Path::new("/proc").join(pid.unwrap());
    let directory = directory_of(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the shop did not end", || !shop.exists());
    wait_until("the shop's directory is still there", || !directory.exists());
}
