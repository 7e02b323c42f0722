//! Transactions that tasks keep open, and calls that may wait for what these have locked: only the database knows which
//! rows that are, so that whatever is said of it is suspected.

use super::words;
use super::{Findings, Scene, finding, slow_call};
use crate::diff::own_frame;
use crate::finding::{Evidence, Finding, Role, Severity, TaskRef};
use crate::frame::{Frame, Origin};
use crate::render::{noun, paths::package};
use crate::snapshot::{Context, TaskState};

/// What the name of a transaction's type says, or of the function that makes one.
const NAMES: &[&str] = &["transaction", "savepoint", "atomic"];
/// In these libraries a session or connection begins a transaction by itself.
const BEGIN_BY_THEMSELVES: &[&str] = &["sqlalchemy", "sqlmodel"];
const SELF_BEGINNING: &[&str] = &["AsyncSession", "AsyncConnection", "Session", "Connection"];
/// So many are looked at for one call.
const MAX_OPEN: usize = 1000;

/// A transaction that a task keeps open, while it waits for something that is not of the database.
#[derive(Clone, Copy)]
pub(super) struct Open<'a> {
    /// The task.
    pub place: u32,
    context: &'a Context,
    frame: Option<&'a Frame>,
}

impl<'a> Open<'a> {
    /// Those that have been open all the time.
    pub(super) fn all<'s>(scene: &'s Scene<'a>) -> impl Iterator<Item = Self> + use<'a, 's> {
        let waiting = scene.tasks().filter(|(place, task)| {
            !task.contexts.is_empty() && task.state == TaskState::Waiting && scene.is_still(*place)
        });
        let open = waiting.filter_map(|(place, task)| {
            let context = task.contexts.iter().rev().find(|context| is_transaction(&context.type_name))?;
            let frame = task.chain.get(context.frame as usize);
            let own = frame.filter(|frame| frame.origin == Origin::Own).or_else(|| own_frame(&task.chain));
            // Whoever has asked something itself makes use of its transaction.
            let is_used = match package_of(context) {
                Some(of) => task.chain.iter().any(|f| f.origin == Origin::Library && package(f) == of),
                None => slow_call::is_call(scene, task),
            };
            (!is_used).then_some(Self { place, context, frame: own })
        });
        open.take(MAX_OPEN)
    }

    /// Whether a call that a task waits for goes to the same kind of database.
    pub(super) fn may_block(&self, scene: &Scene<'_>, place: u32) -> bool {
        let task = scene.task(place);
        let mut libraries = task.chain.iter().filter(|frame| frame.origin == Origin::Library);
        place != self.place
            && match package_of(self.context) {
                Some(of) => libraries.any(|frame| package(frame) == of),
                None => libraries.next().is_some(),
            }
    }

    /// ``asyncpg Transaction``.
    fn what(&self) -> String {
        noun(&self.context.type_name).into_owned()
    }

    /// `task settle keeps asyncpg Transaction open in settle() at pay.py:9, where it reads from …`.
    pub(super) fn says(&self, scene: &Scene<'_>) -> String {
        let task = scene.task(self.place);
        format!(
            "{} keeps {} open in {}, where it {}",
            words::task(task),
            self.what(),
            words::place(self.frame),
            scene.doing(task)
        )
    }

    /// The same as evidence.
    pub(super) fn evidence(&self, scene: &Scene<'_>) -> Evidence {
        let task = scene.task(self.place);
        let what = self.what();
        let text =
            format!("keeps {what} open, which may have locked what is asked for; it {}", scene.doing(task));
        let mut line = Evidence::new(Role::Holds, text).at(self.frame);
        line.task = Some(TaskRef::of(task));
        line
    }
}

/// Calls that may wait for a transaction whose task waits for whoever made them.
pub(super) fn circles(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.time_passed() {
        return;
    }
    let open: Vec<Open<'_>> = Open::all(scene).collect();
    if open.is_empty() {
        return;
    }
    for (place, task) in scene.tasks() {
        if findings.explains(place)
            || task.state != TaskState::Waiting
            || !scene.is_still(place)
            || !slow_call::is_call(scene, task)
        {
            continue;
        }
        let behind = scene.behind(&[place]);
        let closes = |open: &&Open<'_>| open.may_block(scene, place) && behind.contains(&open.place);
        let Some(open) = open.iter().find(closes) else { continue };
        let found = circle(scene, place, open, &behind);
        findings.add(found, behind.into_iter().chain([place]));
    }
}

fn circle(scene: &Scene<'_>, place: u32, open: &Open<'_>, behind: &[u32]) -> Finding {
    let task = scene.task(place);
    let summary = format!(
        "{}, in the end for {}, which {} in {}: probably for what this transaction has locked",
        open.says(scene),
        words::task(task),
        scene.doing(task),
        words::place(own_frame(&task.chain)),
    );
    let mut lines = vec![open.evidence(scene)];
    lines.extend(scene.all_held(task));
    lines.push(scene.waits_evidence(place));
    let others: Vec<u32> = behind.iter().copied().filter(|task| *task != open.place).collect();
    let mut found = finding("deadlock", Severity::Error, summary).evidence(lines);
    found.consequences = scene.consequences(&others);
    found
        .doubt("what a transaction has locked is known to the database only")
        .advice("do not wait for other tasks inside of a transaction: end it first, or take their lock before it")
        .advice("ask the database who waits for whom: PostgreSQL's pg_stat_activity and pg_blocking_pids(), for one")
}

/// The library of a context manager; nothing for a function, of which only its name is known.
fn package_of(context: &Context) -> Option<&str> {
    context.type_name.split_once('.').map(|(package, _)| package).filter(|package| {
        // `AsyncConnection.transaction`, a method.
        !package.starts_with(char::is_uppercase)
    })
}

fn is_transaction(type_name: &str) -> bool {
    let (package, last) = (type_name.split('.').next().unwrap_or_default(), type_name.rsplit('.').next());
    let last = last.unwrap_or_default();
    let lower = last.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.contains(name))
        || BEGIN_BY_THEMSELVES.contains(&package) && SELF_BEGINNING.contains(&last)
        || type_name.ends_with("Engine.begin")
}
