//! Who would have completed what tasks wait for, and has ended: where no line that would do so can be reached any more.

use super::program::{Place, Program};
use super::text;
use super::{Sources, created_at};
use crate::asyncio::users::{self, Unhelped};
use async_trace_core::Snapshot;
use async_trace_core::frame::{Frame, Origin};
use async_trace_core::snapshot::{Ended, Extent, Reach, ResourceKind, Target, Task};
use async_trace_core::text::Text;
use rustc_hash::FxHashMap;

/// Among so many files one may do what cannot be seen.
const MAX_FILES: usize = 256;
/// So many lines are told that would have completed something.
const MAX_TOLD: usize = 3;

/// Why nobody is left who would complete something.
#[derive(Clone, Default)]
struct Bereft {
    ended: Vec<Ended>,
    /// A line that takes a condition, where no line notifies it.
    unnotified: Option<Frame>,
}

/// What a task waits for, at a line of the program: all that do so there wait for the same kind of thing.
type Line = (Text, u32, &'static [&'static str]);

impl Sources<'_> {
    /// Notes who has ended that would have completed what tasks wait for, where nobody else can do so.
    pub(super) fn find_ended(&mut self, snapshot: &mut Snapshot, unhelped: &Unhelped) {
        if unhelped.tasks.is_empty() || unhelped.files.len() > MAX_FILES {
            return;
        }
        let Some(mut program) = self.program(snapshot, unhelped) else { return };
        let kinds: FxHashMap<_, _> = snapshot.resources.iter().map(|r| (r.id, r.kind)).collect();
        let mut known: FxHashMap<Line, Bereft> = FxHashMap::default();
        let mut of_resources = FxHashMap::default();
        for task in snapshot.tasks.iter_mut().filter(|task| unhelped.tasks.contains(&task.id)) {
            let kind = match task.waits_for.as_ref().map(|wait| &wait.target) {
                Some(Target::Resource { id }) => kinds.get(id).copied(),
                _ => None,
            };
            let by = users::completed_by(kind);
            let Some((file, line)) = own_line(task) else { continue };
            let bereft = known.entry((file.clone(), line, by));
            let bereft = bereft.or_insert_with(|| bereft_at(&mut program, &file, line, by));
            if bereft.ended.is_empty() && bereft.unnotified.is_none() {
                continue;
            }
            let Some(wait) = &mut task.waits_for else { continue };
            match &mut wait.target {
                Target::Future { reach, .. } => note(reach.get_or_insert_with(|| Box::new(nobody())), bereft),
                Target::Resource { id } if kind == Some(ResourceKind::Manager) => {
                    // An object of the program: what it has to bring is this future.
                    let Some(future) = wait.future else { continue };
                    let mut reach = Box::new(nobody());
                    note(&mut reach, bereft);
                    let type_name =
                        unhelped.type_names.get(&task.id).cloned().unwrap_or_else(|| "Future".into());
                    wait.within = Some(*id);
                    wait.target = Target::Future { id: future, type_name, reach: Some(reach) };
                }
                Target::Resource { id } => _ = of_resources.insert(*id, bereft.clone()),
                _ => {}
            }
        }
        for resource in &mut snapshot.resources {
            if let Some(bereft) = of_resources.get(&resource.id) {
                note(resource.reach.get_or_insert_with(nobody), bereft);
            }
        }
    }

    /// The text of the program; nothing where some of it cannot be read.
    fn program(&mut self, snapshot: &Snapshot, unhelped: &Unhelped) -> Option<Program> {
        let mut files = unhelped.files.clone();
        files.extend(super::searched(snapshot, Vec::new()));
        files.sort_unstable();
        files.dedup();
        let mut at: FxHashMap<&str, Vec<u32>> = FxHashMap::default();
        for frame in
            super::chains(snapshot).flat_map(|chain| chain.iter()).filter(|frame| frame.origin == Origin::Own)
        {
            at.entry(&frame.file).or_default().push(frame.line);
        }
        // What was not started yet is to run some time.
        for coroutine in &snapshot.coroutines {
            at.entry(&coroutine.defined.file).or_default().push(coroutine.defined.line);
        }
        let mut program = Program::default();
        for file in files {
            let mut at = at.remove(&*file).unwrap_or_default();
            at.sort_unstable();
            at.dedup();
            let lines = self.lines(&file)?;
            program.add(file.clone(), lines, at.into_iter());
        }
        Some(program)
    }
}

/// As far as variables tell.
fn nobody() -> Reach {
    Reach::nobody(Extent::Frames)
}

fn note(reach: &mut Reach, bereft: &Bereft) {
    // Whoever has failed is a better reason.
    if reach.failed.is_empty() {
        reach.ended.clone_from(&bereft.ended);
        reach.unnotified.clone_from(&bereft.unnotified);
    }
}

/// The line of the program's own code that a task waits at.
fn own_line(task: &Task) -> Option<(Text, u32)> {
    let frame = task.chain.iter().rfind(|frame| frame.origin == Origin::Own)?;
    Some((frame.file.clone(), frame.line))
}

/// Who would have completed what is awaited at a line.
fn bereft_at(program: &mut Program, file: &str, line: u32, by: &[&str]) -> Bereft {
    let nothing = Bereft::default;
    let Some(waits) = program.place(file, line) else { return nothing() };
    let Some(name) = text::awaited(&program.file(waits).1[waits.line]).map(str::to_owned) else {
        return nothing();
    };
    let Some(calls) = program.calls_of_methods(by, &name) else { return nothing() };
    if !calls.iter().all(|place| program.is_over(*place)) || !program.stays_inside(&name) {
        return nothing();
    }
    if calls.is_empty() {
        // Whoever waits for ever has an event or a future for it.
        let is_condition = by == users::completed_by(Some(ResourceKind::Condition));
        let taken = is_condition.then(|| program.takes_only(&name)).flatten();
        return Bereft { unnotified: taken.map(|place| frame(program, place)), ..nothing() };
    }
    // Where what is awaited is kept: `self.pending[key] = future`.
    let mut related = vec![name];
    for (_, code) in program.around(waits) {
        if text::has_word(code, &related[0]) {
            related.extend(text::attributes(code).map(str::to_owned));
        }
    }
    let mut found = Vec::new();
    for call in calls {
        let creations = program.creations(call);
        let has_related = |line: &str| related.iter().any(|word| text::has_word(line, word));
        let is_handed = |place: &Place| has_related(&program.file(*place).1[place.line]);
        let is_related = program.around(call).any(|(raw, _)| has_related(raw));
        // Whoever is still there has not ended.
        if program.is_inhabited(call) || !is_related && !creations.iter().any(is_handed) {
            continue;
        }
        let created = match creations.as_slice() {
            [only] => Some(created_at(frame(program, *only))),
            _ => None,
        };
        let dropped = matches!(creations.as_slice(), [only] if program.is_dropped(*only));
        found.push(Ended { at: frame(program, call), created, dropped });
    }
    found.truncate(MAX_TOLD);
    Bereft { ended: found, unnotified: None }
}

/// A line of a program as a frame.
fn frame(program: &Program, place: Place) -> Frame {
    let (file, lines) = program.file(place);
    super::frame(file, u32::try_from(place.line + 1).unwrap_or(0), lines)
}
