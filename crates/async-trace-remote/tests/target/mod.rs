//! Python processes to read: every interpreter found on this machine, running a program that says READY.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, dead_code)]

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The interpreters found: `python3.9` … `python3.15` on the PATH, of pyenv, and in the directories
/// that `ASYNC_TRACE_PYTHONS` names (separated by colons).
pub fn interpreters() -> Vec<PathBuf> {
    let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
    let mut places: Vec<PathBuf> = Vec::new();
    for variable in ["ASYNC_TRACE_PYTHONS", "PATH"] {
        places.extend(env::split_paths(&env::var_os(variable).unwrap_or_default()));
    }
    places.push(home.join(".cache/async-pythons/usr/bin"));
    if let Ok(entries) = fs::read_dir(home.join(".pyenv/versions")) {
        places.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for minor in 9..=15 {
        for suffix in ["", "t"] {
            let name = format!("python3.{minor}{suffix}");
            // The shims of pyenv are scripts.
            let candidates = places.iter().map(|place| place.join(&name));
            let real = candidates.filter_map(|path| fs::canonicalize(path).ok());
            for path in real.filter(|path| !path.to_string_lossy().contains("shims")) {
                if !found.contains(&path) {
                    found.push(path);
                }
            }
        }
    }
    if found.is_empty() {
        eprintln!("skipped: no Python found");
    }
    found
}

/// A running program, killed when dropped.
pub struct Target {
    pub child: Child,
    pub out: BufReader<ChildStdout>,
    pub stdin: Option<ChildStdin>,
}

impl Target {
    /// Starts `command` and waits for its first line, which must begin with READY; the rest of it is
    /// returned as words.
    pub fn start(command: &mut Command) -> (Self, Vec<String>) {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the target starts");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let mut words = line.split_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("READY"), "{command:?}: {line:?}");
        let words = words.collect();
        (Self { child, out, stdin }, words)
    }

    /// Starts a Python program.
    pub fn python(interpreter: &PathBuf, program: &str) -> (Self, Vec<String>) {
        Self::start(Command::new(interpreter).args(["-c", program]))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a line and returns the line that comes back.
    pub fn ask(&mut self, question: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{question}").unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the memory of a live process.
pub fn memory(pid: u32) -> impl Fn(u64, &mut [u8]) -> bool {
    let file = fs::File::open(format!("/proc/{pid}/mem")).expect("the memory can be read");
    move |address, buffer| file.read_exact_at(buffer, address).is_ok()
}
