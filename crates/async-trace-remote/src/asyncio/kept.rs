//! By which variable of the program a coroutine is still referred to, and whether it will be turned to.

use super::walk::{Session, Walked};
use super::{chain, event_loop, resource, task};
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::{Kind, Read, Reader};
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::frame::{Frame, Origin};
use async_trace_core::snapshot::{Id, ResourceKind, Snapshot, Task};
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};

/// From how many tasks and objects what they refer to is followed, and how many steps away from a variable.
const MAX_TASKS: usize = 1000;
const MAX_OBJECTS: usize = 20_000;
const MAX_STEPS: u32 = 8;

/// What refers to a coroutine.
#[derive(Default)]
pub(crate) struct Keeper {
    /// The nearest variable of the program, in words: "list `outbox` of module app".
    pub words: Option<Text>,
    /// Whether it will be turned to: it lies in a queue, or in what a loop of a waiting function goes through.
    pub waits_its_turn: bool,
    /// Functions and modules that can see what refers to it. None for all.
    pub seen_in: FxHashSet<Option<Text>>,
    /// Variables of waiting functions that hold it, or something that it is an item of.
    pub held_in: Vec<Held>,
}

/// A variable of a waiting function.
#[derive(Clone)]
pub(crate) struct Held {
    pub name: Text,
    /// Where the function is.
    pub file: Text,
    pub line: u32,
    pub how: How,
}

/// What a variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A coroutine.
    Local,
    /// A coroutine that was passed to the function.
    Parameter,
    /// A list or another container with coroutines.
    Container,
    /// An object with such a container.
    Owner,
}

/// Something that refers to an object.
struct Variable {
    /// None for what a function has at hand without a name: what its loop goes through.
    name: Option<Text>,
    /// `main()` or `module app`.
    of: Text,
    /// The function.
    function: Option<Text>,
    /// For one of a waiting function, where that is.
    held: Option<Held>,
}

impl Variable {
    /// One that a task or module has for as long as it is there.
    fn lasting(name: Text, of: Text) -> Self {
        Self { name: Some(name), of, function: None, held: None }
    }

    fn holds(&self) -> Text {
        match &self.name {
            Some(name) => format!("`{name}` of {}", self.of).into(),
            None => self.of.clone(),
        }
    }

    /// That an object in it refers to what is looked for, `step` steps away.
    fn leads_to(&self, kind: &str, step: u32) -> Text {
        match &self.name {
            Some(name) if step == 0 => format!("{kind} `{name}` of {}", self.of).into(),
            Some(name) => format!("a {kind} in `{name}` of {}", self.of).into(),
            None => format!("a {kind} in use by {}", self.of).into(),
        }
    }
}

/// Whether what is behind an object will be turned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Unknown,
    /// It is in what a loop goes through.
    Listed,
    /// It is in a queue.
    Queued,
}

impl Turn {
    /// The same of what it refers to, which is of this kind.
    fn at(self, kind: Kind) -> Self {
        match (self, kind) {
            (Self::Listed | Self::Queued, Kind::Iterator | Kind::List | Kind::Tuple) => self,
            // An item of a queue may be an object around a coroutine.
            (Self::Queued, Kind::Dict | Kind::Deque | Kind::Other) => self,
            _ => Self::Unknown,
        }
    }
}

/// An object on the way from a variable.
#[derive(Clone, Copy)]
struct Step {
    object: Addr,
    variable: usize,
    turn: Turn,
}

/// Where to begin.
struct Roots<'a> {
    session: &'a Session<'a>,
    wanted: &'a FxHashSet<Addr>,
    variables: Vec<Variable>,
    wave: Vec<Step>,
    found: FxHashMap<Addr, Keeper>,
}

/// What keeps each of the coroutines `wanted`. Of libraries only the functions that are waiting are looked at.
pub(crate) fn keepers(
    session: &Session<'_>,
    walked: &Walked,
    wanted: &FxHashSet<Addr>,
) -> FxHashMap<Addr, Keeper> {
    let reader = session.reader;
    let Roots { variables, mut wave, mut found, .. } = Roots::of(session, walked, wanted);
    // `run_coroutine_threadsafe` leaves it to a callback to make a task of it.
    for event_loop in &walked.loops {
        let at_hand = event_loop::at_hand(reader, event_loop.addr).unwrap_or_default();
        for object in at_hand.into_iter().filter(|object| wanted.contains(object)) {
            found.entry(object).or_default().waits_its_turn = true;
        }
    }
    let roots: Vec<Addr> = wave.iter().map(|step| step.object).collect();
    let mut same: FxHashMap<Addr, Vec<&Variable>> = FxHashMap::default();
    for (root, variable) in roots.iter().zip(&variables) {
        // A thousand tasks may be in one function.
        let known = same.entry(*root).or_default();
        if known.iter().all(|known| (&known.function, &known.name) != (&variable.function, &variable.name)) {
            known.push(variable);
        }
    }
    let mut note = |object: Addr, from: Step, words: &dyn Fn(&Variable) -> Text| {
        let keeper: &mut Keeper = found.entry(object).or_default();
        keeper.waits_its_turn |= from.turn > Turn::Unknown;
        let root = roots[from.variable];
        if object != root {
            let how = if from.object == root { How::Container } else { How::Owner };
            let held = same[&root].iter().filter_map(|variable| variable.held.clone());
            keeper.held_in.extend(held.map(|held| Held { how, ..held }));
        }
        if keeper.words.is_none() {
            keeper.words = Some(words(&variables[from.variable]));
            keeper.seen_in = same[&root].iter().map(|variable| variable.function.clone()).collect();
        }
    };
    for step in wave.iter().filter(|step| wanted.contains(&step.object)) {
        note(step.object, *step, &Variable::holds);
    }
    let mut seen: FxHashMap<Addr, Turn> =
        walked.loops.iter().map(|event_loop| (event_loop.addr, Turn::Queued)).collect();
    for distance in 0..MAX_STEPS {
        let mut next = Vec::new();
        for step in wave {
            let Step { object, variable, mut turn } = step;
            if walked.index.contains_key(&object)
                || seen.len() >= MAX_OBJECTS
                || seen.get(&object).is_some_and(|before| *before >= turn)
            {
                continue;
            }
            seen.insert(object, turn);
            if resource::kind(reader, object) == Ok(Some(ResourceKind::Queue)) {
                turn = Turn::Queued;
            }
            for referred in references::of(reader, object).unwrap_or_default() {
                if wanted.contains(&referred) {
                    let kind = reader.type_of(object);
                    let kind = kind.as_ref().map_or("object", |kind| kind.short_name());
                    note(referred, Step { turn, ..step }, &|variable| variable.leads_to(kind, distance));
                } else if let Ok(kind) = reader.kind_of(referred)
                    && !references::is_end(kind)
                {
                    next.push(Step { object: referred, variable, turn: turn.at(kind) });
                }
            }
        }
        wave = next;
    }
    found
}

impl<'a> Roots<'a> {
    /// The variables of the program's own code: of tasks and threads that are in it, and of its modules.
    fn of(session: &'a Session<'a>, walked: &Walked, wanted: &'a FxHashSet<Addr>) -> Self {
        let reader = session.reader;
        let mut roots =
            Self { session, wanted, variables: Vec::new(), wave: Vec::new(), found: FxHashMap::default() };
        let mut chain = chain::Chain::default();
        for (number, task) in walked.tasks.iter().enumerate() {
            let nodes = task::nodes(session, task.addr, &mut chain, walked).unwrap_or_default();
            for node in &nodes {
                if let (Some(frame), Some(place)) = (&node.frame, session.places.frame(node.place)) {
                    // What cannot be read now is on its way.
                    let _ = roots.add_waiting(frame, &place, number < MAX_TASKS);
                }
            }
        }
        for frame in walked.threads.iter().flat_map(|thread| &thread.stack) {
            if session.places.origin_of(&frame.code.file) == Origin::Own {
                let of: Text = format!("{}()", frame.code.name).into();
                for (name, value) in frame.locals(reader).unwrap_or_default() {
                    roots.add(Variable::lasting(name, of.clone()), value, Turn::Unknown);
                }
            }
        }
        for module in own_modules(session, walked) {
            let of: Text = format!("module {}", module.name).into();
            for (name, value) in reader.dict(module.globals).unwrap_or_default() {
                if let Ok(name) = reader.text(name) {
                    roots.add(Variable::lasting(name, of.clone()), value, Turn::Unknown);
                }
            }
        }
        roots
    }

    fn add(&mut self, variable: Variable, object: Addr, turn: Turn) {
        if leads_on(self.session.reader, object) && self.wave.len() < MAX_OBJECTS {
            self.wave.push(Step { object, variable: self.variables.len(), turn });
            self.variables.push(variable);
        }
    }

    /// What the function of a waiting task refers to; that what it refers to leads on is of interest for those that are
    /// the program's own, unless they are too many.
    fn add_waiting(&mut self, frame: &PyFrame, place: &Frame, leads_on: bool) -> Read<()> {
        let reader = self.session.reader;
        let leads_on = leads_on && place.origin == Origin::Own;
        let variable = |held: Option<Held>| Variable {
            name: held.as_ref().map(|held| held.name.clone()),
            of: format!("{}()", place.function).into(),
            function: Some(place.function.clone()),
            held,
        };
        let held = |name, how| Held { name, file: place.file.clone(), line: place.line, how };
        let parameters = frame.code.parameters(reader)?;
        let parameters: FxHashSet<Text> =
            frame.code.variables(reader)?.iter().take(parameters).map(|v| v.name.clone()).collect();
        for (name, value) in frame.locals(reader)? {
            if self.wanted.contains(&value) {
                let how = if parameters.contains(&name) { How::Parameter } else { How::Local };
                self.found.entry(value).or_default().held_in.push(held(name.clone(), how));
            }
            if leads_on {
                self.add(variable(Some(held(name, How::Container))), value, Turn::Unknown);
            }
        }
        // On its stack is what its loops go through, but also what it awaits, and `self` of a call in the making.
        let stack = references::slots(reader, frame)?.into_iter().filter(|(_, is_variable)| !is_variable);
        for (value, _) in stack {
            let is_sequence = matches!(reader.kind_of(value)?, Kind::Iterator | Kind::List | Kind::Tuple);
            if is_sequence || self.wanted.contains(&value) {
                self.add(variable(None), value, Turn::Listed);
            }
        }
        Ok(())
    }
}

/// Which functions await a coroutine of each function (with its file): those of the tasks that are in one, and of the
/// tasks that wait for these.
pub(crate) struct AtWork(FxHashMap<(Text, Text), FxHashSet<Text>>);

impl AtWork {
    /// Of the functions `wanted`.
    pub(crate) fn of(snapshot: &Snapshot, wanted: FxHashSet<(Text, Text)>) -> Self {
        let index: FxHashMap<Id, &Task> = snapshot.tasks.iter().map(|task| (task.id, task)).collect();
        let mut found: FxHashMap<(Text, Text), FxHashSet<Text>> = FxHashMap::default();
        for kind in wanted {
            let is_in = |task: &&Task| task.chain.iter().any(|f| f.function == kind.0 && f.file == kind.1);
            let mut wave: Vec<&Task> = snapshot.tasks.iter().filter(is_in).collect();
            let mut seen: FxHashSet<Id> = wave.iter().map(|task| task.id).collect();
            let mut functions = FxHashSet::default();
            while let Some(task) = wave.pop() {
                functions.extend(task.chain.iter().map(|frame| frame.function.clone()));
                let above = task.awaited_by.iter().map(|above| above.task);
                wave.extend(above.filter(|id| seen.insert(*id)).filter_map(|id| index.get(&id)));
            }
            if !functions.is_empty() {
                found.insert(kind, functions);
            }
        }
        Self(found)
    }

    /// Whether one of them can see what keeps a coroutine of a function.
    pub(crate) fn sees(&self, function: &Text, file: &Text, keeper: &Keeper) -> bool {
        let functions = self.0.get(&(function.clone(), file.clone()));
        functions.is_some_and(|functions| {
            keeper.seen_in.iter().any(|seen| seen.as_ref().is_none_or(|seen| functions.contains(seen)))
        })
    }
}

/// A module that is the program's own.
pub(super) struct OwnModule {
    pub name: Text,
    pub file: Text,
    /// The dict of its variables.
    pub globals: Addr,
}

/// The modules of the program itself.
pub(super) fn own_modules(session: &Session<'_>, walked: &Walked) -> Vec<OwnModule> {
    let reader = session.reader;
    let own = |name: Addr, module: Addr| -> Read<Option<OwnModule>> {
        let Some(globals) = reader.globals_of(module)? else { return Ok(None) };
        let Some(file) = reader.module_file(globals)? else { return Ok(None) };
        if session.places.origin_of(&file) != Origin::Own {
            return Ok(None);
        }
        Ok(Some(OwnModule { name: reader.text(name)?, file, globals }))
    };
    let modules = walked.interpreters.iter().map(|interpreter| reader.dict(interpreter.modules));
    modules.flat_map(Result::unwrap_or_default).filter_map(|(name, module)| own(name, module).ok()?).collect()
}

/// Whether an object can lead to others that are the program's.
fn leads_on(reader: &Reader<'_>, object: Addr) -> bool {
    reader.kind_of(object).is_ok_and(|kind| !references::is_end(kind))
}
