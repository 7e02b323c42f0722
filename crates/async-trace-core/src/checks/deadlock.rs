//! Tasks and threads that wait for each other in a circle, or for a lock that nobody alive can give back.

use super::words::{self, amount};
use super::{Check, Findings, Scene, finding, transactions, unread};
use crate::diff::own_frame;
use crate::finding::{Evidence, Finding, Role, Severity, TaskRef};
use crate::frame::Frame;
use crate::graph::Node;
use crate::snapshot::{
    Hold, Holder, Id, Resource, ResourceKind, Target, Task, TaskState, Thread, Verb, WaitsFor,
};
use rustc_hash::FxHashMap;
use std::borrow::Cow;

pub(super) const CHECK: Check = Check {
    slug: "deadlock",
    about: "tasks and threads that wait for each other, or for a lock whose holder is gone",
    run,
};

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    for (number, knot) in scene.graph.stuck.knots.iter().enumerate() {
        let found = if knot.cycle {
            // Who has a future need not be who was to complete it: that nobody else has it is another story.
            let is_reached = knot.nodes.iter().any(|node| scene.graph.node(*node) == Node::Future);
            if is_reached || full_queue(scene, &knot.nodes).is_some_and(|queue| !feeds_itself(queue)) {
                continue;
            }
            let mut circle = Circle::of(scene, &knot.nodes);
            let mut behind = scene.graph.behind(number).to_vec();
            if full_queue(scene, &knot.nodes).is_some() {
                behind.extend(circle.only_putters());
            }
            behind.retain(|task| !circle.blocks_as(*task));
            circle.finding(&behind)
        } else {
            match scene.graph.node(knot.nodes[0]) {
                Node::Resource(place) if is_lock(scene.now.resources[place as usize].kind) => {
                    let resource = &scene.now.resources[place as usize];
                    abandoned(scene, resource, scene.graph.is_uncertain(knot.nodes[0]))
                        .map(|found| (format!("gone {}", resource.id), found))
                }
                _ => None,
            }
        };
        let Some((shape, found)) = found else { continue };
        let tasks = knot.nodes.iter().filter_map(|node| match scene.graph.node(*node) {
            Node::Task(place) => Some(place),
            _ => None,
        });
        let at = findings.add_alike(shape, found, tasks.chain(scene.graph.behind(number).iter().copied()));
        for node in &knot.nodes {
            if let Node::Thread(place) = scene.graph.node(*node) {
                findings.threads.insert(place, at);
            }
        }
    }
    transactions::circles(scene, findings);
    locks_without_a_holder(scene, findings);
    unread::pairs(scene, findings);
}

/// The full queue that a knot waits for, where it waits for nothing else.
pub(super) fn full_queue<'a>(scene: &Scene<'a>, nodes: &[u32]) -> Option<&'a Resource> {
    let mut full = None;
    for node in nodes {
        match scene.graph.node(*node) {
            Node::Room(place) => full = Some(&scene.now.resources[place as usize]),
            Node::Resource(_) | Node::Thread(_) => return None,
            _ => {}
        }
    }
    full
}

/// Whether those who wait for room in a queue are those who should take from it: each has an item of it
/// in hands. Else those who took from it are gone, which is another story.
fn feeds_itself(queue: &Resource) -> bool {
    let in_hands = queue.state.unfinished.unwrap_or(0) - queue.state.size.unwrap_or(0);
    in_hands > 0 && in_hands >= i64::from(queue.state.putters.unwrap_or(0))
}

pub(super) fn is_lock(kind: ResourceKind) -> bool {
    matches!(kind, ResourceKind::Lock | ResourceKind::ThreadLock | ResourceKind::ThreadRlock)
}

/// A task or thread of a circle.
#[derive(Clone, Copy)]
enum Actor<'a> {
    Task(u32, &'a Task),
    Thread(&'a Thread),
}

impl<'a> Actor<'a> {
    fn waits_for(self) -> Option<&'a WaitsFor> {
        match self {
            Self::Task(_, task) => task.waits_for.as_ref(),
            Self::Thread(thread) => thread.waits_for.as_ref(),
        }
    }

    fn holds(self) -> &'a [Hold] {
        match self {
            Self::Task(_, task) => &task.holds,
            Self::Thread(thread) => &thread.holds,
        }
    }

    fn frame(self) -> Option<&'a Frame> {
        match self {
            Self::Task(_, task) => own_frame(&task.chain),
            Self::Thread(thread) => own_frame(&thread.stack),
        }
    }

    fn is(self, task: Option<Id>, thread: Option<u32>) -> bool {
        match self {
            Self::Task(_, it) => task == Some(it.id),
            Self::Thread(it) => task.is_none() && thread == Some(it.tid) || task.is_some() && task == it.task,
        }
    }
}

/// A knot with its members in the order in which they wait for each other.
struct Circle<'a, 's> {
    scene: &'s Scene<'a>,
    actors: Vec<Actor<'a>>,
    /// Whether each waits for exactly the next, and the last for the first.
    is_ring: bool,
    /// The locks, pools and queues between them.
    resources: Vec<&'a Resource>,
    /// Who holds them.
    holders: Vec<(&'a Resource, Cow<'a, [Holder]>)>,
    /// Whether each edge stands in memory or follows from what does.
    is_certain: bool,
    /// Whether every snapshot shows it.
    is_still: bool,
    /// Whether the snapshot before the newest shows it, too.
    is_confirmed: bool,
}

impl<'a, 's> Circle<'a, 's> {
    fn of(scene: &'s Scene<'a>, nodes: &[u32]) -> Self {
        let actor = |node: u32| match scene.graph.node(node) {
            Node::Task(place) => Some(Actor::Task(place, scene.task(place))),
            Node::Thread(place) => Some(Actor::Thread(&scene.now.threads[place as usize])),
            _ => None,
        };
        let members: Vec<u32> = nodes.iter().copied().filter(|node| actor(*node).is_some()).collect();
        let inside = |node: u32| nodes.binary_search(&node).is_ok();
        // Whom each member waits for, through whatever lies between.
        let next = |from: u32| {
            let mut found = Vec::new();
            let mut wave: Vec<u32> = scene.graph.waits_of(from).filter(|to| inside(*to)).collect();
            let mut seen = wave.clone();
            while let Some(node) = wave.pop() {
                if actor(node).is_some() {
                    found.push(node);
                    continue;
                }
                for to in scene.graph.waits_of(node).filter(|to| inside(*to)) {
                    if !seen.contains(&to) {
                        seen.push(to);
                        wave.push(to);
                    }
                    // A crowd is not a ring; which crowd does not matter here.
                    if found.len() > 1 {
                        break;
                    }
                }
            }
            found
        };
        let mut ring = Vec::new();
        // The order of a longer ring tells nobody anything.
        let mut at = members.first().copied().filter(|_| members.len() <= 64);
        while let Some(node) = at {
            ring.push(node);
            at = match next(node)[..] {
                [to] if to != ring[0] && ring.len() < members.len() => Some(to),
                [_] => None,
                _ => {
                    ring.clear();
                    None
                }
            };
        }
        let is_ring = ring.len() == members.len() && !ring.is_empty();
        // Who blocks a loop comes first: it is what a reader sees first, too.
        if let Some(at) = ring.iter().position(|node| matches!(scene.graph.node(*node), Node::Thread(_))) {
            ring.rotate_left(at);
        }
        let order = if is_ring { ring } else { members };
        let actors: Vec<Actor<'_>> = order.iter().filter_map(|node| actor(*node)).collect();
        let mut resources = Vec::new();
        for node in nodes {
            if let Node::Resource(place) | Node::Room(place) | Node::Done(place) = scene.graph.node(*node) {
                resources.push(&scene.now.resources[place as usize]);
            }
        }
        let is_still = actors.iter().all(|actor| match actor {
            Actor::Task(place, task) => task.state != TaskState::Waiting || scene.is_still(*place),
            Actor::Thread(thread) => scene.history.thread_stands_still(thread),
        });
        let is_confirmed = is_still
            || actors.iter().all(|actor| match actor {
                Actor::Task(place, task) => {
                    task.state != TaskState::Waiting || scene.history.waits_since(*place) > 0.0
                }
                Actor::Thread(thread) => scene.history.thread_stood_still_last(thread),
            });
        let is_certain = !nodes.iter().any(|node| scene.graph.is_uncertain(*node));
        let holders = resources.iter().map(|r| (*r, crate::graph::holders(&scene.index, r))).collect();
        Self { scene, actors, is_ring, resources, holders, is_certain, is_still, is_confirmed }
    }

    /// Of those around a full queue, only who waits for room in it is at fault; the others wait for them.
    fn only_putters(&mut self) -> Vec<u32> {
        let puts = |actor: &Actor<'_>| actor.waits_for().is_some_and(|w| w.verb == Verb::Put);
        let (putters, others): (Vec<_>, Vec<_>) = self.actors.drain(..).partition(puts);
        self.actors = putters;
        self.resources.truncate(1);
        let task = |a: &Actor<'_>| if let Actor::Task(place, _) = a { Some(*place) } else { None };
        others.iter().filter_map(task).collect()
    }

    /// Whether a task is what a thread of the circle is running.
    fn blocks_as(&self, place: u32) -> bool {
        let id = Some(self.scene.task(place).id);
        self.actors.iter().any(|actor| matches!(actor, Actor::Thread(thread) if thread.task == id))
    }

    fn finding(&self, behind: &[u32]) -> Option<(String, Finding)> {
        // A guess must at least have lasted.
        let lasted = self.is_still && self.scene.time_passed();
        if !self.is_certain && !lasted || self.actors.is_empty() {
            return None;
        }
        let mut found = finding(CHECK.slug, Severity::Error, self.summary())
            .evidence(self.evidence())
            .advice(self.remedy());
        found.consequences = self.scene.consequences(behind);
        if !self.is_certain {
            found = found.doubt(self.doubt());
        } else if !self.is_confirmed {
            found = found.doubt("it was not there yet in the snapshot before");
        } else if !self.scene.is_trustworthy() {
            found = found.doubt("the process ran on while it was read, and was read only once");
        }
        let shape: Vec<String> = self.actors.iter().take(8).map(|actor| self.shape(*actor)).collect();
        Some((format!("{} {}", self.actors.len(), shape.join(" ")), found))
    }

    fn is_around_a_full_queue(&self) -> bool {
        let is_full = |r: &&Resource| r.kind == ResourceKind::Queue && r.state.putters.is_some_and(|n| n > 0);
        self.resources.iter().any(is_full)
    }

    fn doubt(&self) -> &'static str {
        if self.is_around_a_full_queue() {
            "who can take from the queue was not read: no other task is left that could"
        } else {
            "not every holder could be read from memory; some are inferred from code"
        }
    }

    fn shape(&self, actor: Actor<'_>) -> String {
        let kind = actor.waits_for().map(|w| (w.verb, w.name.clone()));
        format!("{} {kind:?}", words::place(actor.frame()))
    }

    /// What this member holds, and another one waits for.
    fn held_by(&self, actor: Actor<'_>) -> impl Iterator<Item = (&'a Resource, &Holder)> {
        self.holders.iter().flat_map(move |(resource, holders)| {
            let mine = holders.iter().filter(move |h| actor.is(h.task, h.thread));
            mine.take(1).map(move |holder| (*resource, holder))
        })
    }

    /// What a line that waits for it calls the resource.
    fn name_of(&self, resource: &Resource) -> Option<&'a str> {
        self.actors.iter().find_map(|actor| {
            let waits = actor.waits_for().filter(|waits| waits.within.is_none())?;
            let is_it = self.waited_for(*actor)?.id == resource.id;
            waits.name.as_deref().filter(|_| is_it)
        })
    }

    /// The resource that a member waits for.
    fn waited_for(&self, actor: Actor<'_>) -> Option<&'a Resource> {
        let place = crate::graph::acquired(&self.scene.index, actor.waits_for()?)?;
        Some(&self.scene.now.resources[place as usize])
    }

    /// What a member's own lines call a resource that it waits for or holds; else what another's do.
    fn called_by(&self, actor: Actor<'a>, resource: &Resource) -> Option<&'a str> {
        let own = match actor.waits_for().filter(|waits| waits.within.is_none()) {
            Some(waits) if self.waited_for(actor).is_some_and(|it| it.id == resource.id) => &waits.name,
            _ => actor.holds().iter().find(|hold| hold.resource == resource.id).map_or(&None, |h| &h.name),
        };
        own.as_deref().or_else(|| self.name_of(resource))
    }

    fn words_for(&self, resource: &Resource) -> String {
        words::resource(resource, self.name_of(resource))
    }

    /// A resource as a member of the ring calls it. Where one name is of several, or one has several names,
    /// only the address tells which is which.
    fn words_of(&self, actor: Actor<'a>, resource: &Resource) -> String {
        let words = words::resource(resource, self.called_by(actor, resource));
        if self.is_confusing() { format!("{words} {}", resource.id) } else { words }
    }

    /// Whether names do not tell the resources of the ring apart.
    fn is_confusing(&self) -> bool {
        if !self.is_ring || self.resources.len() < 2 || self.actors.len() > 3 {
            return false;
        }
        let mut names: Vec<(Id, String)> = Vec::new();
        for actor in &self.actors {
            let held = self.held_by(*actor).map(|(resource, _)| resource);
            for resource in held.chain(self.waited_for(*actor)) {
                names.push((resource.id, words::resource(resource, self.called_by(*actor, resource))));
            }
        }
        names.iter().any(|(id, name)| names.iter().any(|(other, its)| (id == other) != (name == its)))
    }

    fn who(&self, actor: Actor<'_>) -> String {
        match actor {
            Actor::Task(_, task) => words::task(task),
            Actor::Thread(thread) => match thread.task.and_then(|id| self.scene.index.get_task(id)) {
                Some(task) => format!("{}, which blocks the event loop's thread,", words::task(task)),
                None => format!("thread {}", thread.name),
            },
        }
    }

    /// Whether a task could go on by itself, if only its loop ran.
    fn needs_its_loop(&self, actor: Actor<'_>) -> bool {
        let Actor::Task(_, task) = actor else { return false };
        let waits_inside = |w: &WaitsFor| match &w.target {
            Target::Tasks { pending, .. } => {
                pending.iter().any(|id| self.actors.iter().any(|a| a.is(Some(*id), None)))
            }
            Target::Job { .. } => true,
            _ => crate::graph::acquired(&self.scene.index, w).is_some_and(|place| {
                let id = self.scene.now.resources[place as usize].id;
                self.resources.iter().any(|r| r.id == id)
            }),
        };
        let thread = self.scene.index.thread_of(task).map(|place| self.scene.now.threads[place as usize].tid);
        let loop_is_in_it =
            self.actors.iter().any(|a| matches!(a, Actor::Thread(t) if Some(t.tid) == thread));
        loop_is_in_it
            && (task.state != TaskState::Waiting || !task.waits_for.as_ref().is_some_and(waits_inside))
    }

    fn waiting(&self, actor: Actor<'a>) -> String {
        let what = self.scene.wait(actor.waits_for());
        let what = match self.waited_for(actor) {
            Some(resource) if !what.starts_with("waits in ") => {
                format!("waits for {}", self.words_of(actor, resource))
            }
            _ => what,
        };
        match actor.frame() {
            Some(frame) => format!("{what} in {}", words::place(Some(frame))),
            None => what,
        }
    }

    fn summary(&self) -> String {
        let n = self.actors.len();
        if let ([actor], [resource]) = (&self.actors[..], &self.resources[..]) {
            let (who, what) = (self.who(*actor), self.words_for(resource));
            let place = words::place(actor.frame());
            return match resource.kind {
                ResourceKind::Queue => {
                    format!("{who} waits in {place} for room in {what}, which only it could make")
                }
                ResourceKind::Executor => {
                    format!("{who} waits in {place} for a job that is queued in {what}, its own executor")
                }
                ResourceKind::Pool | ResourceKind::Semaphore => {
                    format!("{who} holds all of {what} and waits for one more in {place}")
                }
                _ => format!("{who} waits in {place} for {what}, which it holds itself"),
            };
        }
        if let [resource] = &self.resources[..]
            && (n > 1 && !self.is_ring || resource.kind == ResourceKind::Queue)
        {
            return self.crowd(resource);
        }
        if self.is_ring && n <= 3 {
            let parts: Vec<String> = self.actors.iter().map(|actor| self.part(*actor)).collect();
            return parts.join("; ");
        }
        let names: Vec<String> = self.actors.iter().take(4).map(|actor| self.who(*actor)).collect();
        let more = if n > 4 { format!(" and {} more", n - 4) } else { String::new() };
        format!("{n} tasks or threads wait for each other in a circle: {}{more}", names.join(", "))
    }

    /// Many that hold a slot each of one thing and wait for one more.
    fn crowd(&self, resource: &Resource) -> String {
        let what = self.words_for(resource);
        let tasks = amount(self.actors.len(), "task");
        let waits = words::place(self.actors[0].frame());
        if resource.kind == ResourceKind::Executor {
            return format!(
                "all {} of {what} wait in {waits} for jobs that are queued in it",
                amount(self.actors.len(), "thread")
            );
        }
        let holder =
            self.holders.first().and_then(|(_, holders)| holders.first()).and_then(|h| h.at.as_ref());
        if resource.kind == ResourceKind::Queue && holder.is_none() {
            let full = match (resource.state.size, resource.state.capacity) {
                (Some(size), Some(capacity)) if capacity > 0 => format!(" ({size} of {capacity})"),
                _ => String::new(),
            };
            let put = words::call(resource, Verb::Put);
            return format!(
                "{tasks} wait in {put} on the full {what}{full} in {waits}, and only they could take from it"
            );
        }
        let slots = match crate::graph::slots(resource) {
            Some(capacity) => format!("1 of {capacity} slots"),
            None => "a slot".to_owned(),
        };
        let waits_for_it =
            |actor: &&Actor<'a>| self.waited_for(**actor).is_some_and(|it| it.id == resource.id);
        let having = self.actors.iter().filter(|actor| self.held_by(**actor).next().is_some()).count();
        let asking = self.actors.iter().filter(waits_for_it).count();
        if having > 0 && having < self.actors.len() && asking > 0 {
            // Those that have a slot wait for others of the circle, which have none.
            let waits = words::place(self.actors.iter().find(waits_for_it).and_then(|actor| actor.frame()));
            let (hold, wait) = if having == 1 { ("holds", "waits") } else { ("each hold", "wait") };
            return format!(
                "{} {hold} {slots} of {what} in {} and {wait} for {}, which {} for one more in {waits}",
                amount(having, "task"),
                words::place(holder),
                amount(asking, "task"),
                if asking == 1 { "waits" } else { "wait" },
            );
        }
        format!(
            "{tasks} each hold {slots} of {what} in {} and wait for one more in {waits}",
            words::place(holder)
        )
    }

    /// One member of a short ring: what it holds and what it waits for.
    fn part(&self, actor: Actor<'a>) -> String {
        let held: Vec<String> =
            self.held_by(actor).map(|(resource, _)| self.words_of(actor, resource)).collect();
        let who = self.who(actor);
        if self.needs_its_loop(actor) {
            let held =
                if held.is_empty() { "is".to_owned() } else { format!("holds {}", held.join(" and ")) };
            let place = words::place(actor.frame());
            return format!("{who} {held} in {place} and can go on only when that thread runs its loop");
        }
        if held.is_empty() {
            return format!("{who} {}", self.waiting(actor));
        }
        format!("{who} holds {} and {}", held.join(" and "), self.waiting(actor))
    }

    fn evidence(&self) -> Vec<Evidence> {
        /// So many members are shown in full.
        const MEMBERS: usize = 8;
        let mut out: Vec<Evidence> = Vec::new();
        let mut groups: FxHashMap<String, std::ops::Range<usize>> = FxHashMap::default();
        for actor in &self.actors {
            let shape = self.shape(*actor);
            let is_one_of_many = !self.is_ring || self.actors.len() > MEMBERS;
            if let Some(lines) = groups.get(&shape).filter(|_| is_one_of_many) {
                for line in &mut out[lines.clone()] {
                    line.count = Some(line.count.unwrap_or(1) + 1);
                }
                continue;
            }
            if groups.len() >= MEMBERS {
                continue;
            }
            let begin = out.len();
            for (resource, holder) in self.held_by(*actor) {
                let name = self.called_by(*actor, resource);
                let mut line = self.scene.holds_evidence(resource, holder, name);
                if let Actor::Thread(thread) = actor {
                    line.thread = Some(words::thread_ref(thread));
                }
                out.push(line);
            }
            out.push(self.waits_line(*actor));
            groups.entry(shape).or_insert(begin..out.len());
        }
        out
    }

    fn waits_line(&self, actor: Actor<'_>) -> Evidence {
        match actor {
            Actor::Task(place, _) => self.scene.waits_evidence(place),
            Actor::Thread(thread) => {
                let text = format!("{}, blocking its thread", self.scene.wait(thread.waits_for.as_ref()));
                let mut line = Evidence::new(Role::Blocked, text).at(own_frame(&thread.stack));
                line.thread = Some(words::thread_ref(thread));
                line.task = thread.task.and_then(|id| self.scene.index.get_task(id)).map(TaskRef::of);
                line
            }
        }
    }

    fn remedy(&self) -> String {
        let has_thread = self.actors.iter().any(|actor| matches!(actor, Actor::Thread(_)));
        let kinds: Vec<ResourceKind> = self.resources.iter().map(|r| r.kind).collect();
        let is = |kind| kinds.contains(&kind);
        let is_by_a_generator = |(it, holders): &(&Resource, Cow<'_, [Holder]>)| {
            holders.iter().any(|holder| self.scene.is_by_a_generator(it, holder))
        };
        if self.holders.iter().any(is_by_a_generator) {
            words::CLOSE_GENERATOR.to_owned()
        } else if is(ResourceKind::ThreadLock) || is(ResourceKind::ThreadRlock) {
            "do not hold a threading lock across an `await`: use asyncio.Lock, or release it before"
                .to_owned()
        } else if is(ResourceKind::Executor) {
            "do not wait in a job of an executor for another job of the same executor".to_owned()
        } else if has_thread {
            "do not wait synchronously on the event loop's thread for what the loop itself must do: `await` it"
                .to_owned()
        } else if self.is_around_a_full_queue() {
            "let those who take from the queue never wait for room in it: an unbounded queue, put_nowait, or \
             separate tasks for putting"
                .to_owned()
        } else if is(ResourceKind::Pool) || is(ResourceKind::Semaphore) || is(ResourceKind::Queue) {
            "pass the connection or slot that is held on to the inner call, instead of taking a second one"
                .to_owned()
        } else if kinds.iter().any(|kind| kind.is_signal()) {
            "each of them waits for a signal that only another of them can give: let one give its signal before it waits"
                .to_owned()
        } else if self.actors.len() == 1 && self.resources.is_empty() {
            "a task that awaits itself never ends: have what it awaits done before, or by another task"
                .to_owned()
        } else if self.actors.len() == 1 {
            "an asyncio.Lock cannot be taken twice: split the inner part into a function that expects the lock \
             to be held"
                .to_owned()
        } else if self.resources.is_empty() {
            "do not let tasks await each other in a circle".to_owned()
        } else {
            "take these locks in the same order everywhere, or replace them by one".to_owned()
        }
    }
}

/// A lock that is taken, and that nobody alive holds.
fn abandoned(scene: &Scene<'_>, resource: &Resource, is_guess: bool) -> Option<Finding> {
    let waiters: Vec<u32> = resource.waiters.iter().filter_map(|id| scene.index.task(*id)).collect();
    let first = *waiters.first()?;
    if is_guess && !(scene.time_passed() && waiters.iter().all(|task| scene.is_still(*task))) {
        return None;
    }
    let name = scene.task(first).waits_for.as_ref().and_then(|w| w.name.as_deref());
    let what = words::resource(resource, name);
    let n = format!("{} {}", amount(waiters.len(), "task"), scene.waited(waiters.len()));
    let summary = match resource.holders.first() {
        Some(holder) => format!(
            "{n} for {what}, which was taken in {} and never released: its holder is gone",
            words::place(holder.at.as_ref())
        ),
        None => format!("{n} for {what}, which is taken although nobody was found who holds it"),
    };
    let mut found = finding(CHECK.slug, Severity::Error, summary).evidence([scene.waits_evidence(first)]);
    found.evidence[0].count = (waiters.len() > 1).then_some(waiters.len() as u32);
    for holder in &resource.holders {
        found.evidence.push(scene.holds_evidence(resource, holder, name));
    }
    found.consequences = scene.consequences(&scene.behind(&waiters));
    if is_guess {
        found = found.doubt("a holder that took it without `with`, and keeps it out of sight, is not found");
    }
    Some(found.advice("take the lock with `async with`, so that every way out of the block releases it"))
}

/// Locks that are taken, with waiters that do not move, and without any holder that could be found.
fn locks_without_a_holder(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.time_passed() {
        return;
    }
    for resource in &scene.now.resources {
        if resource.kind != ResourceKind::Lock
            || resource.state.locked != Some(true)
            || !resource.holders.is_empty()
            || resource.waiters.is_empty()
        {
            continue;
        }
        let waiters: Vec<u32> = resource.waiters.iter().filter_map(|id| scene.index.task(*id)).collect();
        let quiet = |task: &u32| {
            let timeout = scene.task(*task).waits_for.as_ref().and_then(|w| w.timeout_s);
            scene.is_still(*task) && !findings.explains(*task) && timeout.is_none()
        };
        if waiters.first().is_some_and(quiet)
            && let Some(found) = abandoned(scene, resource, true)
        {
            let behind = scene.behind(&waiters);
            findings.add(found, waiters.into_iter().chain(behind));
        }
    }
}
