//! What a target says about its own layout: `_Py_DebugOffsets` (3.13+, Include/internal/
//! pycore_debug_offsets.h) and `_AsyncioDebug` (3.14+, Modules/_asynciomodule.c).
//!
//! They cover what moves between patch releases and with build flags: the states of interpreter and
//! thread. Objects are not in them; they did not move within any minor version.

use super::{CurrentFrame, Layout, RunningLoop};
use crate::memory::addr::Addr;
use crate::memory::pages::{Pages, Unreadable};

/// Where in `_Py_DebugOffsets` an offset stands; the structure grows with each minor version.
#[derive(Clone, Debug)]
pub(crate) struct DebugOffsets {
    pub interpreters_head: u64,
    pub interpreter_id: u64,
    pub interpreter_next: u64,
    pub threads_head: u64,
    pub gc: u64,
    pub modules: u64,
    pub gil: u64,
    pub thread_size: u64,
    pub thread_next: u64,
    pub thread_interp: u64,
    pub current_frame: u64,
    pub thread_id: u64,
    pub native_thread_id: u64,
}

/// Larger structures than any build has; a larger number is not an offset.
const LARGEST: u64 = 1 << 21;

impl Layout {
    /// Takes over what `_Py_DebugOffsets` at `addr` says. A number that cannot be an offset leaves
    /// the table as it is.
    pub(crate) fn apply_debug_offsets(&mut self, mem: &Pages, addr: Addr) -> Result<(), Unreadable> {
        let Some(at) = self.debug.clone() else { return Ok(()) };
        let number = |offset: u64| -> Result<Option<u64>, Unreadable> {
            let mut bytes = [0; 8];
            mem.read(addr + offset, &mut bytes)?;
            Ok(Some(u64::from_le_bytes(bytes)).filter(|n| *n < LARGEST))
        };
        let set = |field: &mut u64, offset: u64| -> Result<(), Unreadable> {
            if let Some(number) = number(offset)? {
                *field = number;
            }
            Ok(())
        };
        set(&mut self.runtime.interpreters_head, at.interpreters_head)?;
        set(&mut self.interpreter.id, at.interpreter_id)?;
        set(&mut self.interpreter.next, at.interpreter_next)?;
        set(&mut self.interpreter.threads_head, at.threads_head)?;
        set(&mut self.interpreter.gc.at, at.gc)?;
        set(&mut self.interpreter.modules, at.modules)?;
        set(&mut self.thread.next, at.thread_next)?;
        set(&mut self.thread.interp, at.thread_interp)?;
        set(&mut self.thread.thread_id, at.thread_id)?;
        if let Some(gil) = number(at.gil)? {
            self.interpreter.gil = Some(gil);
        }
        if let Some(frame) = number(at.current_frame)? {
            self.thread.current_frame = CurrentFrame::Field(frame);
        }
        if let Some(id) = number(at.native_thread_id)? {
            self.thread.native_thread_id = Some(id);
        }
        // 3.13's `_PyThreadStateImpl` begins with the public part and goes on with the running loop.
        if self.thread.tasks_head.is_none()
            && let Some(size) = number(at.thread_size)?
        {
            self.thread.running_loop = RunningLoop::Field(size);
        }
        Ok(())
    }

    /// Takes over what `_AsyncioDebug` at `addr` says: 13 numbers without a cookie, so all or nothing.
    pub(crate) fn apply_asyncio_debug(&mut self, mem: &Pages, addr: Addr) -> Result<(), Unreadable> {
        let mut bytes = [0; 104];
        mem.read(addr, &mut bytes)?;
        let mut n = [0; 13];
        for (number, bytes) in n.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = crate::cpython::object::word(bytes);
        }
        let [
            size,
            name,
            awaited_by,
            _,
            is_set,
            coro,
            node,
            interp_size,
            interp_head,
            thread_size,
            event_loop,
            task,
            head,
        ] = n;
        let within = [name, awaited_by, is_set, coro, node].iter().all(|offset| *offset < size);
        let sane = (64..4096).contains(&size)
            && within
            && interp_head < interp_size
            && interp_size < LARGEST
            && [event_loop, task, head].iter().all(|offset| *offset < thread_size)
            && thread_size < LARGEST;
        if sane {
            self.task.size = size;
            self.task.name = name;
            self.task.coro = coro;
            self.task.node = Some(node);
            self.future.awaited_by = Some((awaited_by, is_set));
            self.interpreter.tasks_head = Some(interp_head);
            self.thread.running_loop = RunningLoop::Field(event_loop);
            self.thread.running_task = Some(task);
            self.thread.tasks_head = Some(head);
        }
        Ok(())
    }
}
