//! Who has the slots of a pool that somebody waits for.
//!
//! A pool hands out what is its own: a connection, or a block that gives one back. Whoever leads to such a thing, by a
//! block that it is inside of or by a variable, has a slot. That it is the pool's own is told by the pool, which lists
//! what is in use, or by the thing, which refers to the pool.
//!
//! Clients, engines and sessions refer to the pool as well, but they are everybody's: what two tasks lead to is how
//! they get at the pool, and no slot of it.

use super::chain::{Chain, Node};
use super::kept::own_modules;
use super::walk::{Hold, On, Session, Task, Walked};
use super::{resource, task};
use crate::cpython::generator;
use crate::cpython::object::{Kind, Read};
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::{ResourceKind, TaskState, Trust, Verb};
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::OnceCell;

/// Among more tasks, only the blocks that they are inside of are looked at, and the variables of some that wait: they tell
/// what everybody has.
const MAX_TASKS: usize = 1000;
const MAX_WAITING: usize = 64;
/// So many objects are looked at in all.
const MAX_OBJECTS: usize = 30_000;
/// How far a thing may be behind a variable: SQLAlchemy's session has its connection six steps behind.
const MAX_STEPS: u32 = 7;
/// Containers with more items are no part of one request's state.
const MAX_ITEMS: usize = 64;
/// How much of what a pool has handed out is looked at.
const MAX_MEMBERS: u64 = 4096;
/// And so many on the way to a pool that the chain goes past.
const MAX_HIDDEN: usize = 2000;
/// By these words in its name, an attribute of a pool has what was handed out.
const IN_USE: &[&str] = &["in_use", "inuse", "acquired", "borrow", "checked", "busy", "used"];

/// Adds what each task holds of the pools that are waited for.
pub(crate) fn read(session: &Session<'_>, walked: &mut Walked) {
    let mut pools = hidden(session, walked);
    pools.extend(asked(walked));
    if pools.is_empty() {
        return;
    }
    let mut search = Search::new(session, walked, &pools);
    let candidates = search.candidates();
    for candidate in &candidates {
        search.explore(candidate.task, candidate.object);
    }
    if search.left == 0 {
        // What nobody else was seen to lead to, somebody may.
        return;
    }
    search.spread();
    let mut found: Vec<(usize, Hold)> = Vec::new();
    for candidate in &candidates {
        for pool in search.slots_behind(candidate) {
            let known = |(task, hold): &(usize, Hold)| *task == candidate.task && hold.resource == pool;
            if candidate.is_variable && found.iter().any(known) {
                continue;
            }
            let hold = Hold {
                resource: pool,
                frame: candidate.frame,
                trust: Trust::Inferred,
                name: None,
                taken_line: None,
                through: None,
            };
            found.push((candidate.task, hold));
        }
    }
    for (task, hold) in found {
        walked.tasks[task].holds.push(hold);
    }
}

/// Finds the pools that keep what is free in a queue, where the chain goes past them: SQLAlchemy's runs in a greenlet.
fn hidden(session: &Session<'_>, walked: &mut Walked) -> FxHashSet<Addr> {
    let mut known: FxHashMap<Addr, Option<Addr>> = FxHashMap::default();
    for index in 0..walked.tasks.len() {
        let Some(wait) = &walked.tasks[index].wait else { continue };
        let On::Resource(queue) = wait.on else { continue };
        let is_queue = walked.resources.get(queue).is_some_and(|r| r.kind == ResourceKind::Queue);
        if wait.verb != Verb::Get || wait.within.is_some() || !is_queue {
            continue;
        }
        let pool = *known.entry(queue).or_insert_with(|| {
            let carriers = walked.files.carriers.get(&queue)?;
            carriers.iter().find_map(|carrier| pool_with(session, walked, *carrier, queue))
        });
        let Some(pool) = pool else { continue };
        if walked.resources.add(session.reader, pool, &mut walked.problems)
            && let Some(wait) = &mut walked.tasks[index].wait
        {
            wait.within = Some(pool);
            walked.resources.set_within(queue, Some(pool));
        }
    }
    known.into_values().flatten().collect()
}

/// The pool behind an object of a library that has a queue behind it.
fn pool_with(session: &Session<'_>, walked: &Walked, from: Addr, queue: Addr) -> Option<Addr> {
    let reader = session.reader;
    let is_way = |object: Addr| reader.kind_of(object) == Ok(Kind::Other) && !walked.is_loop(object);
    let mut parents: FxHashMap<Addr, Addr> = FxHashMap::default();
    let mut wave = vec![from];
    for _ in 0..MAX_STEPS {
        let mut next = Vec::new();
        for object in wave {
            for (_, behind) in reader.attrs(object).unwrap_or_default() {
                if parents.len() < MAX_HIDDEN && is_way(behind) && !parents.contains_key(&behind) {
                    parents.insert(behind, object);
                    next.push(behind);
                }
            }
        }
        wave = next;
    }
    let mut at = queue;
    while at != from {
        at = parents.remove(&at)?;
        if resource::is_pool(reader, at) {
            return Some(at);
        }
    }
    None
}

/// The pools that are waited for.
fn asked(walked: &Walked) -> FxHashSet<Addr> {
    let mut pools = FxHashSet::default();
    for wait in walked.tasks.iter().filter_map(|task| task.wait.as_ref()) {
        pools.extend(wait.within);
        if let On::Resource(object) = wait.on
            && let Some(resource) = walked.resources.get(object)
            && matches!(resource.kind, ResourceKind::Pool | ResourceKind::Manager)
        {
            pools.insert(object);
        }
    }
    pools
}

/// What a task waits for, and what that is part of.
fn waited_for(task: &Task) -> impl Iterator<Item = Addr> {
    task.wait
        .iter()
        .flat_map(|wait| match wait.on {
            On::Resource(object) => [Some(object), wait.within],
            _ => [wait.within, None],
        })
        .flatten()
}

/// Something by which a task may have a slot.
struct Candidate {
    task: usize,
    /// The frame that has it, as an index in the chain.
    frame: u32,
    object: Addr,
    /// A variable; else the manager of a block.
    is_variable: bool,
}

/// Who leads to an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    One(usize),
    Several,
}

struct Search<'a> {
    session: &'a Session<'a>,
    walked: &'a Walked,
    pools: &'a FxHashSet<Addr>,
    /// What a pool says is in use, with the pool.
    members: FxHashMap<Addr, Addr>,
    /// The pools that say it.
    telling: FxHashSet<Addr>,
    by: FxHashMap<Addr, By>,
    behind: FxHashMap<Addr, Vec<Addr>>,
    left: usize,
    own_modules: OnceCell<FxHashSet<Text>>,
}

impl<'a> Search<'a> {
    fn new(session: &'a Session<'a>, walked: &'a Walked, pools: &'a FxHashSet<Addr>) -> Self {
        let mut new = Self {
            session,
            walked,
            pools,
            members: FxHashMap::default(),
            telling: FxHashSet::default(),
            by: FxHashMap::default(),
            behind: FxHashMap::default(),
            left: MAX_OBJECTS,
            own_modules: OnceCell::new(),
        };
        for pool in pools {
            let _ = new.in_use(*pool);
        }
        new
    }

    /// Notes what a pool says is in use.
    fn in_use(&mut self, pool: Addr) -> Read<()> {
        let reader = self.session.reader;
        for (name, value) in reader.attrs(pool)? {
            if !IN_USE.iter().any(|word| name.contains(word)) {
                continue;
            }
            let items = match reader.kind_of(value)? {
                Kind::Set if reader.set_len(value)? <= MAX_MEMBERS => reader.set(value)?,
                Kind::List if reader.size(value)? <= MAX_MEMBERS => reader.list(value)?,
                Kind::Deque => reader.deque(value, MAX_MEMBERS)?,
                Kind::Dict if reader.dict_len(value)? <= MAX_MEMBERS => {
                    reader.dict(value)?.into_iter().flat_map(|(key, value)| [key, value]).collect()
                }
                _ => continue,
            };
            for item in items {
                if reader.kind_of(item)? == Kind::Other {
                    self.members.insert(item, pool);
                    self.telling.insert(pool);
                }
            }
        }
        Ok(())
    }

    /// The blocks that tasks are inside of, and the variables of those that do not wait for a pool themselves.
    fn candidates(&self) -> Vec<Candidate> {
        let walked = self.walked;
        let mut found = Vec::new();
        let mut chain = Chain::default();
        let mut waiting = 0;
        for (index, task) in walked.tasks.iter().enumerate() {
            if task.state == TaskState::Done {
                continue;
            }
            found.extend(task.contexts.iter().map(|context| {
                let chain = task.chain.get(..=context.frame as usize).unwrap_or_default();
                let own = chain.iter().rposition(|frame| frame.origin == Origin::Own);
                Candidate {
                    task: index,
                    frame: own.map_or(context.frame, |own| u32::try_from(own).unwrap_or(0)),
                    object: Addr(context.id.0),
                    is_variable: false,
                }
            }));
            if walked.tasks.len() > MAX_TASKS {
                waiting += usize::from(self.waits(task));
                if !self.waits(task) || waiting > MAX_WAITING {
                    continue;
                }
            }
            let Ok(nodes) = task::nodes(self.session, task.addr, &mut chain, walked) else { continue };
            for (at, node) in nodes.iter().enumerate() {
                let Some(frame) = &node.frame else { continue };
                let locals = frame.locals(self.session.reader).unwrap_or_default();
                let frame = self.own_frame(&nodes, at);
                found.extend(locals.into_iter().map(|(_, object)| Candidate {
                    task: index,
                    frame,
                    object,
                    is_variable: true,
                }));
            }
        }
        found
    }

    /// Whether a task waits for one of the pools.
    fn waits(&self, task: &Task) -> bool {
        waited_for(task).any(|pool| self.pools.contains(&pool))
    }

    /// The frame of the program's own that has called the frame `at`, or this one.
    fn own_frame(&self, nodes: &[Node], at: usize) -> u32 {
        let is_own = |at: &usize| self.session.places.origin(nodes[*at].place) == Origin::Own;
        u32::try_from((0..=at).rev().find(is_own).unwrap_or(at)).unwrap_or(0)
    }

    /// Notes that a task leads to an object, and to what is behind it.
    fn explore(&mut self, task: usize, object: Addr) {
        let mut wave = vec![object];
        for _ in 0..=MAX_STEPS {
            let mut next = Vec::new();
            for object in std::mem::take(&mut wave) {
                let known = self.by.get(&object).copied();
                let by = match known {
                    Some(By::One(other)) if other != task => By::Several,
                    Some(known) => known,
                    None => By::One(task),
                };
                if known == Some(by) {
                    continue;
                }
                if known.is_none() && (self.left == 0 || !self.is_way(object)) {
                    continue;
                }
                self.by.insert(object, by);
                if known.is_none() {
                    self.left -= 1;
                    let behind = self.refers(object);
                    next.extend_from_slice(&behind);
                    self.behind.insert(object, behind);
                }
            }
            wave = next;
        }
    }

    /// What is behind something that several lead to, several lead to as well.
    fn spread(&mut self) {
        let shared = |(object, by): (&Addr, &By)| (*by == By::Several).then_some(*object);
        let mut todo: Vec<Addr> = self.by.iter().filter_map(shared).collect();
        while let Some(object) = todo.pop() {
            for object in self.behind.get(&object).into_iter().flatten() {
                if let Some(by) = self.by.get_mut(object)
                    && *by != By::Several
                {
                    *by = By::Several;
                    todo.push(*object);
                }
            }
        }
    }

    fn refers(&self, object: Addr) -> Vec<Addr> {
        let reader = self.session.reader;
        match reader.kind_of(object) {
            Ok(Kind::List | Kind::Tuple | Kind::Set | Kind::Dict | Kind::Deque) => {
                let items = references::of(reader, object).unwrap_or_default();
                if items.len() > 2 * MAX_ITEMS { Vec::new() } else { items }
            }
            Ok(Kind::Other) => {
                let attributes = reader.attrs(object).unwrap_or_default();
                attributes.into_iter().map(|(_, value)| value).collect()
            }
            _ => references::of(reader, object).unwrap_or_default(),
        }
    }

    /// Whether what an object refers to is part of it: a future is not, nor a loop, nor the pool.
    fn is_way(&self, object: Addr) -> bool {
        let is_part = |kind: Kind| {
            matches!(
                kind,
                Kind::Other
                    | Kind::Method
                    | Kind::Tuple
                    | Kind::List
                    | Kind::Set
                    | Kind::Dict
                    | Kind::Deque
                    | Kind::Generator
                    | Kind::AsyncGenerator
            )
        };
        !self.pools.contains(&object)
            && !self.walked.is_loop(object)
            && self.session.reader.kind_of(object).is_ok_and(is_part)
    }

    /// The pools of which the task has a slot by this.
    fn slots_behind(&self, candidate: &Candidate) -> Vec<Addr> {
        let task = &self.walked.tasks[candidate.task];
        let mut found = Vec::new();
        if !candidate.is_variable {
            found.extend(self.managed(candidate.object));
        }
        let mut wave = vec![candidate.object];
        let mut seen = FxHashSet::default();
        for _ in 0..=MAX_STEPS {
            let mut next = Vec::new();
            for object in std::mem::take(&mut wave) {
                if self.by.get(&object) != Some(&By::One(candidate.task)) || !seen.insert(object) {
                    continue;
                }
                let behind = self.behind.get(&object).map_or(&[][..], Vec::as_slice);
                found.extend(self.members.get(&object));
                let pools = behind.iter().filter(|pool| {
                    self.pools.contains(pool)
                        && !self.telling.contains(pool)
                        && resource::is_pool(self.session.reader, **pool)
                        && self.is_part_of(object, **pool)
                        && !(candidate.is_variable && self.is_own(object))
                });
                found.extend(pools);
                next.extend_from_slice(behind);
            }
            wave = next;
        }
        found.sort_unstable();
        found.dedup();
        // Who waits for a pool has its variables for that.
        found.retain(|pool| !(candidate.is_variable && waited_for(task).any(|waited| waited == *pool)));
        found
    }

    /// Whether an object that refers to a pool is something of the pool's. A function that manages a block has the
    /// pool as `self`, or releases what it took; others may just have made it.
    fn is_part_of(&self, object: Addr, pool: Addr) -> bool {
        let reader = self.session.reader;
        match reader.kind_of(object) {
            Ok(Kind::Generator | Kind::AsyncGenerator) => {
                let Ok((_, Some(frame))) = generator::state(reader, object) else { return false };
                frame.local(reader, "self") == Ok(Some(pool))
                    || frame.code.mentions(reader, "release") == Ok(true)
            }
            Ok(Kind::Other) => true,
            _ => false,
        }
    }

    /// Whether an object is of a class of the program's own: what such a one has a pool for is not known.
    fn is_own(&self, object: Addr) -> bool {
        let reader = self.session.reader;
        let own = self.own_modules.get_or_init(|| {
            own_modules(self.session, self.walked).into_iter().map(|module| module.name).collect()
        });
        reader.type_of(object).is_ok_and(|of| {
            let name = reader.full_type_name(&of);
            name.rsplit_once('.').is_none_or(|(module, _)| own.contains(module))
        })
    }

    /// What is waited for that somebody inside of a block has by its manager, be that everybody's or not: the limiter that
    /// it is; or, of locks of a library's own, what it refers to, itself or by its function.
    fn managed(&self, manager: Addr) -> Vec<Addr> {
        let reader = self.session.reader;
        if self.pools.contains(&manager) {
            let of = reader.type_of(manager);
            let is_limiter =
                of.is_ok_and(|of| resource::is_limiter_name(&of.short_name().to_ascii_lowercase()));
            return if is_limiter { vec![manager] } else { Vec::new() };
        }
        let is_function =
            |object: &&Addr| matches!(reader.kind_of(**object), Ok(Kind::Generator | Kind::AsyncGenerator));
        let behind = |object: Addr| self.behind.get(&object).map_or(&[][..], Vec::as_slice);
        let functions = behind(manager).iter().filter(is_function).flat_map(|object| behind(*object));
        let all = behind(manager).iter().chain(functions).copied();
        all.filter(|object| self.pools.contains(object) && !resource::is_pool(reader, *object)).collect()
    }
}
