//! `async-trace ps`: the Python processes of this machine that run asyncio, a line each.
//!
//! ```text
//! $ async-trace ps
//!  PID  PYTHON  LOOP     TASKS  STATE       COMMAND
//! 4711  3.11.7  asyncio     12  idle        python3 bank.py
//! 4720  3.13.0  uvloop     317  BUSY 4.2 s  gunicorn shop.web:app -k uvicorn.workers.UvicornWorker
//! ```

use crate::args::PsArguments;
use crate::output::Output;
use crate::{Outcome, Result};
use async_trace_core::render::tree::command;
use async_trace_core::render::{Role, Table, units};
use async_trace_core::snapshot::{EventLoop, LoopState, SCHEMA, Snapshot};
use async_trace_remote::discover::{Found, python_processes};
use serde_json::json;

pub(crate) fn run(arguments: &PsArguments, output: &mut Output) -> Result<Outcome> {
    // A look at all of them must not stop any.
    let options = async_trace_remote::Options { pause: false, ..async_trace_remote::Options::default() };
    let processes = python_processes().into_iter().map(|found| {
        let read = async_trace_remote::capture(found.pid, &options);
        Process { found, read }
    });
    let (shown, others): (Vec<_>, Vec<_>) = processes.partition(|p| arguments.all || p.runs_asyncio());
    if arguments.json {
        output.data(|out| {
            for process in &shown {
                writeln!(out, "{}", process.json())?;
            }
            Ok(())
        })?;
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(&["PID", "PYTHON", "LOOP", "TASKS", "STATE", "COMMAND"]);
    for process in &shown {
        table.row(process.row());
    }
    let (width, ascii) = (output.width(), output.ascii());
    if table.is_empty() {
        output.note("no Python process with asyncio was found");
    } else {
        output.draw(|paper| table.draw(paper, width, ascii))?;
    }
    let refused = others.iter().filter(|p| p.read.is_err()).count() as u64;
    let plain = others.len() as u64 - refused;
    for (n, what) in [(plain, "without asyncio"), (refused, "that cannot be read")] {
        if n > 0 {
            let process = if n == 1 { "process" } else { "processes" };
            output.note(&format!("{} Python {process} {what} not listed; --all lists all", units::number(n)));
        }
    }
    Ok(Outcome::Done)
}

struct Process {
    found: Found,
    read: async_trace_remote::Result<Snapshot>,
}

impl Process {
    fn runs_asyncio(&self) -> bool {
        self.read.as_ref().is_ok_and(|s| s.process.asyncio && !(s.loops.is_empty() && s.tasks.is_empty()))
    }

    fn python(&self) -> String {
        match (&self.read, self.found.version) {
            (Ok(snapshot), _) => snapshot.process.python.to_string(),
            (Err(_), Some(version)) => version.to_string(),
            (Err(_), None) => "?".into(),
        }
    }

    fn row(&self) -> [(Role, String); 6] {
        let (kind, tasks, (role, state)) = match &self.read {
            Ok(snapshot) if snapshot.loops.is_empty() => {
                ("-".into(), "-".into(), (Role::Library, "no loop".into()))
            }
            Ok(snapshot) => (kinds(&snapshot.loops), units::number(tasks(snapshot)), state(&snapshot.loops)),
            Err(error) => ("?".into(), "-".into(), (Role::Alarm, error.code().to_owned())),
        };
        [
            (Role::Heading, self.found.pid.to_string()),
            (Role::Plain, self.python()),
            (Role::Plain, kind),
            (Role::Plain, tasks),
            (role, state),
            (Role::Plain, self.command()),
        ]
    }

    fn command(&self) -> String {
        match &self.read {
            Ok(snapshot) => command(&snapshot.process),
            Err(_) if self.found.command.is_empty() => self.found.executable.clone(),
            Err(_) => self.found.command.join(" "),
        }
    }

    fn json(&self) -> serde_json::Value {
        let mut process = json!({
            "schema": SCHEMA,
            "pid": self.found.pid,
            "python": self.python(),
            "uid": self.found.uid,
            "executable": self.found.executable,
            "command": self.found.command,
        });
        let more = match &self.read {
            Ok(s) => json!({ "asyncio": s.process.asyncio, "tasks": tasks(s), "loops": s.loops }),
            Err(error) => json!({
                "error": { "code": error.code(), "message": error.to_string(), "hint": error.hint() }
            }),
        };
        if let (Some(process), serde_json::Value::Object(more)) = (process.as_object_mut(), more) {
            process.extend(more);
        }
        process
    }
}

fn tasks(snapshot: &Snapshot) -> u64 {
    snapshot.alive().count() as u64
}

/// `asyncio`, `uvloop`, `asyncio, uvloop`.
fn kinds(loops: &[EventLoop]) -> String {
    let mut kinds: Vec<&str> = loops.iter().filter_map(|l| l.kind.split('.').next()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.join(", ")
}

/// `idle`, `BUSY 4.2 s`; `2 idle, 1 BUSY` where there are several.
fn state(loops: &[EventLoop]) -> (Role, String) {
    let word = |state: LoopState| match state {
        LoopState::Idle => "idle",
        LoopState::Busy => "BUSY",
        LoopState::NotRunning => "not running",
        LoopState::Closed => "closed",
        LoopState::Unknown => "unknown",
    };
    let busy = loops.iter().any(|l| l.state == LoopState::Busy);
    let role = if busy { Role::Alarm } else { Role::Plain };
    if let [one] = loops {
        let turn = one.turn_s.map(|s| format!(" {}", units::seconds(s))).unwrap_or_default();
        return (role, format!("{}{turn}", word(one.state)));
    }
    let all =
        [LoopState::Busy, LoopState::Idle, LoopState::NotRunning, LoopState::Closed, LoopState::Unknown];
    let parts = all.into_iter().filter_map(|state| {
        let n = loops.iter().filter(|l| l.state == state).count();
        (n > 0).then(|| format!("{n} {}", word(state)))
    });
    (role, parts.collect::<Vec<_>>().join(", "))
}
