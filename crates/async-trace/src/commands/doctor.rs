//! `async-trace doctor PID`: what can be read of a process here, and what to do about the rest.
//!
//! Exit code 1 says that the process is there and cannot be read.

use crate::args::DoctorArguments;
use crate::output::Output;
use crate::{Outcome, Result};
use async_trace_core::render::{Canvas, Role};
use async_trace_core::snapshot::SCHEMA;
use async_trace_core::text::escape;
use async_trace_remote::doctor::{Report, Status, examine};
use serde_json::json;

pub(crate) fn run(arguments: &DoctorArguments, output: &mut Output) -> Result<Outcome> {
    let report = examine(arguments.pid);
    if matches!(&report.checks[..], [only] if only.name == "process" && only.status == Status::Fail) {
        return Err(async_trace_remote::Error::NoSuchProcess { pid: arguments.pid }.into());
    }
    if arguments.json {
        output.data(|out| writeln!(out, "{}", json(&report)))?;
    } else {
        output.draw(|paper| draw(&report, paper))?;
    }
    Ok(if report.status() == Status::Fail { Outcome::Found } else { Outcome::Done })
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Warn => "warning",
        Status::Fail => "FAILED",
    }
}

fn json(report: &Report) -> serde_json::Value {
    let status = |status| match status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Fail => "fail",
    };
    let checks = report.checks.iter().map(|check| {
        json!({
            "name": check.name,
            "status": status(check.status),
            "sentence": check.sentence,
            "fix": check.fix,
        })
    });
    json!({
        "schema": SCHEMA,
        "pid": report.pid,
        "status": status(report.status()),
        "checks": checks.collect::<Vec<_>>(),
    })
}

fn draw(report: &Report, canvas: &mut impl Canvas) {
    let role = |status| match status {
        Status::Ok => Role::Function,
        Status::Warn => Role::Resource,
        Status::Fail => Role::Alarm,
    };
    canvas.span(Role::Heading, &format!("process {}", report.pid));
    canvas.end_line();
    for check in &report.checks {
        canvas.span(role(check.status), &format!("  {:<9}", word(check.status)));
        canvas.span(Role::Plain, &escape(&check.sentence));
        canvas.end_line();
        if let Some(fix) = &check.fix {
            canvas.span(Role::Plain, "           ");
            canvas.span(Role::Heading, &format!("try: {}", escape(fix)));
            canvas.end_line();
        }
    }
    canvas.end_line();
    let verdict = match report.status() {
        Status::Ok => "this process can be read",
        Status::Warn => "this process can be read, with the limits above",
        Status::Fail => "this process cannot be read",
    };
    canvas.span(role(report.status()), verdict);
    canvas.end_line();
}
