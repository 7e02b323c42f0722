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
