//! Whole situations in a few lines each, and what the checks say about them: positive ones, and their
//! healthy near misses.

mod blocking;
mod circles;
mod healthy;
mod kinds;
mod motion;
mod random;
mod speed;
mod unread;
mod waiting;

use super::{CHECKS, Config, run};
use crate::finding::{Certainty, Consequence, Evidence, Finding, Severity};
use crate::fixture::snapshot;
use crate::snapshot::{Snapshot, Target};
use std::fmt::Write;

/// What is said about one look at this situation.
pub(super) fn at_once(text: &str) -> String {
    told(&run(&[&snapshot(text)], &Config::default()))
}

/// What is said when nothing but the clock has moved for two seconds.
pub(super) fn after_two_seconds(text: &str) -> String {
    let now = snapshot(text);
    let mut then = now.clone();
    then.capture.time_s -= 2.0;
    turn_back(&mut then, 2.0);
    told(&run(&[&then, &now], &Config::default()))
}

/// What is said about two looks two seconds apart.
pub(super) fn changed(then: &str, now: &str) -> String {
    let (mut then, now) = (snapshot(then), snapshot(now));
    then.capture.time_s -= 2.0;
    told(&run(&[&then, &now], &Config::default()))
}

/// Sets all clocks of a snapshot back.
fn turn_back(s: &mut Snapshot, by_s: f64) {
    let waits = s.tasks.iter_mut().filter_map(|t| t.waits_for.as_mut());
    for wait in waits.chain(s.threads.iter_mut().filter_map(|t| t.waits_for.as_mut())) {
        if let Target::Timer { left_s: Some(left) } = &mut wait.target {
            *left += by_s;
        }
        wait.timeout_s = wait.timeout_s.map(|left| left + by_s);
    }
    for event_loop in &mut s.loops {
        event_loop.next_timer_s = event_loop.next_timer_s.map(|left| left + by_s);
        event_loop.turn_s = event_loop.turn_s.map(|s| (s - by_s).max(0.0));
    }
}

/// Findings as a person would note them down.
fn told(findings: &[Finding]) -> String {
    let mut out = String::new();
    for (i, f) in findings.iter().enumerate() {
        assert!(CHECKS.iter().any(|check| *check.slug == *f.check));
        assert_eq!(f.certainty == Certainty::Suspected, f.doubt.is_some(), "{}", f.summary);
        let severity = if f.severity == Severity::Error { "error" } else { "warning" };
        let certainty = if f.certainty == Certainty::Proven { "proven" } else { "suspected" };
        let times = f.count.map_or_else(String::new, |n| format!(" ×{n}"));
        let cause = f.caused_by.map_or_else(String::new, |at| format!(", caused by finding {at}"));
        let _ = writeln!(out, "{i} {} ({severity}, {certainty}{cause}){times}: {}", f.check, f.summary);
        for line in &f.evidence {
            let _ = writeln!(out, "  {}", evidence(line));
        }
        for c in &f.consequences {
            let _ = writeln!(out, "  => {}", consequence(c));
        }
        if let Some(doubt) = &f.doubt {
            let _ = writeln!(out, "  ? {doubt}");
        }
        for advice in &f.advice {
            let _ = writeln!(out, "  try {advice}");
        }
    }
    if out.is_empty() { "healthy".to_owned() } else { out }
}

fn evidence(e: &Evidence) -> String {
    let mut out = format!("{:?}", e.role).to_lowercase();
    if let Some(n) = e.count {
        let _ = write!(out, " ×{n}");
    }
    if let Some(task) = &e.task {
        let _ = write!(out, " task {}", task.name);
    }
    if let Some(thread) = &e.thread {
        let _ = write!(out, " thread {}", thread.name);
    }
    if let (Some(function), Some(file)) = (&e.function, &e.file) {
        let file = file.rsplit('/').next().unwrap_or_default();
        let _ = write!(out, " {function} {file}:{}", e.line.unwrap_or(0));
    }
    let _ = write!(out, ": {}", e.text);
    out
}

fn consequence(c: &Consequence) -> String {
    let names: Vec<&str> = c.tasks.iter().map(|t| &*t.name).collect();
    let place = match (&c.function, &c.file, c.line) {
        (Some(function), Some(file), Some(line)) => {
            format!(" in {function} {}:{line}", file.rsplit('/').next().unwrap_or_default())
        }
        _ => String::new(),
    };
    format!("{} [{}] {}{place}", c.count, names.join(" "), c.text)
}

#[test]
fn every_check_has_its_own_name_and_page() {
    for (i, check) in CHECKS.iter().enumerate() {
        assert!(!CHECKS[..i].iter().any(|other| other.slug == check.slug));
        assert!(!check.about.is_empty());
        let page = format!("{}/../../docs/checks/{}.md", env!("CARGO_MANIFEST_DIR"), check.slug);
        assert!(std::path::Path::new(&page).is_file(), "{page} is missing");
    }
}

#[test]
fn no_snapshot_no_finding() {
    assert_eq!(run(&[], &Config::default()), []);
    assert_eq!(at_once(""), "healthy");
}
