//! Coroutines that were created and never started: the `await` is missing.

use super::words;
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Role, Severity};
use crate::frame::Origin;
use crate::snapshot::{CreationSource, DroppedCoroutine, Id, UnstartedCoroutine};
use rustc_hash::{FxHashMap, FxHashSet};

pub(super) const CHECK: Check = Check {
    slug: "never-awaited",
    about: "coroutines were created and never started: an `await` is missing",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    dropped(scene, findings);
    never_started(scene, findings);
}

/// Those that are gone, of which Python has warned: in the program's own code, or in the loop's, where a
/// callback was an `async def`.
fn dropped(scene: &Scene<'_>, findings: &mut Findings) {
    let concerns =
        |d: &&DroppedCoroutine| d.at.origin == Origin::Own || d.at.file.ends_with("asyncio/events.py");
    let mut functions: Vec<(&str, Vec<&DroppedCoroutine>)> = Vec::new();
    for coroutine in scene.now.dropped.iter().filter(concerns) {
        match functions.iter_mut().find(|(function, _)| **function == *coroutine.function) {
            Some((_, places)) => places.push(coroutine),
            None => functions.push((&coroutine.function, vec![coroutine])),
        }
    }
    for (function, places) in functions {
        let first = &places[0].at;
        let more = match places.len() - 1 {
            0 => String::new(),
            n => format!(" and {}", words::amount(n, "other place")),
        };
        let is_callback = first.origin == Origin::Library;
        let summary = if is_callback {
            format!(
                "{function}() was given to the event loop as a callback: it is an `async def`, and never runs"
            )
        } else {
            format!("{function}() was called and never awaited, in {}{more}", words::place(Some(first)))
        };
        let lines = places.iter().take(8).map(|dropped| {
            Evidence::new(Role::Created, "dropped without `await`, as Python has warned")
                .at(Some(&dropped.at))
        });
        findings.add(
            finding(CHECK.slug, Severity::Warning, summary).evidence(lines).advice(if is_callback {
                format!("give it a plain function that calls `asyncio.create_task({function}(…))`")
            } else {
                format!("write `await {function}(…)`, or start it with `asyncio.create_task(…)`")
            }),
            [],
        );
    }
}

/// What tells one coroutine from the next at its address.
type Identity<'a> = (Id, &'a str, u64);

fn identity(coroutine: &UnstartedCoroutine) -> Identity<'_> {
    (coroutine.id, &coroutine.defined.function, coroutine.arguments)
}

/// Those that are still there.
fn never_started(scene: &Scene<'_>, findings: &mut Findings) {
    // One that was created a moment ago is about to be awaited: it must have been there all the time, which begins
    // with the first look at the heap. A core file has no earlier one.
    let Some((now, earlier)) = scene.history.snapshots().split_last() else { return };
    let looks_at_heap = || earlier.iter().filter(|s| !s.coroutines.is_empty());
    let lasted = match looks_at_heap().next() {
        Some(first) => now.capture.time_s - first.capture.time_s >= 0.9 * scene.config.still_s,
        None => earlier.is_empty() && scene.time_passed(),
    };
    if !lasted {
        return;
    }
    let walked: Vec<FxHashSet<_>> =
        looks_at_heap().map(|snapshot| snapshot.coroutines.iter().map(identity).collect()).collect();
    // Coroutines that lie in a queue or list wait for their turn: it is enough that others of their kind had it.
    let still: FxHashSet<_> = scene.now.coroutines.iter().map(identity).collect();
    let had_its_turn = |function: &str| {
        let went = |then: &FxHashSet<Identity<'_>>| {
            then.iter().any(|known| known.1 == function && !still.contains(known))
        };
        let was_dropped = scene.now.dropped.iter().any(|dropped| *dropped.function == *function);
        walked.iter().any(went) && !was_dropped
    };
    let mut kinds: FxHashMap<_, Vec<&UnstartedCoroutine>> = FxHashMap::default();
    for coroutine in scene.now.coroutines.iter().filter(|c| !c.waits_its_turn) {
        if walked.iter().all(|then| then.contains(&identity(coroutine))) {
            let at = coroutine.created.as_ref().and_then(|c| own_frame(&c.stack)).map(|f| f.line);
            let kind = (&*coroutine.defined.function, &*coroutine.defined.file, at);
            kinds.entry(kind).or_default().push(coroutine);
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_unstable_by_key(|(kind, _)| *kind);
    for ((function, ..), coroutines) in kinds {
        if had_its_turn(function) {
            continue;
        }
        let runs = scene.tasks().any(|(_, task)| {
            task.chain.iter().any(|f| *f.function == *function && f.file == coroutines[0].defined.file)
        });
        let first = coroutines[0];
        let n = coroutines.len();
        let created = first.created.as_ref().and_then(|c| own_frame(&c.stack));
        let is_guess = first.created.as_ref().is_some_and(|c| c.kept_by == CreationSource::SourceText);
        let how = if is_guess { "probably created" } else { "created" };
        let site = created.map_or_else(String::new, |f| format!(", {how} in {},", words::place(Some(f))));
        let kept = first.kept_by.as_ref().map_or_else(String::new, |k| {
            let same = coroutines.iter().all(|c| c.kept_by == first.kept_by);
            let which = if n == 1 {
                "it"
            } else if same {
                "them"
            } else {
                "one"
            };
            format!("; {k} still refers to {which}")
        });
        let (coroutines, verb) = (words::amount(n, "coroutine"), if n == 1 { "was" } else { "were" });
        let summary = format!("{coroutines} of {function}(){site} {verb} never awaited{kept}");
        let mut lines = vec![Evidence::new(Role::Defined, "never started").at(Some(&first.defined))];
        lines[0].count = (n > 1).then_some(n as u32);
        if let Some(created) = created {
            let text = if is_guess { "the only line found that calls it without `await`" } else { "created" };
            lines.push(Evidence::new(Role::Created, text).at(Some(created)));
        }
        let mut found = finding(CHECK.slug, Severity::Warning, summary).evidence(lines);
        if scene.history.interval_s == 0.0 {
            found = found.doubt("they were looked at only once, and may be about to be awaited");
        }
        if runs {
            found = found.doubt(
                "another coroutine of this function is being awaited: these may have to wait for their turn",
            );
        }
        found =
            found.advice(format!("write `await {function}(…)`, or start it with `asyncio.create_task(…)`"));
        if created.is_none() {
            found = found.advice("run with `python -X dev` or tracing on, to see where they are created");
        }
        findings.add(found, []);
    }
}
