//! What only the lists of the garbage collector lead to: coroutines that were created and never started, and tasks that
//! have failed.

use super::kept::{self, Keeper};
use super::task;
use super::walk::{Session, Walked};
use crate::cpython::generator::{self, State};
use crate::cpython::object::{Kind, Read, Reader, Torn, word};
use crate::memory::addr::Addr;
use async_trace_core::frame::{Frame, FrameKind};
use async_trace_core::snapshot::{DroppedCoroutine, ProblemCode, UnstartedCoroutine};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::hash::{Hash, Hasher};

/// `PyGC_Head` {next, previous}, before each object that the collector knows. The low bits of its words
/// are flags.
const GC_HEAD: u64 = 16;
const FLAGS: u64 = 3;
/// More than a large program has; the walk ends there.
const MAX_OBJECTS: u64 = 1 << 26;
/// So often a list is walked once more that changed meanwhile.
const MAX_RETRIES: u32 = 3;
/// So many are noted, and so many of these shown.
const MAX_NOTED: usize = 1 << 16;
const MAX_SHOWN: usize = 1 << 12;

/// From so many tasks it is learnt what types tasks are of.
const MAX_TASKS: usize = 1000;

/// Candidates: there may be something to say of them.
pub(crate) struct OnHeap {
    /// Coroutines that were created and not started.
    pub coroutines: Vec<Addr>,
    /// Tasks that have failed, and nobody has looked at how.
    pub failed: Vec<Addr>,
}

/// Looks for them. The target may run on: whoever wants to be sure looks twice.
pub(crate) fn read(session: &Session<'_>, walked: &mut Walked) -> OnHeap {
    let reader = session.reader;
    let mut found = OnHeap { coroutines: Vec::new(), failed: Vec::new() };
    let mut of_tasks: Vec<Addr> = walked
        .tasks
        .iter()
        .take(MAX_TASKS)
        .filter_map(|task| Some(reader.type_of(task.addr).ok()?.addr))
        .collect();
    of_tasks.sort_unstable();
    of_tasks.dedup();
    let mut note = |object, of| match of {
        Of::Coroutine if found.coroutines.len() >= MAX_NOTED => {}
        Of::Task if found.failed.len() >= MAX_NOTED => {}
        Of::Coroutine if generator::is_created(reader, object) == Ok(true) => found.coroutines.push(object),
        Of::Task if matches!(task::unseen_exception(reader, object), Ok(Some(_))) => {
            found.failed.push(object)
        }
        _ => {}
    };
    // All of it is read, and mostly nothing of it is of interest.
    reader.mem.pass(true);
    for interpreter in &walked.interpreters {
        for list in reader.layout.interpreter.gc.lists {
            let head = interpreter.addr + reader.layout.interpreter.gc.at + list;
            let mut walk = objects(reader, head, &of_tasks, &mut note);
            for _ in 0..MAX_RETRIES {
                if walk.is_ok() {
                    break;
                }
                // Some of its pages are of an earlier moment than others: once more, with all of now.
                reader.mem.age();
                walk = objects(reader, head, &of_tasks, &mut note);
            }
            if let Err(torn) = walk {
                walked.problems.note(ProblemCode::HeapTorn, torn, None);
            }
        }
    }
    reader.mem.pass(false);
    for list in [&mut found.coroutines, &mut found.failed] {
        list.sort_unstable();
        list.dedup();
    }
    found
}

/// Which of the coroutines were never started and are not a task's, and what keeps each.
pub(crate) fn unstarted(
    session: &Session<'_>,
    coroutines: Vec<Addr>,
    walked: &Walked,
) -> Vec<(UnstartedCoroutine, Keeper)> {
    let reader = session.reader;
    // The coroutine of a task that has not had its first turn is not forgotten.
    let of_tasks: FxHashSet<Addr> =
        walked.tasks.iter().filter_map(|found| task::coroutine(reader, found.addr).ok()).collect();
    let mut found = Vec::new();
    let mut seen = FxHashSet::default();
    for object in coroutines {
        if found.len() < MAX_SHOWN
            && reader.kind_of(object) == Ok(Kind::Coroutine)
            && !of_tasks.contains(&object)
            && let Ok(Some(coroutine)) = never_started(session, object)
        {
            found.push(coroutine);
            seen.insert(object);
        }
    }
    found.sort_by(|a, b| {
        (&a.defined.file, a.defined.line, a.id).cmp(&(&b.defined.file, b.defined.line, b.id))
    });
    let mut keepers =
        if found.is_empty() { FxHashMap::default() } else { kept::keepers(session, walked, &seen) };
    let with_keeper = |mut coroutine: UnstartedCoroutine| {
        let keeper = keepers.remove(&Addr(coroutine.id.0)).unwrap_or_default();
        coroutine.kept_by.clone_from(&keeper.words);
        (coroutine, keeper)
    };
    found.into_iter().map(with_keeper).collect()
}

/// What Python has warned about: each module remembers which warnings it gave for which lines
/// (`__warningregistry__`, {(text, category, line): true}, Python/_warnings.c).
pub(crate) fn dropped(session: &Session<'_>, walked: &Walked) -> Vec<DroppedCoroutine> {
    let mut found = Vec::new();
    for interpreter in &walked.interpreters {
        // What cannot be read now was no warning of this program, or is one that is just being given.
        let modules = session.reader.dict(interpreter.modules).unwrap_or_default();
        for (_, module) in modules {
            let _ = warnings_of(session, module, &mut found);
        }
    }
    found.sort_by(|a: &DroppedCoroutine, b| {
        (&a.at.file, a.at.line, &a.function).cmp(&(&b.at.file, b.at.line, &b.function))
    });
    found.dedup();
    found.truncate(MAX_SHOWN);
    found
}

fn warnings_of(session: &Session<'_>, module: Addr, found: &mut Vec<DroppedCoroutine>) -> Read<()> {
    let reader = session.reader;
    let Some(globals) = reader.globals_of(module)? else { return Ok(()) };
    let Some(registry) = reader.dict_get(globals, "__warningregistry__")? else { return Ok(()) };
    for (key, _) in reader.dict(registry)? {
        if reader.kind_of(key)? != Kind::Tuple {
            continue;
        }
        let [message, _, line] = reader.tuple(key)?[..] else { continue };
        if reader.kind_of(message)? != Kind::Str || reader.kind_of(line)? != Kind::Int {
            continue;
        }
        let message = reader.text(message)?;
        let Some(function) =
            message.strip_prefix("coroutine '").and_then(|rest| rest.split_once("' was never awaited"))
        else {
            continue;
        };
        let Some(file) = reader.module_file(globals)? else { continue };
        let line = u32::try_from(reader.int(line)?).unwrap_or(0);
        let origin = session.places.origin_of(&file);
        let at = Frame::new("<module>".into(), file, line, FrameKind::Function, origin);
        found.push(DroppedCoroutine { function: function.0.into(), at });
    }
    Ok(())
}

/// What an object is of.
#[derive(Clone, Copy)]
enum Of {
    Coroutine,
    Task,
}

/// Walks one of the collector's lists. One that changes meanwhile can lead into another list, and round and round in
/// it: that is found out as Brent does (An improved Monte Carlo factorization algorithm, 1980), by waiting for an
/// object that is given up for a later one after 1, 2, 4, 8 … steps.
fn objects(reader: &Reader<'_>, head: Addr, of_tasks: &[Addr], found: &mut dyn FnMut(Addr, Of)) -> Read<()> {
    let next = |bytes: &[u8]| Addr(word(bytes) & !FLAGS);
    let mut at = next(&reader.array::<8>(head)?);
    // 3.14 and newer set the lists of an interpreter up when it needs them.
    if at.is_null() {
        return Ok(());
    }
    let mut coroutine = Addr::NULL;
    let mut passed = Addr::NULL;
    for step in 0..MAX_OBJECTS {
        if at == head {
            return Ok(());
        }
        if at == passed {
            return Err(Torn("a list of objects that is being changed"));
        }
        if step.is_power_of_two() {
            passed = at;
        }
        let bytes = reader.array::<32>(at)?;
        let (object, of) = (at + GC_HEAD, Addr(word(&bytes[24..])));
        if of == coroutine || coroutine.is_null() && reader.type_at(of)?.kind == Kind::Coroutine {
            coroutine = of;
            found(object, Of::Coroutine);
        } else if of_tasks.contains(&of) {
            found(object, Of::Task);
        }
        at = next(&bytes);
        if at.is_null() {
            return Err(Torn("a list of objects that is being changed"));
        }
    }
    Err(Torn("an endless list of objects"))
}

/// What is to be said of a coroutine, if it was never started.
fn never_started(session: &Session<'_>, coroutine: Addr) -> Read<Option<UnstartedCoroutine>> {
    let reader = session.reader;
    let (State::Created, Some(frame)) = generator::state(reader, coroutine)? else { return Ok(None) };
    let place = session.places.of_code(reader, &frame.code, -1, FrameKind::Coroutine, Some(coroutine));
    let mut arguments = FxHasher::default();
    frame.slots(reader)?.hash(&mut arguments);
    Ok(session.places.frame(place).map(|defined| UnstartedCoroutine {
        id: coroutine.into(),
        defined,
        created: None,
        kept_by: None,
        waits_its_turn: false,
        arguments: arguments.finish(),
    }))
}
