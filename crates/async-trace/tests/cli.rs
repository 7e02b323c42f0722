//! The command as a user meets it: exit codes, stdout and stderr to the letter.
#![allow(clippy::unwrap_used)] // clippy knows functions that are tests, not those they call

use std::io::Read;
use std::process::{Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_async-trace"));
    command.args(arguments).env_remove("COLUMNS").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// Exit code, stdout and stderr in one text.
fn seen(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().map_or("a signal".to_owned(), |code| code.to_string());
    format!("exit {code}\n{}--\n{}", text(&output.stdout), text(&output.stderr))
}

fn run(arguments: &[&str]) -> String {
    seen(&command(arguments).output().unwrap())
}

#[test]
fn says_what_why_and_what_to_do_when_there_is_no_such_process() {
    // Larger than any process id that Linux gives out.
    insta::assert_snapshot!(run(&["dump", "4194999"]), @r"
    exit 2
    --
    error: there is no process 4194999 [no-such-process]
    hint: `async-trace ps` lists the Python processes that can be read
    ");
}

#[test]
fn a_word_is_neither_process_nor_file() {
    insta::assert_snapshot!(run(&["dump", "gunicorn"]), @r"
    exit 2
    --
    error: invalid value 'gunicorn' for '<PID|FILE>': this is neither the id of a process nor a file; `async-trace ps` lists the ids

    For more information, try '--help'.
    ");
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let output = command(&["dump", "1", "--json", "--filter", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be used with"));
}

#[test]
fn the_demo_says_what_it_needs() {
    insta::assert_snapshot!(run(&["demo", "--python", "/no/such/python"]), @r"
    exit 2
    --
    error: `/no/such/python` cannot be started: No such file or directory (os error 2) [no-python]
    hint: name an interpreter: `async-trace demo --python /path/to/python3`
    ");
}

#[test]
fn an_error_is_coloured_only_when_asked_for() {
    let output = command(&["--color", "always", "dump", "4194999"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("\x1b[1m\x1b[31merror:\x1b[0m there"));
}

#[test]
fn names_of_files_cannot_touch_the_terminal() {
    let seen = run(&["dump", "./\x1b[31mcore\n"]);
    assert!(seen.contains("./\\x1b[31mcore\\n"), "{seen}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["schema"]).stdout(full).output().unwrap();
    insta::assert_snapshot!(seen(&output), @r"
    exit 2
    --
    error: cannot write the output: No space left on device (os error 28) [output]
    hint: check the disk and the permissions, then run it again
    ");
}

#[test]
fn help_goes_to_stdout_and_is_no_error() {
    let output = command(&["dump", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    assert!(String::from_utf8_lossy(&output.stdout).contains("Examples:"));
}

#[test]
fn the_doctor_knows_who_is_not_there() {
    assert!(
        run(&["doctor", "4194999"])
            .starts_with("exit 2\n--\nerror: there is no process 4194999 [no-such-process]")
    );
}

#[test]
fn the_doctor_says_what_keeps_us_from_reading_ourselves_as_python() {
    // This test is no Python process.
    let seen = run(&["doctor", &std::process::id().to_string()]);
    assert!(seen.starts_with("exit 1\n") && seen.contains("this process cannot be read"), "{seen}");
}

#[test]
fn recordings_say_what_is_wrong_with_them() {
    let dir = std::env::temp_dir().join(format!("async-trace-cli-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(dir.join(name), bytes).unwrap();
    };
    file("page.html", b"<html>");
    file("newer.recording", b"\x89ATR\r\n\x1a\n\x63\0");
    let version = async_trace_core::recording::VERSION.to_le_bytes();
    file("begun.recording", &[b"\x89ATR\r\n\x1a\n", &version[..]].concat());
    let seen = |arguments: &[&str]| seen(&command(arguments).current_dir(&dir).output().unwrap());
    let report = |name: &str| seen(&["report", name, "--format", "folded"]);
    insta::assert_snapshot!(report("./page.html"), @"
    exit 2
    --
    error: ./page.html cannot be read as a recording: it does not begin as a recording does [not-a-recording]
    hint: `async-trace record PID -o FILE` makes one; images and core files are for `async-trace dump`
    ");
    insta::assert_snapshot!(report("newer.recording"), @"
    exit 2
    --
    error: newer.recording cannot be read as a recording: it is of version 99 of the format; this is version 6 [recording-version]
    hint: read it with the version of async-trace that recorded it, or with a newer one
    ");
    insta::assert_snapshot!(report("begun.recording"), @"
    exit 2
    --
    error: begun.recording cannot be read as a recording: it ends too early [recording-damaged]
    hint: its very beginning is damaged, so that nothing can be read
    ");
    insta::assert_snapshot!(report("missing.recording"), @"
    exit 2
    --
    error: cannot read missing.recording: No such file or directory (os error 2) [file]
    hint: name a file that exists and can be read
    ");
    insta::assert_snapshot!(report("4194999"), @"
    exit 2
    --
    error: this is made from a recording, not from process 4194999 [needs-recording]
    hint: make one: `async-trace record 4194999 -d 30s -o 4194999.recording`
    ");
    insta::assert_snapshot!(seen(&["diff", "./page.html"]), @"
    exit 2
    --
    error: there is nothing to compare ./page.html with [nothing-to-compare]
    hint: name a second one: `async-trace diff BEFORE AFTER`; only a recording has both in it
    ");
    insta::assert_snapshot!(seen(&["record", "4194999"]), @"
    exit 2
    --
    error: there is no process 4194999 [no-such-process]
    hint: `async-trace ps` lists the Python processes that can be read
    ");
    insta::assert_snapshot!(seen(&["record", "--", "/no/such/program"]), @"
    exit 2
    --
    error: `/no/such/program` cannot be started: No such file or directory (os error 2) [no-command]
    hint: name a program as you would start it yourself, after `--`
    ");
    insta::assert_snapshot!(seen(&["record", "-o", "/no/such/dir/x", "--", "sleep", "0"]), @"
    exit 2
    --
    error: cannot write /no/such/dir/x: No such file or directory (os error 2) [file]
    hint: name a file that can be written: `-o FILE`
    ");
    insta::assert_snapshot!(seen(&["record", "-o", "x.recording", "--", "sh", "-c", "exit 3"]), @"
    exit 2
    --
    error: `sh` was not recorded: it ended before asyncio ran in it [not-recorded]
    hint: start it yourself and record it by its id: `async-trace ps`, `async-trace doctor PID`
    ");
    assert!(!dir.join("x.recording").exists());
    std::fs::remove_dir_all(&dir).unwrap();
}
