//! Things that are waited for or held: locks, queues, pools.

use super::walk::Problems;
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use crate::memory::pages::Footprint;
use async_trace_core::render::is_memory_stream;
use async_trace_core::snapshot::{Detail, ProblemCode, ResourceKind, ResourceState};
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};
use std::mem::take;

/// How much of a container of waiters is looked at.
const MAX_WAITERS: u64 = 1 << 20;
const MAX_SEARCHED: u64 = 4096;
/// How many numbers of a library's object are shown.
const MAX_DETAILS: usize = 24;

/// A thing that is waited for or held.
#[derive(Clone, PartialEq)]
pub(crate) struct Resource {
    pub addr: Addr,
    /// Its type.
    pub of: Addr,
    pub kind: ResourceKind,
    pub type_name: Text,
    pub state: ResourceState,
    /// The futures of its waiters, in its own order.
    pub waiters: Vec<Addr>,
    /// The task that it names as its owner itself.
    pub owner: Option<Addr>,
    pub within: Option<Addr>,
    /// Where it was read, in a pass that wants to know.
    pub footprint: Footprint,
}

/// All that were met, each once.
#[derive(Clone, Default)]
pub(crate) struct Resources {
    pub list: Vec<Resource>,
    index: FxHashMap<Addr, usize>,
    /// Those that were asked for, while someone wants to know.
    pub asked: Vec<Addr>,
    /// Where another object was found than the one that was known: the target runs.
    pub replaced: Vec<Addr>,
    /// Those that were read for a task that was not whole: whoever asks for them next reads them anew.
    doubtful: FxHashSet<Addr>,
    /// Those that have taken the place of what was known there.
    put_again: Vec<Addr>,
    /// All tasks were read: no other object takes the place of what they were seen to have.
    closed: bool,
}

/// How many resources there were, how many of them were put in place of others, and how many were asked for.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    known: usize,
    put_again: usize,
    asked: usize,
}

impl Resources {
    pub(crate) fn get(&self, addr: Addr) -> Option<&Resource> {
        self.index.get(&addr).and_then(|index| self.list.get(*index))
    }

    pub(crate) fn set_within(&mut self, addr: Addr, pool: Option<Addr>) {
        if let Some(resource) = self.index.get(&addr).and_then(|index| self.list.get_mut(*index)) {
            resource.within = pool;
        }
    }

    /// Reads the resource at `addr`, unless it is known. Not where it is another one than what tasks were seen to have
    /// there: then whoever led to it was read at another moment than they.
    pub(crate) fn add(&mut self, reader: &Reader<'_>, addr: Addr, problems: &mut Problems) -> bool {
        self.asked.push(addr);
        let is_doubtful = self.doubtful.contains(&addr);
        if let Some(known) = self.get(addr) {
            let is_same = reader.ptr(addr + 8).is_ok_and(|of| of == known.of);
            if self.closed || (is_same && !is_doubtful) {
                return is_same;
            }
            if !is_same {
                self.replaced.push(addr);
            }
            self.doubtful.remove(&addr);
            self.put_again.push(addr);
        }
        let begin = reader.mem.begin_footprint();
        match read(reader, addr) {
            Ok(mut resource) => {
                resource.footprint = reader.mem.end_footprint(begin);
                self.put(resource);
            }
            Err(torn) => problems.note(ProblemCode::ResourceUnreadable, torn, None),
        }
        true
    }

    /// What [`Resources::cut`] goes back to.
    pub(crate) fn mark(&self) -> Mark {
        Mark { known: self.list.len(), put_again: self.put_again.len(), asked: self.asked.len() }
    }

    /// Forgets those that were added since a mark.
    pub(crate) fn cut(&mut self, mark: Mark) {
        for resource in self.list.drain(mark.known.min(self.list.len())..) {
            self.index.remove(&resource.addr);
        }
        self.asked.truncate(mark.asked);
        self.doubtful.extend(self.put_again.drain(mark.put_again.min(self.put_again.len())..));
    }

    /// Whoever asks for these next reads them anew.
    pub(crate) fn doubt(&mut self, those: impl Iterator<Item = Addr>) {
        self.doubtful.extend(those);
    }

    /// All tasks were read, which have these resources: what was read for others only is forgotten.
    pub(crate) fn close(&mut self, had: impl Iterator<Item = Addr>) {
        self.closed = true;
        had.for_each(|addr| _ = self.doubtful.remove(&addr));
        let doubtful = take(&mut self.doubtful);
        self.forget(&doubtful);
    }

    /// Leaves out some, such as those that others stand for.
    pub(crate) fn forget(&mut self, those: &FxHashSet<Addr>) {
        if !those.is_empty() {
            self.list.retain(|resource| !those.contains(&resource.addr));
            self.number();
        }
    }

    /// Notes anew which place each one has.
    fn number(&mut self) {
        self.index = self.list.iter().enumerate().map(|(at, resource)| (resource.addr, at)).collect();
    }

    /// Puts them into another order.
    pub(crate) fn sort_by_key<K: Ord>(&mut self, key: impl FnMut(&Resource) -> K) {
        self.list.sort_by_cached_key(key);
        self.number();
    }

    /// Takes over what an earlier pass has read, if that is still so. Its pages are those of others, too:
    /// where they have changed, one more look tells whether it has.
    pub(crate) fn adopt(&mut self, reader: &Reader<'_>, known: &mut Self, addr: Addr) -> bool {
        if self.index.contains_key(&addr) {
            return true;
        }
        let Some(resource) = known.index.remove(&addr).and_then(|index| known.list.get_mut(index)) else {
            return false;
        };
        let begin = reader.mem.begin_footprint();
        let mut footprint = take(&mut resource.footprint);
        resource.within = None;
        if !reader.mem.is_unchanged(&footprint) {
            if read(reader, addr).as_ref() != Ok(resource) {
                return false;
            }
            footprint = reader.mem.end_footprint(begin);
        }
        let adopted = Resource {
            type_name: resource.type_name.clone(),
            state: take(&mut resource.state),
            waiters: take(&mut resource.waiters),
            footprint,
            ..*resource
        };
        self.put(adopted);
        true
    }

    /// Adds one that was read elsewhere.
    pub(crate) fn put(&mut self, resource: Resource) {
        if let Some(index) = self.index.get(&resource.addr) {
            self.list[*index] = resource;
        } else {
            self.index.insert(resource.addr, self.list.len());
            self.list.push(resource);
        }
    }
}

/// What an object is, by its type and the types it derives from.
pub(crate) fn kind(reader: &Reader<'_>, addr: Addr) -> Read<Option<ResourceKind>> {
    match reader.kind_of(addr)? {
        Kind::ThreadLock => return Ok(Some(ResourceKind::ThreadLock)),
        Kind::ThreadRlock => return Ok(Some(ResourceKind::ThreadRlock)),
        Kind::Other => {}
        _ => return Ok(None),
    }
    let of = reader.type_of(addr)?;
    if let Some(known) = reader.known.resource_kinds.borrow().get(&of.addr) {
        return Ok(*known);
    }
    let mut found = None;
    for base in reader.bases(addr)? {
        found = match &*reader.full_type_name(&base) {
            "asyncio.locks.Lock" => Some(ResourceKind::Lock),
            "asyncio.locks.Semaphore" => Some(ResourceKind::Semaphore),
            "asyncio.locks.Condition" => Some(ResourceKind::Condition),
            "asyncio.locks.Event" => Some(ResourceKind::Event),
            "asyncio.locks.Barrier" => Some(ResourceKind::Barrier),
            "asyncio.queues.Queue" => Some(ResourceKind::Queue),
            _ => None,
        };
        if found.is_some() {
            break;
        }
    }
    // A library's own: its name says what it is, where its type does not.
    if found.is_none() {
        let name = of.short_name().to_ascii_lowercase();
        let ends = |words: &[&str]| words.iter().any(|word| name.ends_with(word));
        found = if is_memory_stream(&reader.full_type_name(&of)) {
            Some(ResourceKind::Queue)
        } else if ends(&["rlock"]) && !name.contains("async") {
            None
        } else if ends(&["lock", "mutex"]) {
            Some(ResourceKind::Lock)
        } else if ends(&["semaphore"]) {
            Some(ResourceKind::Semaphore)
        } else if is_pool_name(&name) {
            Some(ResourceKind::Pool)
        } else {
            None
        };
    }
    reader.known.resource_kinds.borrow_mut().insert(of.addr, found);
    Ok(found)
}

fn is_pool_name(name: &str) -> bool {
    name.ends_with("pool") || name.ends_with("connector") || is_limiter_name(name)
}

/// Whether to be inside of such a pool itself is to have a slot; others are opened and closed so.
pub(crate) fn is_limiter_name(name: &str) -> bool {
    name.ends_with("limiter") || name.ends_with("throttler")
}

/// Whether an object is a connection pool, connector or limiter.
pub(crate) fn is_pool(reader: &Reader<'_>, addr: Addr) -> bool {
    matches!(kind(reader, addr), Ok(Some(ResourceKind::Pool)))
}

/// Whether an object keeps `future` in one of its containers: then it is what the future waits for.
pub(crate) fn keeps_waiter(reader: &Reader<'_>, object: Addr, future: Addr) -> bool {
    let Ok(attributes) = reader.attrs(object) else { return false };
    attributes.into_iter().any(|(_, value)| contains(reader, value, future, 2).unwrap_or(false))
}

fn contains(reader: &Reader<'_>, container: Addr, wanted: Addr, depth: u32) -> Read<bool> {
    let of = reader.type_of(container)?;
    let items = match of.kind {
        Kind::Deque => reader.deque(container, MAX_SEARCHED)?,
        Kind::List if reader.size(container)? <= MAX_SEARCHED => reader.list(container)?,
        Kind::Tuple if reader.size(container)? <= 16 => reader.tuple(container)?,
        Kind::Set if reader.set_len(container)? <= MAX_SEARCHED => reader.set(container)?,
        Kind::Dict if reader.dict_len(container)? <= MAX_SEARCHED => {
            reader.dict(container)?.into_iter().flat_map(|(key, value)| [key, value]).collect()
        }
        _ => return Ok(false),
    };
    if items.contains(&wanted) {
        return Ok(true);
    }
    if depth > 0 {
        for item in items {
            if contains(reader, item, wanted, depth - 1).unwrap_or(false) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn read(reader: &Reader<'_>, addr: Addr) -> Read<Resource> {
    let of = reader.type_of(addr)?;
    let type_name = reader.full_type_name(&of);
    let kind = kind(reader, addr)?.unwrap_or(ResourceKind::Manager);
    let standard = type_name.starts_with("asyncio.") || reader.attr(addr, "_loop")?.is_some();
    let mut state = ResourceState::default();
    let mut waiters = Vec::new();
    let mut owner = None;
    match kind {
        ResourceKind::ThreadLock => {
            // {lock, weakrefs, locked i8 +32} up to some 3.13.x, then a PyMutex byte at +16.
            let at = if of.basicsize >= 40 { 32 } else { 16 };
            state.locked = Some(reader.u8(addr + at)? & 1 != 0);
        }
        ResourceKind::ThreadRlock => state.locked = Some(reader.u64(addr + 24)? != 0),
        _ => {}
    }
    let flag = |name| -> Read<Option<bool>> {
        match reader.attr(addr, name)? {
            Some(value) if reader.kind_of(value)? == Kind::Bool => reader.truth(value).map(Some),
            _ => Ok(None),
        }
    };
    let number = |name| -> Read<Option<i64>> {
        match reader.attr(addr, name)? {
            Some(value) if reader.kind_of(value)? == Kind::Int => reader.int(value).map(Some),
            _ => Ok(None),
        }
    };
    match kind {
        ResourceKind::Lock => state.locked = flag("_locked")?,
        ResourceKind::Event => state.set = flag("_value")?,
        ResourceKind::Semaphore => {
            state.size = number("_value")?;
            state.capacity = number("_bound_value")?;
        }
        ResourceKind::Barrier => {
            state.size = number("_count")?;
            state.capacity = number("_parties")?;
            if let Some(condition) = reader.attr(addr, "_cond")? {
                waiters = futures(reader, reader.attr(condition, "_waiters")?)?;
            }
        }
        ResourceKind::Queue if is_memory_stream(&type_name) => {
            // None at all: an item goes from hand to hand.
            state.capacity = number("max_buffer_size")?.filter(|capacity| *capacity > 0);
            let count = |name| -> Read<Option<u64>> {
                reader.attr(addr, name)?.map_or(Ok(None), |container| length(reader, container))
            };
            let waiting = |n: Option<u64>| n.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
            state.size = count("buffer")?.map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            state.getters = waiting(count("waiting_receivers")?);
            state.putters = waiting(count("waiting_senders")?);
        }
        ResourceKind::Queue => {
            state.capacity = number("_maxsize")?;
            state.unfinished = number("_unfinished_tasks")?;
            if let Some(items) = reader.attr(addr, "_queue")? {
                state.size = Some(i64::try_from(length(reader, items)?.unwrap_or(0)).unwrap_or(0));
            }
            let getters = futures(reader, reader.attr(addr, "_getters")?)?;
            let putters = futures(reader, reader.attr(addr, "_putters")?)?;
            let alive = |list: &[Addr]| {
                let pending = list.iter().filter(|f| super::task::future_state(reader, **f) == Ok(0)).count();
                u32::try_from(pending).unwrap_or(u32::MAX)
            };
            state.getters = Some(alive(&getters));
            state.putters = Some(alive(&putters));
            waiters = getters;
            waiters.extend(putters);
        }
        _ => {}
    }
    if matches!(
        kind,
        ResourceKind::Lock | ResourceKind::Event | ResourceKind::Semaphore | ResourceKind::Condition
    ) {
        waiters = futures(reader, reader.attr(addr, "_waiters")?)?;
    }
    if !standard || matches!(kind, ResourceKind::Pool | ResourceKind::Manager) {
        state.details = details(reader, addr)?;
        owner = owner_task(reader, addr)?;
    }
    let within = None;
    let footprint = Footprint::default();
    Ok(Resource { addr, of: of.addr, kind, type_name, state, waiters, owner, within, footprint })
}

/// The futures in a `_waiters` deque (or `None`). Libraries keep pairs with the future in them.
fn futures(reader: &Reader<'_>, container: Option<Addr>) -> Read<Vec<Addr>> {
    let Some(container) = reader.not_none(container)? else { return Ok(Vec::new()) };
    match reader.kind_of(container)? {
        Kind::Deque => reader.deque(container, MAX_WAITERS),
        Kind::List => reader.list(container),
        _ => Ok(Vec::new()),
    }
}

/// How many items a container has.
fn length(reader: &Reader<'_>, container: Addr) -> Read<Option<u64>> {
    match reader.kind_of(container)? {
        Kind::Deque | Kind::List | Kind::Tuple => reader.size(container).map(Some),
        Kind::Set => reader.set_len(container).map(Some),
        Kind::Dict => reader.dict_len(container).map(Some),
        _ => Ok(None),
    }
}

/// Numbers and sizes that an object keeps about itself.
fn details(reader: &Reader<'_>, addr: Addr) -> Read<Vec<Detail>> {
    let mut out = Vec::new();
    for (name, value) in reader.attrs(addr)? {
        if out.len() >= MAX_DETAILS || name.starts_with("__") {
            continue;
        }
        match reader.kind_of(value) {
            Ok(Kind::Int) => {
                if let Ok(value) = reader.int(value) {
                    out.push(Detail { name, value });
                }
            }
            Ok(Kind::Deque | Kind::List | Kind::Set | Kind::Dict) => {
                if let Some(n) = length(reader, value)? {
                    let name = reader.intern(&format!("len({name})"));
                    out.push(Detail { name, value: i64::try_from(n).unwrap_or(i64::MAX) });
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

/// A task that an object of a library names as its owner (anyio's and aiohttp's locks do).
fn owner_task(reader: &Reader<'_>, addr: Addr) -> Read<Option<Addr>> {
    for name in ["_owner_task", "_owner", "owner", "_task"] {
        if let Some(owner) = reader.attr(addr, name)?
            && reader.kind_of(owner)? == Kind::Task
        {
            return Ok(Some(owner));
        }
    }
    Ok(None)
}
