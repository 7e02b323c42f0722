//! The wait graph as nodes and edges, for whoever draws graphs: who waits for what, and who holds it.
//!
//! Tasks that do the same are one node with their number, as in the tree; those that wait for each other in
//! a ring each have their own.

use super::brief;
use super::forest::Forest;
use super::paths::Paths;
use super::ring::{Member, Ring, rings};
use super::shape::Shapes;
use super::units::{amount, number};
use super::words::noun;
use crate::diff::own_frame;
use crate::frame::Frame;
use crate::index::Index;
use crate::snapshot::*;
use crate::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};

/// Of a group, so many edges to different targets are drawn.
const EDGES: usize = 50;

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Task,
    Tasks,
    Resource,
    Thread,
}

pub(super) struct Node {
    pub kind: Kind,
    /// The lines of its label, the first one its name. Not escaped.
    pub lines: Vec<String>,
    pub ring: Option<Ringed>,
}

/// That something is in a ring of tasks that wait for each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ringed {
    Certainly,
    Probably,
}

impl Ringed {
    fn of(ring: &Ring) -> Self {
        if ring.certain { Self::Certainly } else { Self::Probably }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Certainly => "DEADLOCK",
            Self::Probably => "probably a DEADLOCK",
        }
    }
}

pub(super) struct Edge {
    pub from: usize,
    pub to: usize,
    pub label: String,
    pub ring: Option<Ringed>,
    /// Whether this is only a guess.
    pub guessed: bool,
}

impl Edge {
    /// Its label, with what is to be said of it.
    pub(super) fn words(&self) -> String {
        let ring = self.ring.map_or_else(String::new, |ring| format!("{}: ", ring.words()));
        let guess = if self.guessed { "probably " } else { "" };
        format!("{ring}{guess}{}", self.label)
    }
}

pub(super) struct WaitGraph {
    pub title: String,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Task(u32),
    Shape(u32),
    Resource(u32),
    Thread(u32),
}

impl WaitGraph {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let index = Index::of(snapshot);
        let forest = Forest::of(&index, |_| true);
        let shapes = Shapes::of(&index, &forest);
        let rings = rings(&index);
        let mut making = Making::new(&index, &shapes, &rings);
        let mut order = forest.order.clone();
        // As they stand in the snapshot: a graph has no top.
        order.sort_unstable();
        making.groups(&order);
        for position in &order {
            making.task(*position);
        }
        for (place, thread) in snapshot.threads.iter().enumerate() {
            if let Some(wait) = &thread.waits_for {
                let from = making.node(Key::Thread(place as u32));
                making.wait(from, wait, &thread.stack, None);
            }
        }
        making.close_rings();
        let tasks = order.len() as u64;
        let mut title = format!("process {}, {}", snapshot.process.pid, amount(tasks, "task"));
        if let Some(ring) = rings.iter().find(|ring| ring.certain).or(rings.first()) {
            title.push_str(": ");
            title.push_str(Ringed::of(ring).words());
        }
        Self { title, nodes: making.nodes, edges: making.edges }
    }
}

struct Making<'a> {
    index: &'a Index<'a>,
    shapes: &'a Shapes,
    paths: Paths,
    /// For each member of a ring, those that it leads to there.
    next: Vec<(Key, Key, Ringed)>,
    members: FxHashMap<Key, Ringed>,
    /// The tasks of each shape.
    groups: FxHashMap<Key, Vec<u32>>,
    places: FxHashMap<Key, usize>,
    keys: Vec<Key>,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    known: FxHashSet<(usize, usize, String)>,
    /// How many edges a node has.
    degrees: FxHashMap<usize, usize>,
}

impl<'a> Making<'a> {
    fn new(index: &'a Index<'a>, shapes: &'a Shapes, rings: &[Ring]) -> Self {
        let key = |member: &Member| match member {
            Member::Task(place) => Key::Task(*place),
            Member::Thread(place) => Key::Thread(*place),
            Member::Resource(place) => Key::Resource(*place),
        };
        let (mut next, mut members) = (Vec::new(), FxHashMap::default());
        for ring in rings {
            let after = ring.members.iter().cycle().skip(1);
            next.extend(ring.members.iter().zip(after).map(|(a, b)| (key(a), key(b), Ringed::of(ring))));
            members.extend(ring.members.iter().map(|member| (key(member), Ringed::of(ring))));
        }
        Self {
            index,
            shapes,
            paths: Paths::of(index.snapshot),
            next,
            members,
            groups: FxHashMap::default(),
            places: FxHashMap::default(),
            keys: Vec::new(),
            nodes: Vec::new(),
            edges: Vec::new(),
            known: FxHashSet::default(),
            degrees: FxHashMap::default(),
        }
    }

    fn groups(&mut self, order: &[u32]) {
        for position in order.iter().filter(|p| !self.members.contains_key(&Key::Task(**p))) {
            self.groups.entry(Key::Shape(self.shapes.shape(*position))).or_default().push(*position);
        }
    }

    /// Under which node a task is drawn.
    fn key(&self, position: u32) -> Key {
        let shape = Key::Shape(self.shapes.shape(position));
        match self.groups.get(&shape) {
            Some(group) if group.len() > 1 && !self.members.contains_key(&Key::Task(position)) => shape,
            _ => Key::Task(position),
        }
    }

    fn task(&mut self, position: u32) {
        let task = &self.index.snapshot.tasks[position as usize];
        let from = self.node(self.key(position));
        if task.state == TaskState::Waiting
            && let Some(wait) = &task.waits_for
        {
            self.wait(from, wait, &task.chain, Some(task.id));
        }
    }

    /// The node of a key, which is made when it is first asked for.
    fn node(&mut self, key: Key) -> usize {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let node = Node { ring: self.members.get(&key).copied(), ..self.describe(key) };
        self.nodes.push(node);
        self.keys.push(key);
        self.places.insert(key, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    fn describe(&self, key: Key) -> Node {
        let snapshot = self.index.snapshot;
        let (kind, lines) = match key {
            Key::Task(place) => {
                let task = &snapshot.tasks[place as usize];
                (Kind::Task, self.task_lines(format!("task {}", task.name), task))
            }
            Key::Shape(_) => {
                let group = self.groups.get(&key).map_or(&[][..], Vec::as_slice);
                let first = group.first().map(|place| &snapshot.tasks[*place as usize]);
                let name = first.map_or("", |t| &*t.name);
                let title = format!("{} tasks, such as {name}", number(group.len() as u64));
                (Kind::Tasks, first.map_or_else(Vec::new, |task| self.task_lines(title, task)))
            }
            Key::Resource(place) => {
                let resource = &snapshot.resources[place as usize];
                let name = resource.name.as_ref().map_or_else(|| resource.id.to_string(), Text::to_string);
                let mut lines = vec![format!("{} {name}", noun(&resource.type_name))];
                lines.extend(state(resource));
                (Kind::Resource, lines)
            }
            Key::Thread(place) => {
                let thread = &snapshot.threads[place as usize];
                let mut lines = vec![format!("thread {} ({})", thread.name, thread.tid)];
                lines.extend(self.place(&thread.stack));
                (Kind::Thread, lines)
            }
        };
        Node { kind, lines, ring: None }
    }

    fn task_lines(&self, title: String, task: &Task) -> Vec<String> {
        let mut lines = vec![title];
        lines.extend(self.place(&task.chain));
        lines.push(match task.state {
            TaskState::Waiting => format!("waits: {}", brief::task(self.index, task)),
            _ => brief::task(self.index, task),
        });
        lines
    }

    fn place(&self, stack: &[Frame]) -> Option<String> {
        let frame = own_frame(stack)?;
        Some(format!("at {}:{} ({})", self.paths.short(frame), frame.line, frame.function))
    }

    fn wait(&mut self, from: usize, wait: &WaitsFor, stack: &[Frame], asking: Option<Id>) {
        let line = own_frame(stack).filter(|f| f.line > 0);
        let label = line.map_or_else(|| "waits".into(), |f| format!("waits at line {}", f.line));
        let guessed = wait.trust == Trust::Guessed;
        match &wait.target {
            Target::Tasks { pending, .. } => {
                for place in pending.iter().filter_map(|id| self.index.task(*id)) {
                    let to = self.key(place);
                    self.edge(from, to, &label, guessed);
                }
            }
            Target::Resource { id } => self.resource(from, *id, &label, guessed, asking),
            Target::Job { thread, executor, .. } => {
                if let Some(place) = thread.and_then(|tid| self.index.thread(tid)) {
                    self.edge(from, Key::Thread(place), &label, guessed);
                } else if let Some(id) = executor {
                    self.resource(from, *id, &label, guessed, asking);
                }
            }
            _ => {}
        }
        if let Some(pool) = wait.within {
            self.resource(from, pool, &label, guessed, asking);
        }
    }

    fn resource(&mut self, from: usize, id: Id, label: &str, guessed: bool, asking: Option<Id>) {
        let Some(place) = self.index.resource(id) else { return };
        let resource = &self.index.snapshot.resources[place as usize];
        // What only one task has to do with says nothing beside its own words.
        if resource.holders.is_empty() && resource.waiters.len() + resource.blocked_threads.len() <= 1 {
            return;
        }
        let own = Key::Resource(place);
        self.edge(from, own, label, guessed);
        let node = self.node(own);
        for holder in &resource.holders {
            let at = holder.at.as_ref().filter(|f| f.line > 0);
            let label = at.map_or_else(|| "held".into(), |f| format!("held at line {}", f.line));
            let to = match (holder.task, holder.thread) {
                (Some(id), _) => self.index.task(id).map(|place| self.key(place)),
                (None, Some(tid)) => self.index.thread(tid).map(Key::Thread),
                (None, None) => None,
            };
            // A queue's getter is no holder of it, but a lock may be waited for by who has it.
            if let Some(to) = to
                && (holder.task.is_none() || holder.task != asking || resource.kind != ResourceKind::Pool)
            {
                self.edge(node, to, &label, holder.trust == Trust::Guessed);
            }
        }
    }

    /// Draws the steps of rings that go another way than those of single waits: through a pool, by who can get
    /// at an event.
    fn close_rings(&mut self) {
        for (a, b, _) in self.next.clone() {
            let (from, to) = (self.node(a), self.node(b));
            if !self.edges.iter().any(|edge| edge.from == from && edge.to == to) {
                let label = if matches!(a, Key::Resource(_)) { "held" } else { "waits" };
                self.edge(from, b, label, false);
            }
        }
    }

    fn edge(&mut self, from: usize, to: Key, label: &str, guessed: bool) {
        let degree = self.degrees.entry(from).or_default();
        if *degree >= EDGES {
            return;
        }
        *degree += 1;
        let from_key = self.keys[from];
        let ring = self.next.iter().find(|(a, b, _)| *a == from_key && *b == to).map(|(.., ring)| *ring);
        let to = self.node(to);
        if self.known.insert((from, to, label.to_owned())) {
            self.edges.push(Edge { from, to, label: label.to_owned(), ring, guessed });
        } else if let Some(degree) = self.degrees.get_mut(&from) {
            *degree -= 1;
        }
    }
}

/// How a resource stands, in a few words.
fn state(resource: &Resource) -> Option<String> {
    let state = &resource.state;
    match (resource.kind, state.size, state.capacity) {
        (ResourceKind::Event, ..) => {
            state.set.map(|set| if set { "is set".into() } else { "is not set".into() })
        }
        (ResourceKind::Semaphore, Some(free), Some(all)) if all > 0 => Some(format!("{free} of {all} free")),
        (ResourceKind::Semaphore, Some(free), _) => Some(format!("{free} free")),
        (ResourceKind::Queue, Some(size), Some(all)) if all > 0 => Some(format!("{size} of {all} items")),
        (ResourceKind::Queue, Some(size), _) => Some(amount(size.unsigned_abs(), "item")),
        (ResourceKind::Pool, Some(size), Some(all)) if all > 0 => Some(format!("size {size} of {all}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{dot, mermaid};
    use crate::fixture::snapshot;

    const DEADLOCK: &str = "
lock a
lock b
event done unset
task one
  transfer bank.py:40
  holds a
  waits acquire b
task two
  transfer bank.py:41
  holds b
  waits acquire a
task victim x3
  report bank.py:60
  waits acquire a
task parent
  main bank.py:70
  waits gather tasks victim-1 victim-2 victim-3
task idle
  main bank.py:80
  waits wait done
";

    #[test]
    fn a_ring_stands_out_and_equal_tasks_are_one_node() {
        let mut s = snapshot(DEADLOCK);
        s.tasks[1].name = "two\\\"];\n<b>`#".into();
        let mut text = String::new();
        dot(&s, &mut text);
        insta::assert_snapshot!(text, @r##"
        digraph waits {
          graph [label="process 4711, 7 tasks: DEADLOCK", labelloc=t, rankdir=LR, fontname="sans-serif"];
          node [shape=box, style="rounded,filled", fillcolor="#f4f4f0", color="#555555", fontname="sans-serif", fontsize=11];
          edge [color="#555555", fontname="sans-serif", fontsize=9];
          n0 [label="DEADLOCK\ntask one\nat bank.py:40 (transfer)\nwaits: Lock b", color="#c00000", penwidth=3, peripheries=2];
          n1 [label="DEADLOCK\nLock b", shape=ellipse, style=filled, fillcolor="#fff2cc", color="#c00000", penwidth=3, peripheries=2];
          n2 [label="DEADLOCK\ntask two\\\"];\\n<b>`#\nat bank.py:41 (transfer)\nwaits: Lock a", color="#c00000", penwidth=3, peripheries=2];
          n3 [label="DEADLOCK\nLock a", shape=ellipse, style=filled, fillcolor="#fff2cc", color="#c00000", penwidth=3, peripheries=2];
          n4 [label="3 tasks, such as victim-1\nat bank.py:60 (report)\nwaits: Lock a", shape=box3d, style=filled];
          n5 [label="task parent\nat bank.py:70 (main)\nwaits: tasks report in a gather"];
          n6 [label="task idle\nat bank.py:80 (main)\nwaits: Event done"];
          n0 -> n1 [label="DEADLOCK: waits at line 40", color="#c00000", fontcolor="#c00000", penwidth=3];
          n1 -> n2 [label="DEADLOCK: held at line 41", color="#c00000", fontcolor="#c00000", penwidth=3];
          n2 -> n3 [label="DEADLOCK: waits at line 41", color="#c00000", fontcolor="#c00000", penwidth=3];
          n3 -> n0 [label="DEADLOCK: held at line 40", color="#c00000", fontcolor="#c00000", penwidth=3];
          n4 -> n3 [label="waits at line 60"];
          n5 -> n4 [label="waits at line 70"];
        }
        "##);
        let mut text = String::new();
        mermaid(&s, &mut text);
        insta::assert_snapshot!(text, @r#"
        ---
        title: "process 4711, 7 tasks: DEADLOCK"
        ---
        flowchart LR
          n0("DEADLOCK<br/>task one<br/>at bank.py:40 (transfer)<br/>waits: Lock b"):::ring
          n1(["DEADLOCK<br/>Lock b"]):::ring
          n2("DEADLOCK<br/>task two#92;#34;#93;#59;#92;n#60;b#62;#96;#35;<br/>at bank.py:41 (transfer)<br/>waits: Lock a"):::ring
          n3(["DEADLOCK<br/>Lock a"]):::ring
          n4[["3 tasks, such as victim-1<br/>at bank.py:60 (report)<br/>waits: Lock a"]]
          n5("task parent<br/>at bank.py:70 (main)<br/>waits: tasks report in a gather")
          n6("task idle<br/>at bank.py:80 (main)<br/>waits: Event done")
          n0 ==>|"DEADLOCK: waits at line 40"| n1
          n1 ==>|"DEADLOCK: held at line 41"| n2
          n2 ==>|"DEADLOCK: waits at line 41"| n3
          n3 ==>|"DEADLOCK: held at line 40"| n0
          n4 -->|"waits at line 60"| n3
          n5 -->|"waits at line 70"| n4
          classDef ring stroke:#c00000,stroke-width:4px
          linkStyle 0,1,2,3 stroke:#c00000,stroke-width:4px
        "#);
    }

    #[test]
    fn a_hundred_thousand_tasks_are_few_nodes() {
        let s = snapshot(
            "lock a\ntask holder\n  f app.py:1\n  holds a\n  waits sleep timer 1\ntask t x100000\n  g app.py:2\n  waits acquire a",
        );
        let mut text = String::new();
        dot(&s, &mut text);
        assert_eq!(text.matches("label=").count(), 1 + 3 + 2, "{text}");
    }
}
