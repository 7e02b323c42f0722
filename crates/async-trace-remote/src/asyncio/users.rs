//! Who can get at a queue: the tasks and threads whose variables lead to it.
//!
//! That is looked for only where somebody waits for room in a queue, or for its items to be done. Whoever hides a queue
//! better than a few steps behind a variable is not found: who is missing here may be there all the same.

use super::kept::own_modules;
use super::walk::{On, Session, Task, Wait, Walked};
use super::{chain, task};
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::Kind;
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::Verb;
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};

/// Among more tasks there will be one that runs; and so many objects are looked at.
const MAX_TASKS: usize = 2000;
const MAX_OBJECTS: usize = 100_000;
/// The methods that take an item from a queue.
const TAKES: &[&str] = &["get", "get_nowait"];
/// `self`, its attributes, an object of these, its attributes.
const MAX_STEPS: u32 = 4;

/// Those who can get at each queue.
pub(crate) type Users = FxHashMap<Addr, FxHashSet<User>>;

/// Somebody who can get at a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum User {
    /// A task, by its address.
    Task(Addr),
    /// A thread outside of its event loop, by its number.
    Thread(u32),
}

/// Looks for them; nothing where there is too much to look at.
pub(crate) fn read(session: &Session<'_>, walked: &Walked) -> Users {
    let asked = |wait: &Wait| match wait.on {
        On::Resource(queue) if matches!(wait.verb, Verb::Put | Verb::Join) => Some(queue),
        _ => None,
    };
    let asked: FxHashSet<Addr> =
        walked.tasks.iter().filter_map(|task| task.wait.as_ref().and_then(asked)).collect();
    if asked.is_empty() || walked.tasks.len() > MAX_TASKS {
        return Users::default();
    }
    let mut search = Search { session, walked, asked, leads_to: FxHashMap::default(), left: MAX_OBJECTS };
    search.all().unwrap_or_default()
}

/// Whether a task waits for room in a queue, or for one that does: it may only put into the queue, or have made it for
/// others.
fn waits_for_room(walked: &Walked, task: &Task, depth: u32) -> bool {
    task.wait.as_ref().is_some_and(|wait| match &wait.on {
        _ if wait.verb == Verb::Put => true,
        On::Tasks { pending, any, .. } if *any != Some(true) && depth > 0 => pending
            .iter()
            .filter_map(|addr| walked.task(*addr))
            .any(|task| waits_for_room(walked, task, depth - 1)),
        _ => false,
    })
}

/// There were more objects than are looked at.
struct TooMany;

struct Search<'a> {
    session: &'a Session<'a>,
    walked: &'a Walked,
    asked: FxHashSet<Addr>,
    /// The queues that an object leads to.
    leads_to: FxHashMap<Addr, Vec<Addr>>,
    left: usize,
}

impl Search<'_> {
    fn all(&mut self) -> Result<Users, TooMany> {
        let mut users: Users = self.asked.iter().map(|queue| (*queue, FxHashSet::default())).collect();
        let modules = self.modules()?;
        let mut chain = chain::Chain::default();
        for task in &self.walked.tasks {
            let nodes = task::nodes(self.session, task.addr, &mut chain, self.walked).unwrap_or_default();
            if waits_for_room(self.walked, task, MAX_STEPS) && !self.takes(&nodes) {
                continue;
            }
            for frame in nodes.iter().filter_map(|node| node.frame.as_ref()) {
                self.of_frame(frame, &modules, User::Task(task.addr), &mut users)?;
            }
        }
        for thread in self.walked.threads.iter().filter(|thread| thread.running_loop.is_none()) {
            for frame in &thread.stack {
                self.of_frame(frame, &modules, User::Thread(thread.state.tid), &mut users)?;
            }
        }
        Ok(users)
    }

    /// Whether a function that a task is in takes something from a queue, as far as the names it uses tell.
    fn takes(&self, nodes: &[chain::Node]) -> bool {
        let frames = nodes.iter().filter_map(|node| node.frame.as_ref());
        let mut outside = frames.filter(|frame| !self.is_stdlib(frame));
        let mentions = |frame: &PyFrame, name| frame.code.mentions(self.session.reader, name).unwrap_or(true);
        outside.any(|frame| TAKES.iter().any(|name| mentions(frame, name)))
    }

    fn is_stdlib(&self, frame: &PyFrame) -> bool {
        self.session.places.origin_of(&frame.code.file) == Origin::Stdlib
    }

    /// The files of the program's modules by the queues that their variables lead to.
    fn modules(&mut self) -> Result<FxHashMap<Text, Vec<Addr>>, TooMany> {
        let mut found: FxHashMap<Text, Vec<Addr>> = FxHashMap::default();
        for module in own_modules(self.session, self.walked) {
            let queues = found.entry(module.file).or_default();
            for (_, value) in self.session.reader.dict(module.globals).unwrap_or_default() {
                queues.extend(self.behind(value)?);
            }
        }
        Ok(found)
    }

    /// Adds a user whose function leads to queues by what it has, or by what its module has.
    fn of_frame(
        &mut self,
        frame: &PyFrame,
        modules: &FxHashMap<Text, Vec<Addr>>,
        user: User,
        users: &mut Users,
    ) -> Result<(), TooMany> {
        let reader = self.session.reader;
        if self.is_stdlib(frame) {
            return Ok(());
        }
        let mut queues = modules.get(&frame.code.file).cloned().unwrap_or_default();
        for (_, value) in frame.locals(reader).unwrap_or_default() {
            queues.extend(self.behind(value)?);
        }
        for queue in queues {
            users.entry(queue).or_default().insert(user);
        }
        Ok(())
    }

    /// The queues that an object leads to.
    fn behind(&mut self, object: Addr) -> Result<Vec<Addr>, TooMany> {
        if let Some(known) = self.leads_to.get(&object) {
            return Ok(known.clone());
        }
        let mut found = Vec::new();
        let mut seen: FxHashSet<Addr> = FxHashSet::default();
        let mut wave = vec![object];
        for step in 0..=MAX_STEPS {
            let mut next = Vec::new();
            for object in wave {
                if self.asked.contains(&object) {
                    found.push(object);
                } else if step < MAX_STEPS && seen.insert(object) && self.is_way(object) {
                    self.left = self.left.checked_sub(1).ok_or(TooMany)?;
                    next.extend(references::of(self.session.reader, object).unwrap_or_default());
                }
            }
            wave = next;
        }
        found.sort_unstable();
        found.dedup();
        self.leads_to.insert(object, found.clone());
        Ok(found)
    }

    /// Whether a program gets from an object to what it refers to: not from a future to who waits for it, nor from a
    /// loop to all that it runs.
    fn is_way(&self, object: Addr) -> bool {
        let is_way = |kind: Kind| match kind {
            Kind::Task | Kind::Future | Kind::Coroutine | Kind::Frame | Kind::Traceback | Kind::Exception => {
                false
            }
            kind => !references::is_end(kind),
        };
        !self.walked.index.contains_key(&object)
            && !self.walked.is_loop(object)
            && self.session.reader.kind_of(object).is_ok_and(is_way)
    }
}
