//! Coroutines that were created and never started, wherever they are: in the lists of the garbage collector.

use super::walk::{Session, Walked};
use crate::cpython::generator::{self, State};
use crate::cpython::object::{Kind, Read, Reader, Torn, word};
use crate::memory::addr::Addr;
use async_trace_core::frame::FrameKind;
use async_trace_core::snapshot::{ProblemCode, UnstartedCoroutine};
use rustc_hash::FxHashSet;

/// `PyGC_Head` {next, previous}, before each object that the collector knows. The low bits of its words
/// are flags.
const GC_HEAD: u64 = 16;
const FLAGS: u64 = 3;
/// More than a large program has; the walk ends there.
const MAX_OBJECTS: u64 = 1 << 26;
/// So many are shown.
const MAX_SHOWN: usize = 1 << 12;

/// Looks for them. The target may run on: whoever wants to be sure looks twice.
pub(crate) fn unstarted(session: &Session<'_>, walked: &mut Walked) -> Vec<UnstartedCoroutine> {
    let reader = session.reader;
    // The coroutine of a task that has not had its first turn is not forgotten.
    let of_tasks: FxHashSet<Addr> =
        walked.tasks.iter().filter_map(|task| super::task::coroutine(reader, task.addr).ok()).collect();
    let mut found = Vec::new();
    for interpreter in walked.interpreters.clone() {
        for list in reader.layout.interpreter.gc.lists {
            let head = interpreter.addr + reader.layout.interpreter.gc.at + list;
            let walk = coroutines(reader, head, &mut |object| {
                if found.len() < MAX_SHOWN
                    && !of_tasks.contains(&object)
                    && let Ok(Some(coroutine)) = never_started(session, object)
                {
                    found.push(coroutine);
                }
            });
            if let Err(torn) = walk {
                walked.problems.note(ProblemCode::HeapTorn, torn, None);
            }
        }
    }
    found.sort_by(|a, b| {
        (&a.defined.file, a.defined.line, a.id).cmp(&(&b.defined.file, b.defined.line, b.id))
    });
    found
}

/// Walks one of the collector's lists.
fn coroutines(reader: &Reader<'_>, head: Addr, found: &mut dyn FnMut(Addr)) -> Read<()> {
    let next = |bytes: &[u8]| Addr(word(bytes) & !FLAGS);
    let mut at = next(&reader.array::<8>(head)?);
    // 3.14 and newer set the lists of an interpreter up when it needs them.
    if at.is_null() {
        return Ok(());
    }
    let mut coroutine = Addr::NULL;
    for _ in 0..MAX_OBJECTS {
        if at == head {
            return Ok(());
        }
        let bytes = reader.array::<32>(at)?;
        let (object, of) = (at + GC_HEAD, Addr(word(&bytes[24..])));
        if of == coroutine || coroutine.is_null() && reader.type_at(of)?.kind == Kind::Coroutine {
            coroutine = of;
            found(object);
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
    Ok(session.places.frame(place).map(|defined| UnstartedCoroutine {
        id: coroutine.into(),
        defined,
        created: None,
        kept_by: None,
    }))
}
