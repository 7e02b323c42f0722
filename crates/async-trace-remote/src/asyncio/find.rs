//! All tasks of a process.

use crate::cpython::object::{Kind, Read, Reader, Torn};
use crate::cpython::runtime::{self, Interpreter, ThreadState};
use crate::memory::addr::Addr;
use rustc_hash::FxHashSet;

/// More than any process has; a longer list is torn.
const MAX_TASKS: usize = 1 << 22;

/// Tasks in the order in which they were found, and what went wrong.
#[derive(Clone, Default)]
pub(crate) struct Found {
    pub tasks: Vec<Addr>,
    seen: FxHashSet<Addr>,
    /// Lists that could not be walked to their end.
    pub torn: Vec<Torn>,
}

impl Found {
    fn add(&mut self, task: Addr) {
        if self.seen.insert(task) {
            self.tasks.push(task);
        }
    }

    /// Whether a task is among them.
    pub(crate) fn contains(&self, task: Addr) -> bool {
        self.seen.contains(&task)
    }

    /// Walks one of 3.14's circular lists of `task_node`s.
    fn add_list(&mut self, reader: &Reader<'_>, head: Addr, node: u64) -> Read<()> {
        let mut at = reader.ptr(head)?;
        let mut previous = head;
        while at != head {
            if at.is_null() {
                // The list of a thread that has not run asyncio yet is not set up; elsewhere a NULL is
                // that of a node which was taken out under our eyes.
                return if previous == head {
                    Ok(())
                } else {
                    Err(Torn("a list of tasks that is being changed"))
                };
            }
            reader.spend(1)?;
            if self.tasks.len() >= MAX_TASKS {
                return Err(Torn("an endless list of tasks"));
            }
            // Each node knows the one before it: a torn list is noticed where it is torn.
            if reader.ptr(at + 8)? != previous {
                return Err(Torn("a list of tasks that is being changed"));
            }
            self.add(at - node);
            previous = at;
            at = reader.ptr(at)?;
        }
        Ok(())
    }

    /// Adds the members of a `WeakSet` or `set`.
    fn add_set(&mut self, reader: &Reader<'_>, set: Addr) -> Read<()> {
        let (members, weak) = match reader.kind_of(set)? {
            Kind::Set => (reader.set(set)?, false),
            _ => (reader.set(reader.need(set, "data")?)?, true),
        };
        for member in members {
            let task = if weak { reader.weakref(member) } else { Ok(Some(member)) };
            match task {
                Ok(Some(task)) => self.add(task),
                Ok(None) => {}
                Err(torn) => self.torn.push(torn),
            }
        }
        Ok(())
    }

    fn note(&mut self, result: Read<()>) {
        if let Err(torn) = result {
            self.torn.push(torn);
        }
    }
}

/// Collects the tasks of an interpreter. `asyncio` is the dict of `asyncio.tasks`.
pub(crate) fn tasks(
    reader: &Reader<'_>,
    interpreter: Interpreter,
    threads: &[ThreadState],
    asyncio: Addr,
    found: &mut Found,
) {
    let l = reader.layout;
    if let Some(node) = l.task.node {
        if let Some(head) = l.thread.tasks_head {
            for thread in threads {
                let result = found.add_list(reader, thread.addr + head, node);
                found.note(result);
            }
        }
        if let Some(head) = l.interpreter.tasks_head {
            let result = found.add_list(reader, interpreter.addr + head, node);
            found.note(result);
        }
    }
    // Up to 3.11 one set; 3.12 and 3.13 two; 3.14+ the same two for tasks that are not C's own.
    for name in ["_all_tasks", "_scheduled_tasks", "_eager_tasks"] {
        match reader.dict_get(asyncio, name) {
            Ok(Some(set)) => {
                let result = found.add_set(reader, set);
                found.note(result);
            }
            Ok(None) => {}
            Err(torn) => found.torn.push(torn),
        }
    }
}

/// The pairs of loop and task that are being executed (3.9–3.13).
pub(crate) fn current_tasks(
    reader: &Reader<'_>,
    interpreter: Interpreter,
    asyncio: Addr,
) -> Read<Vec<(Addr, Addr)>> {
    let module = runtime::module(reader, interpreter, "_asyncio")?;
    for dict in [Some(asyncio), module].into_iter().flatten() {
        if let Some(current) = reader.dict_get(dict, "_current_tasks")?
            && reader.kind_of(current)? == Kind::Dict
        {
            let pairs = reader.dict(current)?;
            if !pairs.is_empty() {
                return Ok(pairs);
            }
        }
    }
    Ok(Vec::new())
}
