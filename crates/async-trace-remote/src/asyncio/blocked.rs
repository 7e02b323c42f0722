//! What a thread is blocked on, where its Python stack shows it better than the system call.

use super::chain::Node;
use super::resource;
use super::walk::{On, Session, Wait, Walked};
use crate::cpython::frame::Frame;
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use async_trace_core::snapshot::{ResourceKind, Trust, Verb};

/// What the thread with this stack (outermost frame first) is blocked on.
///
/// The caller decides, by the system call, whether it is blocked at all.
pub(crate) fn on(session: &Session<'_>, nodes: &[Node], walked: &mut Walked) -> Option<Wait> {
    let reader = session.reader;
    let inner = nodes.last()?.frame.as_ref()?;
    let wait = |on, verb, trust, name| Wait { on, verb, trust, name, within: None, timeout: None };
    // `Future.result()` of concurrent.futures waits on a condition of its own.
    for node in nodes.iter().rev().take(6) {
        let Some(frame) = &node.frame else { continue };
        if &*frame.code.name == "result" && frame.code.file.ends_with("concurrent/futures/_base.py") {
            let future = frame.local(reader, "self").ok().flatten()?;
            return Some(wait(On::Job(future), Verb::Wait, Trust::Read, None));
        }
    }
    let lock = lock_being_acquired(reader, inner).ok().flatten()?;
    if !reader.thread_lock_is_taken(lock) {
        return None;
    }
    // Locks inside `threading`'s own machinery say nothing to the user: its frames do.
    if inner.code.file.ends_with("/threading.py") || inner.code.file.ends_with("/queue.py") {
        return None;
    }
    if !walked.resources.add(reader, lock, &mut walked.problems) {
        return None;
    }
    let name = super::names::of(session, lock, nodes, nodes.len() - 1);
    Some(wait(On::Resource(lock), Verb::Acquire, Trust::Inferred, name))
}

/// The `threading` lock whose `acquire` or `__enter__` a frame is calling: it lies on the frame's
/// value stack, as itself or as the object of a bound method.
fn lock_being_acquired(reader: &Reader<'_>, frame: &Frame) -> Read<Option<Addr>> {
    let slots = frame.live_slots(reader)?;
    // What lies below belongs to the `with` blocks that the frame is inside of: locks that it has.
    let entered = frame.withs(reader)?.iter().map(|with| with.depth).max().unwrap_or(0);
    for slot in slots.into_iter().skip(entered as usize).rev() {
        if !reader.is_object(slot) {
            continue;
        }
        let lock = match reader.kind_of(slot)? {
            Kind::ThreadLock | Kind::ThreadRlock => slot,
            Kind::Builtin => {
                let (name, owner) = reader.builtin(slot)?;
                // 3.9 and 3.10 have the exit of a block on the stack before they enter it.
                let enters = matches!(&*name, "acquire" | "__enter__" | "__exit__" | "acquire_lock");
                if !enters || owner.is_null() {
                    continue;
                }
                owner
            }
            _ => continue,
        };
        if matches!(resource::kind(reader, lock)?, Some(ResourceKind::ThreadLock | ResourceKind::ThreadRlock))
        {
            return Ok(Some(lock));
        }
    }
    Ok(None)
}

impl Reader<'_> {
    /// The `threading.get_ident()` of the thread that has an `RLock`; 0 of none. It lies behind the lock itself, on all
    /// versions (`rlockobject`, Modules/_threadmodule.c; `_PyRecursiveMutex` from 3.14 on).
    pub(crate) fn rlock_owner(&self, lock: Addr) -> Read<u64> {
        self.u64(lock + 24)
    }

    /// Whether a `threading` lock is taken right now.
    pub(crate) fn thread_lock_is_taken(&self, lock: Addr) -> bool {
        let Ok(of) = self.type_of(lock) else { return false };
        match of.kind {
            Kind::ThreadRlock => self.rlock_owner(lock).is_ok_and(|owner| owner != 0),
            _ => self.u8(lock + if of.basicsize >= 40 { 32 } else { 16 }).is_ok_and(|b| b & 1 != 0),
        }
    }
}
