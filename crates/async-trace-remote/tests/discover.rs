//! Finds Python processes, and examines one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod target;

use async_trace_remote::discover::python_processes;
use async_trace_remote::doctor::{Status, examine};
use target::{Target, interpreters};

const PROGRAM: &str = "
import sys, asyncio
print('READY', sys.version.split()[0], flush=True)
sys.stdin.read()
";

#[test]
fn finds_every_python_process() {
    let targets: Vec<_> = interpreters().iter().map(|python| Target::python(python, PROGRAM)).collect();
    let other = Target::start(std::process::Command::new("sh").args(["-c", "echo READY; read line"])).0;
    let start = std::time::Instant::now();
    let found = python_processes();
    eprintln!("{} processes in {:?}", found.len(), start.elapsed());
    for (target, told) in &targets {
        let found = found.iter().find(|found| found.pid == target.pid()).expect("the process");
        assert!(found.readable && found.executable.contains("python"));
        assert_eq!(found.version.unwrap().to_string(), told[0].trim_end_matches('+'));
        assert_eq!(found.command[1], "-c");
    }
    assert!(found.windows(2).all(|pair| pair[0].pid < pair[1].pid));
    assert!(!found.iter().any(|found| [other.pid(), std::process::id()].contains(&found.pid)));
}

#[test]
fn examines_processes() {
    let report = examine(u32::MAX >> 1);
    assert_eq!((report.status(), report.checks[0].name), (Status::Fail, "process"));
    let Some(python) = interpreters().pop() else { return };
    let (target, _) = Target::python(&python, PROGRAM);
    let report = examine(target.pid());
    assert_eq!(report.status(), Status::Ok, "{report:#?}");
    for name in ["memory", "pause", "python"] {
        assert!(report.checks.iter().any(|check| check.name == name), "{name}");
    }
    let other = Target::start(std::process::Command::new("sh").args(["-c", "echo READY; read line"])).0;
    let report = examine(other.pid());
    let python = report.checks.iter().find(|check| check.name == "python").unwrap();
    assert_eq!(python.status, Status::Fail, "{python:?}");
}

/// For a look by hand: `EXAMINE=PID cargo test --test discover -- --ignored --nocapture`.
#[test]
#[ignore = "prints a report"]
fn prints_a_report() {
    let Some(pid) = std::env::var("EXAMINE").ok() else { return };
    for check in examine(pid.parse().unwrap()).checks {
        eprintln!("{:?} {}: {} {}", check.status, check.name, check.sentence, check.fix.unwrap_or_default());
    }
    for found in python_processes() {
        eprintln!("{found:?}");
    }
}
