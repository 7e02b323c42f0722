//! Who can get at what is waited for: the tasks and threads whose variables lead to it, and those that have failed and had it.
//!
//! Who is alive is looked for where somebody waits for room in a queue, or for its items to be done; and, for all that
//! one task brings to another, where somebody has failed who was to bring it. Whoever hides an object better than a few
//! steps behind a variable is not found: who is missing here may be there all the same.

use super::failed::Failed;
use super::kept::own_modules;
use super::walk::{On, Session, Task, Wait, Walked};
use super::{chain, event_loop, reach, task};
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::{Kind, Read, Reader};
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::{Failure, Id, ResourceKind, Verb};
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};

/// Among more tasks there will be one that runs; and so many objects are looked at.
const MAX_TASKS: usize = 2000;
const MAX_OBJECTS: usize = 100_000;
/// The methods that take an item from a queue, and those that bring what others wait for.
const TAKES: &[&str] = &["get", "get_nowait"];
const PUTS: &[&str] = &["put", "put_nowait", "send", "send_nowait", "shutdown"];
const SETS: &[&str] = &["set"];
const NOTIFIES: &[&str] = &["notify", "notify_all"];
const COMPLETES: &[&str] = &["set_result", "set_exception"];
/// The modules of asyncio whose objects serve a connection.
const TRANSPORTS: &[&str] =
    &["asyncio.selector_events.", "asyncio.sslproto.", "asyncio.streams.", "asyncio.base_events.Server"];
/// `self`, its attributes, an object of these, its attributes.
const MAX_STEPS: u32 = 4;

/// `tp_dict` of `PyTypeObject` (Include/cpython/object.h).
const TYPE_DICT: u64 = 264;

/// Those who can get at each object.
pub(crate) type Users = FxHashMap<Addr, Found>;

/// Those who can get at an object.
#[derive(Default)]
pub(crate) struct Found {
    pub users: FxHashSet<User>,
    /// Who could, and has failed.
    pub failed: Vec<Failure>,
}

/// Somebody who can get at an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum User {
    /// A task, by its address.
    Task(Addr),
    /// A thread outside of its event loop, by its number.
    Thread(u32),
}

/// What is to be done to an object so that those who wait for it go on.
#[derive(Clone, Copy)]
struct Help {
    /// The names of the methods that do so.
    by: &'static [&'static str],
    /// Whoever is alive and can get at it counts, whatever methods it calls.
    by_anybody: bool,
}

/// Whose function is looked at.
#[derive(Clone, Copy)]
enum Of<'a> {
    Failed,
    /// Somebody's who lives, after the functions of these names have failed.
    Living(&'a [Text]),
}

/// Looks for them; nothing where there is too much to look at.
pub(crate) fn read(session: &Session<'_>, failed: &[Failed], walked: &Walked) -> Users {
    let asked = asked(walked, !failed.is_empty());
    if asked.is_empty() || walked.tasks.len() > MAX_TASKS {
        return Users::default();
    }
    Search::new(session, walked, asked).all(failed).unwrap_or_default()
}

/// The tasks that wait in the program's own code for what nothing but the program's own functions could bring them.
#[derive(Default)]
pub(crate) struct Unhelped {
    pub tasks: FxHashSet<Id>,
    /// The types of the futures that they wait for.
    pub type_names: FxHashMap<Id, Text>,
    /// The files of the program.
    pub files: Vec<Text>,
}

/// The methods that complete a thing of this kind, or a future.
pub(crate) fn completed_by(kind: Option<ResourceKind>) -> &'static [&'static str] {
    match kind {
        Some(ResourceKind::Queue) => PUTS,
        Some(ResourceKind::Event) => SETS,
        Some(ResourceKind::Condition) => NOTIFIES,
        _ => COMPLETES,
    }
}

/// Looks for those who are unhelped: no callback of an event loop and no function of a library leads to what they wait for,
/// and nothing ends their wait after some time.
pub(crate) fn unhelped(session: &Session<'_>, walked: &Walked) -> Unhelped {
    if walked.tasks.len() > MAX_TASKS {
        return Unhelped::default();
    }
    let reader = session.reader;
    let limited = reach::limited(session, walked);
    let main: Vec<&Task> = walked.tasks.iter().filter(|task| reach::is_main(reader, task.addr)).collect();
    let behind_main = reach::awaited_by(walked, &main);
    let is_main_stuck =
        |task: &Task| behind_main.contains(&task.addr) || main.iter().any(|main| main.addr == task.addr);
    let mut asked: FxHashMap<Addr, Help> = FxHashMap::default();
    let mut tasks: Vec<(&Task, Addr)> = Vec::new();
    for task in walked.tasks.iter().filter(|task| !limited.contains(&task.addr)) {
        let frames = task.chain.iter().rev();
        let is_own =
            frames.map(|frame| frame.origin).find(|origin| *origin != Origin::Stdlib) == Some(Origin::Own);
        let Some((object, help)) = brought(walked, task).filter(|_| is_own) else { continue };
        // Consumers that are idle for good are no error, but for a program that waits for them to end.
        if help.by != PUTS || is_main_stuck(task) {
            asked.insert(object, help);
            tasks.push((task, object));
        }
    }
    if asked.is_empty() {
        return Unhelped::default();
    }
    let mut search = Search { stops_at_transports: true, ..Search::new(session, walked, asked) };
    let Ok(unhelped) = search.unhelped() else { return Unhelped::default() };
    tasks.retain(|(_, object)| unhelped.contains_key(object));
    let type_name = |(task, _): &(&Task, Addr)| {
        let of = reader.type_of(task.waiter).ok()?;
        Some((task.addr.into(), reader.full_type_name(&of)))
    };
    Unhelped {
        type_names: tasks.iter().filter_map(type_name).collect(),
        tasks: tasks.iter().map(|(task, _)| task.addr.into()).collect(),
        files: own_modules(session, walked).into_iter().map(|module| module.file).collect(),
    }
}

/// What is asked for: `all` of it only where somebody has failed.
fn asked(walked: &Walked, all: bool) -> FxHashMap<Addr, Help> {
    let room = |task: &Task| match task.wait.as_ref()? {
        Wait { on: On::Resource(queue), verb: Verb::Put | Verb::Join, .. } => {
            Some((*queue, Help { by: TAKES, by_anybody: true }))
        }
        _ => None,
    };
    let help = |task: &Task| room(task).or_else(|| brought(walked, task).filter(|_| all));
    walked.tasks.iter().filter_map(help).collect()
}

/// What somebody is to bring a task, and by which methods.
fn brought(walked: &Walked, task: &Task) -> Option<(Addr, Help)> {
    let wait = task.wait.as_ref()?;
    let kind = match wait.on {
        On::Resource(resource) => Some(walked.resources.get(resource)?.kind),
        _ => None,
    };
    let object = match (&wait.on, kind, wait.verb) {
        (On::Future(future), ..) => *future,
        (On::Resource(resource), Some(ResourceKind::Queue), Verb::Get)
        | (On::Resource(resource), Some(ResourceKind::Event), _)
        | (On::Resource(resource), Some(ResourceKind::Condition), Verb::Wait) => *resource,
        // An object of a library or of the program: what it has to bring is this future.
        (On::Resource(_), Some(ResourceKind::Manager), _) => task.waiter,
        _ => return None,
    };
    Some((object, Help { by: completed_by(kind), by_anybody: false }))
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
    asked: FxHashMap<Addr, Help>,
    /// What is asked for that an object leads to.
    leads_to: FxHashMap<Addr, Vec<Addr>>,
    left: usize,
    /// What a transport leads to is not looked at.
    stops_at_transports: bool,
}

impl<'a> Search<'a> {
    fn new(session: &'a Session<'a>, walked: &'a Walked, asked: FxHashMap<Addr, Help>) -> Self {
        let (leads_to, left) = (FxHashMap::default(), MAX_OBJECTS);
        Self { session, walked, asked, leads_to, left, stops_at_transports: false }
    }

    fn all(&mut self, failed: &[Failed]) -> Result<Users, TooMany> {
        let mut users: Users = self.asked.keys().map(|object| (*object, Found::default())).collect();
        let modules = self.modules()?;
        for failed in failed {
            for frame in &failed.frames {
                for object in self.of_frame(frame, &modules, Of::Failed)? {
                    let found = users.entry(object).or_default();
                    if !found.failed.contains(&failed.failure) {
                        found.failed.push(failed.failure.clone());
                    }
                }
            }
        }
        // What nobody has failed to bring is no more of interest. Where somebody has, it counts who does the same.
        self.asked.retain(|object, help| {
            let has_failed = users.get(object).is_some_and(|found| !found.failed.is_empty());
            let is_of_interest = help.by_anybody || has_failed;
            help.by_anybody &= !has_failed;
            is_of_interest
        });
        users.retain(|object, _| self.asked.contains_key(object));
        let ended: Vec<Text> = failed
            .iter()
            .filter_map(|failed| failed.failure.task.as_ref())
            .map(|task| task.function.clone())
            .collect();
        let mut chain = chain::Chain::default();
        for task in &self.walked.tasks {
            let nodes = task::nodes(self.session, task.addr, &mut chain, self.walked).unwrap_or_default();
            if waits_for_room(self.walked, task, MAX_STEPS) && !self.takes(&nodes) {
                continue;
            }
            for frame in nodes.iter().filter_map(|node| node.frame.as_ref()) {
                for object in self.of_frame(frame, &modules, Of::Living(&ended))? {
                    users.entry(object).or_default().users.insert(User::Task(task.addr));
                }
            }
        }
        for thread in self.walked.threads.iter().filter(|thread| thread.running_loop.is_none()) {
            for frame in &thread.stack {
                for object in self.of_frame(frame, &modules, Of::Living(&ended))? {
                    users.entry(object).or_default().users.insert(User::Thread(thread.state.tid));
                }
            }
        }
        self.leave_to_callbacks(&mut users)?;
        Ok(users)
    }

    /// Leaves out what a callback may bring that an event loop is going to call.
    fn leave_to_callbacks(&mut self, users: &mut Users) -> Result<(), TooMany> {
        if self.asked.values().all(|help| help.by_anybody) {
            return Ok(());
        }
        for found in &self.walked.loops {
            for called in event_loop::called(self.session.reader, found.addr).unwrap_or_default() {
                for object in self.behind(called)? {
                    if self.asked.get(&object).is_some_and(|help| !help.by_anybody) {
                        users.remove(&object);
                    }
                }
            }
        }
        Ok(())
    }

    /// What neither a callback nor a function of a library may bring, of what is asked for. The program is called by way of
    /// a connection, too, but then by its own functions.
    fn unhelped(&mut self) -> Result<Users, TooMany> {
        let mut users: Users = self.asked.keys().map(|object| (*object, Found::default())).collect();
        self.leave_to_callbacks(&mut users)?;
        let modules = FxHashMap::default();
        let is_library = |frame: &PyFrame| self.session.places.origin_of(&frame.code.file) == Origin::Library;
        let mut chain = chain::Chain::default();
        let mut frames: Vec<PyFrame> = Vec::new();
        for task in &self.walked.tasks {
            let nodes = task::nodes(self.session, task.addr, &mut chain, self.walked).unwrap_or_default();
            frames.extend(nodes.into_iter().filter_map(|node| node.frame).filter(is_library));
        }
        let stacks = self.walked.threads.iter().flat_map(|thread| &thread.stack);
        frames.extend(stacks.filter(|frame| is_library(frame)).cloned());
        for frame in &frames {
            for object in self.of_frame(frame, &modules, Of::Living(&[]))? {
                users.remove(&object);
            }
        }
        Ok(users)
    }

    /// Whether a function that a task is in takes something from a queue, as far as the names it uses tell.
    fn takes(&self, nodes: &[chain::Node]) -> bool {
        let frames = nodes.iter().filter_map(|node| node.frame.as_ref());
        let reader = self.session.reader;
        let mut outside = frames.filter(|frame| !self.is_stdlib(frame));
        let mentions = |frame: &PyFrame, name| frame.code.mentions(reader, name).unwrap_or(true);
        // `async for item in stream` mentions no method.
        let is_receiver = |object: Addr| {
            reader.type_of(object).is_ok_and(|of| of.short_name() == "MemoryObjectReceiveStream")
        };
        let has_receiver = |frame: &PyFrame| {
            frame.locals(reader).unwrap_or_default().into_iter().any(|(_, value)| is_receiver(value))
        };
        outside.any(|frame| TAKES.iter().any(|name| mentions(frame, name)) || has_receiver(frame))
    }

    fn is_stdlib(&self, frame: &PyFrame) -> bool {
        self.session.places.origin_of(&frame.code.file) == Origin::Stdlib
    }

    /// The program's modules, by their files.
    fn modules(&mut self) -> Result<FxHashMap<Text, Module>, TooMany> {
        let reader = self.session.reader;
        let mut found: FxHashMap<Text, Module> = FxHashMap::default();
        for own in own_modules(self.session, self.walked) {
            let module = found.entry(own.file).or_default();
            for (_, value) in reader.dict(own.globals).unwrap_or_default() {
                module.leads_to.extend(self.behind(value)?);
                // What cannot be read now helps nobody.
                let _ = module.add_functions(self.session.reader, value);
            }
        }
        Ok(found)
    }

    /// What is asked for that a function leads to by what it has, or by what its module has; and only what it could
    /// bring, as far as the names tell that it mentions, where that is asked for.
    fn of_frame(
        &mut self,
        frame: &PyFrame,
        modules: &FxHashMap<Text, Module>,
        of: Of<'_>,
    ) -> Result<Vec<Addr>, TooMany> {
        let reader = self.session.reader;
        if self.is_stdlib(frame) {
            return Ok(Vec::new());
        }
        let module = modules.get(&frame.code.file);
        let mut found = module.map(|module| module.leads_to.clone()).unwrap_or_default();
        for (_, value) in frame.locals(reader).unwrap_or_default() {
            found.extend(self.behind(value)?);
        }
        found.sort_unstable();
        found.dedup();
        if !found.is_empty() {
            let mentioned = frame.code.mentioned(reader).ok();
            let helps = |help: &Help| match (of, mentioned.as_deref()) {
                (Of::Failed, Some(names)) => helps(help, names, modules, &[]),
                (Of::Failed, None) => false,
                (Of::Living(ended), Some(names)) => help.by_anybody || helps(help, names, modules, ended),
                (Of::Living(_), None) => true,
            };
            found.retain(|object| self.asked.get(object).is_some_and(helps));
        }
        Ok(found)
    }

    /// What is asked for that an object leads to.
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
                if self.asked.contains_key(&object) {
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
            && (!self.stops_at_transports || !self.is_transport(object))
    }

    /// Whether it serves a connection, or is told of one.
    fn is_transport(&self, object: Addr) -> bool {
        let reader = self.session.reader;
        let of = reader.type_of(object);
        reach::is_protocol(reader, object)
            || of.is_ok_and(|of| {
                TRANSPORTS.iter().any(|module| reader.full_type_name(&of).starts_with(module))
            })
    }
}

/// What a module of the program has.
#[derive(Default)]
struct Module {
    /// What is asked for that its variables lead to.
    leads_to: Vec<Addr>,
    /// Its functions and methods, and what each mentions.
    functions: Vec<(Text, Vec<Text>)>,
}

impl Module {
    /// Notes a function, or those of a class.
    fn add_functions(&mut self, reader: &Reader<'_>, value: Addr) -> Read<()> {
        match reader.kind_of(value)? {
            Kind::Function => self.functions.push(mentioned_by(reader, value)?),
            Kind::Type if reader.type_at(value)?.is_heap() => {
                for (_, value) in reader.dict(reader.ptr(value + TYPE_DICT)?)? {
                    if reader.kind_of(value)? == Kind::Function {
                        self.functions.push(mentioned_by(reader, value)?);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The name of a function, and the names that it mentions.
fn mentioned_by(reader: &Reader<'_>, function: Addr) -> Read<(Text, Vec<Text>)> {
    let code = reader.code(reader.ptr(function + reader.layout.function.code)?)?;
    Ok((code.name.clone(), code.mentioned(reader)?))
}

/// Whether a function that mentions these `names` may bring what is waited for: it mentions a method that does so, or a
/// function of the program that mentions one.
fn helps(help: &Help, names: &[Text], modules: &FxHashMap<Text, Module>, ended: &[Text]) -> bool {
    let is_direct = |name: &Text| help.by.contains(&&**name);
    let calls = |name: &Text| {
        let mut functions = modules.values().flat_map(|module| &module.functions);
        !ended.contains(name)
            && functions.any(|(function, mentioned)| function == name && mentioned.iter().any(is_direct))
    };
    names.iter().any(|name| is_direct(name) || calls(name))
}
