//! Tasks in groups: by stack or by where they come from, sorted and filtered. Made once for each look.

use super::past::Look;
use async_trace_core::Frame;
use async_trace_core::render::telling;
use async_trace_core::render::tree::Pattern;
use async_trace_core::snapshot::{Snapshot, Target, Task, TaskState};
use async_trace_core::{frame::Origin, index::Index};
use rustc_hash::{FxHashMap, FxHasher};
use std::cmp::Reverse;
use std::hash::{Hash, Hasher};

/// What makes tasks one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum By {
    /// They stand at the same lines.
    #[default]
    Stack,
    /// They were created at the same line; where that is not known, they run the same coroutine.
    Site,
}

impl By {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Stack => Self::Site,
            Self::Site => Self::Stack,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Stack => "by stack",
            Self::Site => "by creation site",
        }
    }
}

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sort {
    /// The largest group.
    #[default]
    Count,
    /// What has waited longest.
    Age,
    /// The first in the alphabet.
    Name,
    /// What waits for the same thing stands together.
    Wait,
}

impl Sort {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Count => Self::Age,
            Self::Age => Self::Name,
            Self::Name => Self::Wait,
            Self::Wait => Self::Count,
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Count => "most first",
            Self::Age => "oldest first",
            Self::Name => "by name",
            Self::Wait => "by what they wait for",
        }
    }
}

/// A group's identity from one look to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// Tasks that belong together.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub key: Key,
    /// Their places in the snapshot.
    pub members: Vec<u32>,
    /// The longest that one of them is at its wait, in seconds.
    pub age_s: f32,
    /// The state that most needs a look, and how many are in another.
    pub state: (TaskState, usize),
}

/// How tasks are chosen and ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    pub by: By,
    pub sort: Sort,
    /// Only tasks with this in their name, functions or files; all when it is empty.
    pub filter: String,
}

/// The groups of a look.
pub(crate) fn groups(look: &Look, order: &Order) -> Vec<Group> {
    let snapshot = &*look.snapshot;
    let mut keys = Keys { by: order.by, of_stack: FxHashMap::default() };
    let mut chosen = Chosen::new(&order.filter);
    let mut places: FxHashMap<Key, usize> = FxHashMap::default();
    let mut groups: Vec<Group> = Vec::new();
    for (task, place) in snapshot.tasks.iter().zip(0_u32..) {
        if task.state == TaskState::Done || !chosen.fits(task) {
            continue;
        }
        let key = keys.of(task);
        let age_s = look.ages.get(place as usize).copied().unwrap_or(0.0);
        let at = *places.entry(key).or_insert_with(|| {
            groups.push(Group { key, members: Vec::new(), age_s: 0.0, state: (task.state, 0) });
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.members.push(place);
        group.age_s = group.age_s.max(age_s);
        if urgency(task.state) < urgency(group.state.0) {
            group.state = (task.state, 0);
        }
    }
    for group in &mut groups {
        let state = group.state.0;
        let others = group.members.iter().filter(|p| snapshot.tasks[**p as usize].state != state);
        group.state.1 = others.count();
    }
    sort(&mut groups, snapshot, order);
    groups
}

fn sort(groups: &mut [Group], snapshot: &Snapshot, order: &Order) {
    let first = |g: &Group| g.members.first().map(|p| &snapshot.tasks[*p as usize]);
    let index = (order.sort == Sort::Wait).then(|| Index::of(snapshot));
    let name = |g: &Group| first(g).and_then(|t| title(t, order.by)).map(|f| f.function.clone());
    // Equal ones keep an order of their own, so that nothing jumps about between looks.
    groups.sort_by_cached_key(|g| (name(g), first(g).map(|t| t.name.clone()), g.key.0));
    match order.sort {
        Sort::Count => groups.sort_by_key(|g| Reverse(g.members.len())),
        Sort::Age => groups.sort_by_key(|g| Reverse((g.age_s * 10.0) as u64)),
        Sort::Name => {}
        Sort::Wait => {
            groups.sort_by_cached_key(|g| first(g).zip(index.as_ref()).map(|(t, i)| wait_key(t, i)))
        }
    }
}

/// The places of some tasks in order.
pub(crate) fn sorted(members: &[u32], look: &Look, sort: Sort) -> Vec<u32> {
    let tasks = &look.snapshot.tasks;
    let age = |p: u32| look.ages.get(p as usize).copied().unwrap_or(0.0);
    let mut members = members.to_vec();
    // As people count: task-9 before task-10.
    members.sort_by_cached_key(|p| {
        let name = &tasks[*p as usize].name;
        (name.len(), name.clone(), *p)
    });
    match sort {
        Sort::Count | Sort::Age => members.sort_by_key(|p| Reverse((age(*p) * 10.0) as u64)),
        Sort::Name => {}
        Sort::Wait => {
            let index = Index::of(&look.snapshot);
            members.sort_by_cached_key(|p| wait_key(&tasks[*p as usize], &index));
        }
    }
    members
}

/// What waits for the same thing has the same key: the kind of thing, its type, its name, its identity.
fn wait_key(task: &Task, index: &Index<'_>) -> (u8, String, u64) {
    let Some(wait) = &task.waits_for else { return (9, String::new(), 0) };
    match &wait.target {
        Target::Resource { id } => {
            let name = index.get_resource(*id).map(|r| {
                format!("{} {}", r.type_name, r.name.as_deref().or(wait.name.as_deref()).unwrap_or(""))
            });
            (0, name.unwrap_or_default(), id.0)
        }
        Target::Tasks { pending, .. } => (1, String::new(), pending.first().map_or(0, |id| id.0)),
        Target::Job { function, .. } => (2, function.as_deref().unwrap_or("").to_owned(), 0),
        Target::Process { pid, .. } => (3, String::new(), u64::from(pid.unwrap_or(0))),
        Target::File { file } => (4, String::new(), u64::from(file.fd.unsigned_abs())),
        Target::Timer { left_s } => (5, String::new(), (left_s.unwrap_or(0.0).max(0.0) * 1e3) as u64),
        Target::Future { type_name, .. } => (6, type_name.to_string(), 0),
        Target::Unknown { type_name } => (7, type_name.to_string(), 0),
        Target::Turn => (8, String::new(), 0),
    }
}

fn urgency(state: TaskState) -> u8 {
    match state {
        TaskState::Running => 0,
        TaskState::Ready => 1,
        TaskState::Waiting => 2,
        TaskState::Done => 3,
    }
}

/// The frame that names a task's group.
pub(crate) fn title(task: &Task, by: By) -> Option<&Frame> {
    match by {
        By::Stack => telling(&task.chain),
        By::Site => site(task),
    }
}

/// Where a task comes from: the line that created it, else its own coroutine.
fn site(task: &Task) -> Option<&Frame> {
    let created = task.created.as_ref().and_then(|c| telling(&c.stack));
    created.or_else(|| task.chain.iter().find(|f| f.origin == Origin::Own)).or_else(|| task.chain.first())
}

/// Finds the key of a task's group. Many share one stack: each is hashed once.
struct Keys {
    by: By,
    of_stack: FxHashMap<(*const Frame, usize), Key>,
}

impl Keys {
    fn of(&mut self, task: &Task) -> Key {
        match self.by {
            By::Stack => {
                let stack = (task.chain.as_ptr(), task.chain.len());
                *self.of_stack.entry(stack).or_insert_with(|| key(&task.chain, true))
            }
            By::Site => {
                let known = task.created.is_some();
                site(task).map_or(Key(0), |frame| key(std::slice::from_ref(frame), known))
            }
        }
    }
}

fn key(frames: &[Frame], lines: bool) -> Key {
    let mut hasher = FxHasher::default();
    for frame in frames {
        (&frame.function, &frame.file, if lines { frame.line } else { 0 }).hash(&mut hasher);
    }
    Key(hasher.finish())
}

/// Which tasks a filter leaves.
struct Chosen {
    pattern: Option<Pattern>,
    chains: FxHashMap<(*const Frame, usize), bool>,
}

impl Chosen {
    fn new(filter: &str) -> Self {
        let pattern = (!filter.is_empty()).then(|| Pattern::new(filter));
        Self { pattern, chains: FxHashMap::default() }
    }

    fn fits(&mut self, task: &Task) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let chain = (task.chain.as_ptr(), task.chain.len());
        *self.chains.entry(chain).or_insert_with(|| pattern.fits_chain(&task.chain))
            || pattern.is_in(&task.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::looks::Taken;
    use crate::tui::past::Past;
    use async_trace_core::fixture::snapshot;
    use std::time::Duration;

    const SHOP: &str = "
lock a
event e unset
task ws x3
  serve app.py:10
  echo app.py:12
  waits wait e
task pay-10
  serve app.py:10
  pay app.py:40
  waits acquire a
task pay-9 ready
  serve app.py:10
  pay app.py:40
task zed
  audit zoo.py:7
  waits sleep timer 3
task over returned
  audit zoo.py:7
";

    fn shown(order: Order) -> Vec<String> {
        let look = Past::new(Duration::from_secs(1)).add(Taken { snapshot: snapshot(SHOP), whole: true });
        let tasks = &look.snapshot.tasks;
        let line = |g: &Group| {
            let names: Vec<&str> =
                sorted(&g.members, &look, Sort::Name).iter().map(|p| &*tasks[*p as usize].name).collect();
            let title = title(&tasks[g.members[0] as usize], order.by).unwrap();
            format!("{}:{} {}", title.function, title.line, names.join(" "))
        };
        groups(&look, &order).iter().map(line).collect()
    }

    #[test]
    fn groups_by_stack_and_by_site() {
        assert_eq!(
            shown(Order::default()),
            ["echo:12 ws-1 ws-2 ws-3", "pay:40 pay-9 pay-10", "audit:7 zed"],
            "done tasks are left out"
        );
        let order = Order { by: By::Site, ..Order::default() };
        assert_eq!(shown(order), ["serve:10 ws-1 ws-2 ws-3 pay-9 pay-10", "audit:7 zed"]);
    }

    #[test]
    fn sorts_and_filters() {
        let order = Order { sort: Sort::Name, ..Order::default() };
        assert_eq!(shown(order), ["audit:7 zed", "echo:12 ws-1 ws-2 ws-3", "pay:40 pay-9 pay-10"]);
        let order = Order { sort: Sort::Wait, ..Order::default() };
        assert_eq!(shown(order)[0], "echo:12 ws-1 ws-2 ws-3", "Event before Lock before timer");
        let order = Order { filter: "zoo".into(), ..Order::default() };
        assert_eq!(shown(order), ["audit:7 zed"]);
        let order = Order { filter: "WS-1".into(), ..Order::default() };
        assert!(shown(order).is_empty());
        let order = Order { filter: "pay-9".into(), ..Order::default() };
        assert_eq!(shown(order), ["pay:40 pay-9"]);
    }

    #[test]
    fn a_group_tells_the_state_that_most_needs_a_look() {
        let look = Past::new(Duration::from_secs(1)).add(Taken { snapshot: snapshot(SHOP), whole: true });
        let groups = groups(&look, &Order::default());
        assert_eq!(groups[1].state, (TaskState::Ready, 1));
        assert_eq!(groups[0].state, (TaskState::Waiting, 0));
    }
}
