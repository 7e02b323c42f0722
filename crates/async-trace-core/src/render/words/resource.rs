//! Locks, queues, pools and their kin: what they are, how they stand, who has them.

use super::super::line::Line;
use super::super::units::{amount, number};
use super::super::{Mention, Role};
use super::{NAMES, Speaker, Wait, all_busy};
use crate::snapshot::*;
use std::borrow::Cow;

impl Speaker<'_> {
    /// `Lock self._lock`; a resource without a name is told from others by its address.
    pub(in super::super) fn resource(&self, line: &mut Line, resource: &Resource, name: Option<&str>) {
        let of = Mention::Resource(resource.id);
        line.name(Role::Resource, &noun(&resource.type_name), of).name(Role::Resource, " ", of);
        match name.or(resource.name.as_deref()) {
            Some(name) => line.name(Role::Resource, name, of),
            None if self.is_default_executor(resource) => line.name(Role::Resource, "of the loop", of),
            None => line.name(Role::Resource, &resource.id.to_string(), of),
        };
    }

    /// A resource by itself: how it stands, and who has it.
    pub(in super::super) fn description(&self, line: &mut Line, resource: &Resource) {
        self.resource(line, resource, None);
        self.state(line, resource, None);
        if let Some(pool) = resource.within.and_then(|id| self.index.get_resource(id)) {
            line.say(", part of ");
            self.resource(line, pool, None);
        }
        self.holders(line, resource, None);
    }

    fn is_default_executor(&self, resource: &Resource) -> bool {
        let loops = &self.index.snapshot.loops;
        resource.kind == ResourceKind::Executor && loops.iter().any(|l| l.executor == Some(resource.id))
    }

    /// The pool that the thing waited for is a part of, where the thing itself has no holder to name.
    pub(super) fn pool_of(&self, wait: &WaitsFor) -> Option<&Resource> {
        let part = match wait.target {
            Target::Resource { id } => self.index.get_resource(id),
            _ => None,
        };
        if part.is_some_and(|part| !part.holders.is_empty()) {
            return None;
        }
        if matches!(wait.target, Target::Future { reach: Some(_), .. }) {
            return None;
        }
        let id = wait.within.or(part.and_then(|part| part.within))?;
        self.index.get_resource(id).filter(|pool| part.is_none_or(|part| part.id != pool.id))
    }

    /// ` (size 3 of 3)`.
    pub(super) fn pool_state(&self, line: &mut Line, pool: &Resource) {
        match (pool.state.size, pool.state.capacity) {
            (Some(size), Some(all)) if all > 0 => _ = line.say(&format!(" (size {size} of {all})")),
            (Some(size), _) => _ = line.say(&format!(" (size {size})")),
            _ => {}
        }
    }

    pub(super) fn resource_wait(&self, line: &mut Line, wait: &Wait<'_>, resource: &Resource) {
        let state = &resource.state;
        let own = wait.many.iter().any(|w| !matches!(w.target, Target::Resource { id } if id == resource.id));
        line.say(match (resource.kind, wait.wait.verb) {
            (ResourceKind::Queue, Verb::Get) => "waits for an item from ",
            (ResourceKind::Queue, Verb::Put) => "waits for room in ",
            (ResourceKind::Queue, Verb::Join) => "waits until all is done in ",
            (ResourceKind::Condition, Verb::Wait) => "waits for a notify of ",
            (_, Verb::Poll) => "asks again and again for ",
            (ResourceKind::Condition, _) => "waits for the lock of ",
            (ResourceKind::Barrier, _) => "waits at ",
            (ResourceKind::Executor, _) => "waits for the end of ",
            _ => "waits for ",
        });
        if own {
            // Many of a kind, one for each: the state of the first says nothing of the others.
            line.say("its own ").put(Role::Resource, &noun(&resource.type_name));
            if let Some(name) = wait.wait.name.as_deref().or(resource.name.as_deref()) {
                line.say(" ").put(Role::Resource, name);
            }
            if resource.kind == ResourceKind::Event && state.set == Some(false) {
                line.say(", which is not set");
            }
            return;
        }
        self.resource(line, resource, wait.wait.name.as_deref());
        self.state(line, resource, Some(wait.wait.verb));
        if wait.wait.verb != Verb::Wait || resource.kind != ResourceKind::Condition {
            self.holders(line, resource, wait.by);
        }
        if let Some(reach) = &resource.reach
            && (resource.kind.is_signal() || !reach.failed.is_empty())
        {
            let waits = |user: &&Holder| user.task.is_some_and(|id| resource.waiters.contains(&id));
            self.reach(line, reach, waits);
        }
    }

    /// How it stands: `, which is not set`, ` (2 of 3 free)`. `verb` is what the asking task does with it.
    pub(in super::super) fn state(&self, line: &mut Line, resource: &Resource, verb: Option<Verb>) {
        let state = &resource.state;
        match resource.kind {
            ResourceKind::Event => match state.set {
                Some(true) => _ = line.say(", which is set"),
                Some(false) => _ = line.say(", which is not set"),
                None => {}
            },
            ResourceKind::Barrier => {
                if let (Some(come), Some(parties)) = (state.size, state.capacity) {
                    line.say(&format!(" ({come} of {parties} have come)"));
                }
            }
            ResourceKind::Queue => _ = line.say(&queue(state, verb)),
            ResourceKind::Semaphore => match (state.size, state.capacity) {
                (Some(free), Some(all)) if all > 0 => _ = line.say(&format!(" ({free} of {all} free)")),
                (Some(free), _) => _ = line.say(&format!(" ({free} free)")),
                _ => {}
            },
            ResourceKind::Pool => self.pool_state(line, resource),
            ResourceKind::Executor => {
                if let (Some(busy), Some(size)) = (state.busy, state.size)
                    && size > 0
                    && i64::from(busy) >= size
                {
                    line.say("; ").say(&all_busy(size));
                }
            }
            _ => {}
        }
    }

    /// `, held by task pay-2 at bank.py:40 (transfer)`.
    pub(in super::super) fn holders(&self, line: &mut Line, resource: &Resource, asking: Option<Id>) {
        match &resource.holders[..] {
            [] => match (resource.kind, resource.state.locked) {
                (_, Some(true)) => _ = line.say("; it is taken, by whom could not be seen"),
                (_, Some(false)) => _ = line.say("; it is free now"),
                _ => {}
            },
            [one] => {
                line.say(if one.trust == Trust::Guessed { ", probably held by " } else { ", held by " });
                self.holder(line, one, asking);
            }
            many => {
                let guessed = |h: &Holder| h.trust == Trust::Guessed;
                let all_guessed = many.iter().all(guessed);
                line.say(if all_guessed { ", probably held by " } else { ", held by " });
                for (i, holder) in many.iter().take(NAMES).enumerate() {
                    line.say(if i > 0 { ", " } else { "" });
                    line.say(if guessed(holder) && !all_guessed { "probably " } else { "" });
                    self.holder(line, holder, asking);
                }
                if many.len() > NAMES {
                    line.say(&format!(" and {} more", number((many.len() - NAMES) as u64)));
                }
            }
        }
    }

    pub(in super::super) fn holder(&self, line: &mut Line, holder: &Holder, asking: Option<Id>) {
        match (holder.task, holder.thread) {
            (Some(id), _) if Some(id) == asking => _ = line.put(Role::Alarm, "this task itself"),
            (Some(id), _) => {
                self.task(line, id);
                if let Some(Task { state: TaskState::Done, .. }) = self.index.get_task(id) {
                    line.put(Role::Alarm, " (which has ended)");
                }
            }
            (None, Some(tid)) => self.thread(line, tid),
            (None, None) => _ = line.say("code that no task runs any more,"),
        }
        if let Some(frame) = &holder.at {
            line.say(" ");
            self.at(line, frame);
        }
    }

    /// `holds Lock a at bank.py:40; 3 tasks wait for it`.
    pub(in super::super) fn hold(
        &self,
        line: &mut Line,
        hold: &Hold,
        stack: &[crate::frame::Frame],
        many: bool,
    ) {
        line.say(if many { "each " } else { "" });
        line.say(if hold.trust == Trust::Guessed { "probably holds " } else { "holds " });
        let Some(resource) = self.index.get_resource(hold.resource) else {
            line.put(Role::Resource, hold.name.as_deref().unwrap_or("something")).say(" (not readable)");
            return;
        };
        self.resource(line, resource, hold.name.as_deref());
        if let Some(frame) = hold.through.as_ref().or_else(|| stack.get(hold.frame as usize)) {
            if hold.through.is_some() {
                line.say(" by way of ").put(Role::Function, &frame.function);
            }
            line.say(if hold.taken_line.is_some() { ", taken" } else { "" });
            self.place(line, frame, hold.taken_line);
        }
        let waiters = resource.waiters.len() as u64;
        match waiters {
            0 => {}
            1 => _ = line.say("; ").put(Role::Alarm, "1 task waits for it"),
            n => _ = line.say("; ").put(Role::Alarm, &format!("{} wait for it", amount(n, "task"))),
        }
        match resource.blocked_threads.len() as u64 {
            0 => {}
            1 => _ = line.say("; ").put(Role::Alarm, "1 thread waits for it"),
            n => _ = line.say("; ").put(Role::Alarm, &format!("{} wait for it", amount(n, "thread"))),
        }
    }
}

/// ` (empty, 2 getters)`, ` (100 of 100, 12 putters, no getter)`.
fn queue(state: &ResourceState, verb: Option<Verb>) -> String {
    let mut parts = Vec::new();
    match (state.size, state.capacity) {
        (Some(0), _) => parts.push("empty".to_owned()),
        (Some(n), Some(all)) if all > 0 && n >= all => parts.push(format!("full: {n} of {all}")),
        (Some(n), Some(all)) if all > 0 => parts.push(format!("{n} of {all}")),
        (Some(n), _) => parts.push(amount(n.unsigned_abs(), "item")),
        _ => {}
    }
    if let (Verb::Join, Some(n)) = (verb.unwrap_or(Verb::Join), state.unfinished) {
        parts.push(format!("{n} not finished"));
    }
    // Who could help is worth a word even when there is nobody.
    let others = |n: Option<u32>, noun: &str, essential: bool| match n {
        Some(0) if essential => Some(format!("no {noun}")),
        Some(0) | None => None,
        Some(n) => Some(amount(u64::from(n), noun)),
    };
    parts.extend(others(state.putters, "putter", false));
    parts.extend(others(state.getters, "getter", verb != Some(Verb::Get)));
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// Whether a type is what both ends of a queue of anyio's refer to.
#[must_use]
pub fn is_memory_stream(type_name: &str) -> bool {
    type_name.starts_with("anyio.streams.memory.") && type_name.ends_with("MemoryObjectStreamState")
}

/// A type as one would say it: `asyncio.locks.Lock` is a `Lock`, but `aiohttp.client.ClientSession`
/// an `aiohttp ClientSession`.
#[must_use]
pub fn noun(type_name: &str) -> Cow<'_, str> {
    if is_memory_stream(type_name) {
        return "anyio memory object stream".into();
    }
    match type_name {
        "_thread.lock" => return "threading.Lock".into(),
        "_thread.RLock" | "threading._RLock" => return "threading.RLock".into(),
        _ => {}
    }
    let last = type_name.rsplit('.').next().unwrap_or(type_name);
    match type_name.split_once('.').map_or("", |(first, _)| first) {
        "" | "asyncio" | "_asyncio" | "__main__" | "builtins" | "concurrent" => last.into(),
        first => format!("{first} {last}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::noun;

    #[test]
    fn says_a_type_in_a_word_or_two() {
        let cases = [
            ("asyncio.locks.Lock", "Lock"),
            ("_thread.lock", "threading.Lock"),
            ("aiohttp.client.ClientSession", "aiohttp ClientSession"),
            ("__main__.Pool", "Pool"),
            ("Pool", "Pool"),
        ];
        for (type_name, expected) in cases {
            assert_eq!(noun(type_name), expected);
        }
    }
}
