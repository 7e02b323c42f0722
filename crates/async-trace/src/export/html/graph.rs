//! The wait graph as it is drawn: tasks that look alike as one node, and of a large graph only what the
//! findings speak of and what that has to do with.

use super::collect::spoken_of;
use super::data::{Edge, Graph, Link, Node, Ring, SaidId};
use super::resources::Entries;
use async_trace_core::Frame;
use async_trace_core::finding::Report;
use async_trace_core::graph::{acquired, holders};
use async_trace_core::index::Index;
use async_trace_core::render::units::{amount, number};
use async_trace_core::render::{self, Group, Mention, Said, Teller, noun, telling};
use async_trace_core::snapshot::{LoopState, Target, Task, TaskState, Trust, Verb, WaitsFor};
use async_trace_core::text::escape;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// How many nodes are drawn: more would be a thicket.
const MOST_NODES: usize = 36;
/// How far around what findings speak of.
const FAR: u32 = 2;

/// A node in the making: what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    /// A unit of tasks, by number.
    Tasks(u32),
    Resource(u32),
    Thread(u32),
}

struct Making<'a> {
    index: &'a Index<'a>,
    entries: &'a Entries,
    /// The members of each unit.
    units: Vec<Vec<u32>>,
    /// By the place of a task.
    unit: Vec<u32>,
    edges: BTreeMap<(Key, Key), (&'static str, bool)>,
}

/// Makes the graph, and its rings.
pub(super) fn draw(
    index: &Index<'_>,
    teller: &Teller<'_>,
    entries: &Entries,
    report: &Report,
    groups: &[Group],
    rings: &[render::Ring],
    say: &mut dyn FnMut(&Said) -> SaidId,
) -> (Graph, Vec<Ring>) {
    let mut making = Making::of(index, entries, groups, rings);
    making.tasks();
    making.threads();
    making.resources();
    let key = |of: &Mention| making.key(*of);
    let rings: Vec<(&render::Ring, Vec<Key>)> =
        rings.iter().map(|ring| (ring, ring.members.iter().filter_map(key).collect())).collect();
    for (ring, keys) in &rings {
        making.close(keys, ring.certain);
    }
    let found = making.found(report);
    making.blocked(&found);
    let mut seeds: Vec<Key> = rings.iter().flat_map(|(_, keys)| keys.iter().copied()).collect();
    seeds.extend(found.iter().copied());
    let drawn = making.choose(&seeds, report.findings.is_empty());
    let place: HashMap<Key, u32> = drawn.iter().copied().zip(0..).collect();

    let ring_of = ring_edges(&rings);
    let edge = |(&(from, to), &(words, guessed)): (&(Key, Key), &(&'static str, bool))| {
        let ring = ring_of.get(&(from, to)).copied();
        Some(Edge { from: *place.get(&from)?, to: *place.get(&to)?, words, ring, guessed })
    };
    let edges = making.edges.iter().filter_map(edge).collect();
    let nodes = drawn.iter().map(|key| making.node(*key, teller, found.contains(key))).collect();
    let left_out = making.left_out(&drawn, report.findings.is_empty());
    let rings = rings
        .iter()
        .map(|(ring, keys)| Ring {
            headline: say(&ring.headline),
            nodes: keys.iter().filter_map(|key| place.get(key).copied()).collect(),
        })
        .collect();
    (Graph { nodes, edges, left_out }, rings)
}

fn ring_edges(rings: &[(&render::Ring, Vec<Key>)]) -> HashMap<(Key, Key), u32> {
    let mut edges = HashMap::new();
    for (number, (_, keys)) in (0..).zip(rings) {
        for (i, from) in keys.iter().enumerate() {
            edges.insert((*from, keys[(i + 1) % keys.len()]), number);
        }
    }
    edges
}

impl<'a> Making<'a> {
    /// Tasks of a ring stand alone, others with those that look like them.
    fn of(index: &'a Index<'a>, entries: &'a Entries, groups: &[Group], rings: &[render::Ring]) -> Self {
        let in_ring: HashSet<u32> = rings
            .iter()
            .flat_map(|ring| &ring.members)
            .filter_map(|of| if let Mention::Task(id) = of { index.task(*id) } else { None })
            .collect();
        let mut units: Vec<Vec<u32>> = in_ring.iter().map(|place| vec![*place]).collect();
        units.sort_unstable();
        for group in groups.iter().filter(|group| group.here) {
            let others: Vec<u32> = group.members.iter().copied().filter(|p| !in_ring.contains(p)).collect();
            if !others.is_empty() {
                units.push(others);
            }
        }
        let mut unit = vec![u32::MAX; index.snapshot.tasks.len()];
        for (number, members) in (0..).zip(&units) {
            for place in members {
                unit[*place as usize] = number;
            }
        }
        Self { index, entries, units, unit, edges: BTreeMap::new() }
    }

    fn key(&self, of: Mention) -> Option<Key> {
        match of {
            Mention::Task(id) => self.task(self.index.task(id)?),
            Mention::Thread(tid) => self.index.thread(tid).map(Key::Thread),
            Mention::Resource(id) => self.index.resource(id).map(|place| self.resource(place)),
        }
    }

    fn task(&self, place: u32) -> Option<Key> {
        let unit = self.unit.get(place as usize).copied().filter(|unit| *unit != u32::MAX);
        unit.map(Key::Tasks)
    }

    fn resource(&self, place: u32) -> Key {
        Key::Resource(self.entries.of_place(place))
    }

    fn edge(&mut self, from: Key, to: Key, words: &'static str, guessed: bool) {
        self.edges.entry((from, to)).or_insert((words, guessed));
    }

    fn tasks(&mut self) {
        let index = self.index;
        for (place, task) in (0..).zip(&index.snapshot.tasks) {
            if let (Some(from), Some(wait)) = (self.task(place), waiting(task)) {
                self.wait(from, wait);
            }
        }
    }

    fn threads(&mut self) {
        let index = self.index;
        for (place, thread) in (0..).zip(&index.snapshot.threads) {
            let from = Key::Thread(place);
            if let Some(wait) = &thread.waits_for {
                self.wait(from, wait);
            }
        }
    }

    fn wait(&mut self, from: Key, wait: &WaitsFor) {
        let guessed = wait.trust == Trust::Guessed;
        if let Some(place) = acquired(self.index, wait) {
            let words = match wait.verb {
                Verb::Get => "gets from",
                Verb::Put => "puts into",
                Verb::Join => "waits until done",
                _ => "waits for",
            };
            return self.edge(from, self.resource(place), words, guessed);
        }
        match &wait.target {
            Target::Tasks { pending, .. } => {
                for id in pending {
                    if let Some(to) = self.index.task(*id).and_then(|place| self.task(place)) {
                        self.edge(from, to, "waits for", guessed);
                    }
                }
            }
            Target::Job { thread: Some(tid), .. } => {
                if let Some(thread) = self.index.thread(*tid) {
                    self.edge(from, Key::Thread(thread), "waits for", guessed);
                }
            }
            Target::Job { executor: Some(id), .. } => {
                if let Some(place) = self.index.resource(*id) {
                    self.edge(from, self.resource(place), "queued in", guessed);
                }
            }
            _ => {}
        }
    }

    fn resources(&mut self) {
        let index = self.index;
        for (place, resource) in (0..).zip(&index.snapshot.resources) {
            let from = self.resource(place);
            for holder in holders(index, resource).iter() {
                let task = holder.task.and_then(|id| self.key(Mention::Task(id)));
                let thread = || holder.thread.and_then(|tid| self.key(Mention::Thread(tid)));
                if let Some(to) = task.or_else(thread) {
                    self.edge(from, to, "held by", holder.trust == Trust::Guessed);
                }
            }
        }
        for (place, thread) in (0..).zip(&index.snapshot.threads) {
            let executor = thread.job.as_ref().and_then(|job| job.executor);
            if let Some(executor) = executor.and_then(|id| index.resource(id)) {
                self.edge(self.resource(executor), Key::Thread(place), "busy with", false);
            }
        }
    }

    /// What a ring consists of is drawn, also where no list of the snapshot says it: a task whose loop's
    /// thread is blocked.
    fn close(&mut self, ring: &[Key], certain: bool) {
        for (i, from) in ring.iter().enumerate() {
            let to = ring[(i + 1) % ring.len()];
            let words = match (from, to) {
                (Key::Tasks(_), Key::Thread(_)) => "cannot run in",
                (Key::Resource(_), _) => "needs",
                _ => "waits for",
            };
            self.edge(*from, to, words, !certain);
        }
    }

    /// A loop that a finding speaks of: the task that keeps it busy, and those that cannot run meanwhile.
    fn blocked(&mut self, found: &[Key]) {
        let index = self.index;
        for event_loop in index.snapshot.loops.iter().filter(|l| l.state == LoopState::Busy) {
            let thread = event_loop.thread.and_then(|tid| self.key(Mention::Thread(tid)));
            let Some(thread) = thread.filter(|thread| found.contains(thread)) else { continue };
            let running = event_loop.task.and_then(|id| self.key(Mention::Task(id)));
            let of_loop = |key: &Key| match key {
                Key::Tasks(unit) => self.units[*unit as usize]
                    .iter()
                    .all(|place| index.snapshot.tasks[*place as usize].event_loop == Some(event_loop.id)),
                _ => false,
            };
            let others: Vec<Key> =
                found.iter().copied().filter(|key| Some(*key) != running && of_loop(key)).collect();
            for key in others {
                self.edge(key, thread, "cannot run in", false);
            }
            if let Some(running) = running {
                self.edge(thread, running, "is busy with", false);
            }
        }
    }

    /// What findings speak of.
    fn found(&self, report: &Report) -> Vec<Key> {
        let mut found = Vec::new();
        for finding in &report.findings {
            let evidence = &finding.evidence;
            found.extend(evidence.iter().filter_map(|e| self.key(Mention::Thread(e.thread.as_ref()?.tid))));
            found.extend(spoken_of(finding).filter_map(|id| self.key(Mention::Task(id))));
            found
                .extend(evidence.iter().filter_map(|e| self.key(Mention::Resource(e.resource.as_ref()?.id))));
        }
        found
    }

    /// What is drawn: the seeds and what is near them; where all is well, all that waits for each other.
    fn choose(&self, seeds: &[Key], healthy: bool) -> Vec<Key> {
        let mut near: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
        for (from, to) in self.edges.keys() {
            near.entry(*from).or_default().push(*to);
            near.entry(*to).or_default().push(*from);
        }
        let mut seen: HashSet<Key> = HashSet::new();
        let mut drawn: Vec<Key> = Vec::new();
        let mut todo: VecDeque<(Key, u32)> = seeds.iter().map(|key| (*key, 0)).collect();
        if healthy {
            todo.extend(near.keys().map(|key| (*key, 0)));
        }
        while let Some((key, distance)) = todo.pop_front() {
            if drawn.len() == MOST_NODES {
                break;
            }
            if seen.insert(key) {
                drawn.push(key);
                if distance < FAR {
                    let near = near.get(&key).into_iter().flatten();
                    todo.extend(near.map(|key| (*key, distance + 1)));
                }
            }
        }
        drawn
    }

    fn node(&self, key: Key, teller: &Teller<'_>, found: bool) -> Node {
        match key {
            Key::Tasks(unit) => self.task_node(&self.units[unit as usize], teller, found),
            Key::Resource(entry) => self.resource_node(entry, teller, found),
            Key::Thread(place) => {
                let thread = &self.index.snapshot.threads[place as usize];
                let (place_words, brief) = at(&thread.stack, teller);
                let name = escape(&thread.name).into_owned();
                let link = Link::Thread(place);
                Node { kind: "thread", what: "thread".into(), name, place: place_words, brief, link, found }
            }
        }
    }

    fn task_node(&self, members: &[u32], teller: &Teller<'_>, found: bool) -> Node {
        let first = members.first().copied().unwrap_or(0);
        let task = &self.index.snapshot.tasks[first as usize];
        let (what, name) = match members.len() {
            1 => ("task".to_owned(), escape(&task.name).into_owned()),
            n => {
                let title = words(&teller.title(members));
                let names = title.split_once(": ").map(|(_, names)| names.to_owned());
                (amount(n as u64, "task"), names.unwrap_or_default())
            }
        };
        let (place, brief) = at(&task.chain, teller);
        Node { kind: "task", what, name, place, brief, link: Link::Task(first), found }
    }

    fn resource_node(&self, entry: u32, teller: &Teller<'_>, found: bool) -> Node {
        let resources = &self.index.snapshot.resources;
        let members = &self.entries.members[entry as usize];
        let resource = &resources[members.first().copied().unwrap_or(0) as usize];
        let noun = escape(&noun(&resource.type_name)).into_owned();
        let called = words(&teller.resource_name(resource));
        let name = called.strip_prefix(&noun).map_or(called.clone(), |name| name.trim().to_owned());
        let namesakes =
            resources.iter().filter(|r| r.name == resource.name && r.type_name == resource.type_name);
        let what = match members.len() as u64 {
            1 if resource.name.is_some() && namesakes.count() > 1 => format!("{noun} {}", resource.id),
            1 => noun,
            n => format!("{} × {noun}", number(n)),
        };
        let taken =
            resource.holders.iter().find_map(|holder| Some((holder.at.as_ref()?, holder.taken_line?)));
        let (place, brief) = match taken {
            _ if members.len() > 1 => ("one for each".to_owned(), "one for each".to_owned()),
            Some((frame, line)) => {
                (format!("taken at {}:{line}", escape(teller.file(frame))), format!("taken at line {line}"))
            }
            None => {
                // What stands after its name is its state.
                let all = words(&teller.resource(resource));
                let state = all.strip_prefix(&called).filter(|_| resource.holders.is_empty()).unwrap_or("");
                let state = state.trim_matches([',', ';', ' ', '(', ')']).trim_start_matches("which is ");
                (state.to_owned(), state.to_owned())
            }
        };
        Node { kind: "resource", what, name, place, brief, link: Link::Resource(entry), found }
    }

    fn left_out(&self, drawn: &[Key], healthy: bool) -> Option<String> {
        let drawn: HashSet<Key> = drawn.iter().copied().collect();
        let linked: HashSet<Key> = self.edges.keys().flat_map(|(from, to)| [*from, *to]).collect();
        let (mut alone, mut others) = (0, 0);
        for (unit, members) in (0..).zip(&self.units) {
            let key = Key::Tasks(unit);
            match (drawn.contains(&key), linked.contains(&key)) {
                (true, _) => {}
                (false, true) => others += members.len() as u64,
                (false, false) => alone += members.len() as u64,
            }
        }
        let mut parts = Vec::new();
        if others > 0 {
            let why = if healthy { "more than fit in" } else { "that no finding has to do with" };
            parts.push(format!("{} {why}", amount(others, "task")));
        }
        if alone > 0 {
            let verb = if alone == 1 { "runs or waits" } else { "run or wait" };
            parts.push(format!(
                "{} that {verb} for the outside (timers, connections, …)",
                amount(alone, "task")
            ));
        }
        (!parts.is_empty()).then(|| format!("Not drawn: {}.", parts.join("; ")))
    }
}

fn waiting(task: &Task) -> Option<&WaitsFor> {
    task.waits_for.as_ref().filter(|_| task.state == TaskState::Waiting)
}

fn words(said: &Said) -> String {
    said.iter().map(|piece| piece.text.as_str()).collect()
}

/// `bank.py:40 (transfer)`, and `transfer, line 40` where there is little room.
fn at(stack: &[Frame], teller: &Teller<'_>) -> (String, String) {
    let Some(frame) = telling(stack) else { return <(String, String)>::default() };
    let function = escape(&frame.function);
    match frame.line {
        0 => (function.clone().into_owned(), function.into_owned()),
        line => {
            let last = function.rsplit('.').next().unwrap_or(&function);
            (format!("{}:{line} ({function})", escape(teller.file(frame))), format!("{last}, line {line}"))
        }
    }
}
