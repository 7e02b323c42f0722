//! A recording as a Chrome trace, which Perfetto and `chrome://tracing` show: a track for each task, one for
//! each thread that runs a loop or works for one, counters, and arrows for who waits for whom.
//!
//! Events are written in the order of their times. What a task did is known at the samples only: a slice begins
//! with the first sample that shows it and ends with the first that no longer does.

use super::Sample;
use crate::diff::own_frame;
use crate::frame::Frame;
use crate::index::Index;
use crate::render::brief;
use crate::render::paths::Paths;
use crate::snapshot::{Id, LoopState, Snapshot, Target, Task, TaskState, Thread};
use crate::text::{Text, escape};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

/// Tracks of tasks are numbered from here on: no thread of Linux has so large an id.
const FIRST_TASK: u64 = 5_000_001;
/// From one wait, at most so many arrows.
const ARROWS: usize = 4;

#[derive(Serialize, Default)]
struct Event<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    cat: &'a str,
    ph: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<u64>,
    pid: u32,
    tid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    /// An arrow ends at the slice that is there, not at the next one to begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    args: BTreeMap<&'a str, Value<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(&'a str),
    Number(u64),
}

/// What a track shows now.
struct Slice {
    words: String,
    category: &'static str,
    at: String,
    chain: Arc<[Frame]>,
    /// Whom it waits for, by their tasks.
    on: Vec<Id>,
    /// Whether that is because they hold something.
    held: bool,
}

struct Track {
    tid: u64,
    name: Text,
    slice: Slice,
    seen: bool,
}

/// Writes a trace while the samples come in.
pub struct TraceWriter<W: Write> {
    out: W,
    started_s: Option<f64>,
    /// The time of the newest sample, in microseconds since the first.
    now: u64,
    pid: u32,
    events: u64,
    arrows: u64,
    tasks: FxHashMap<Id, Track>,
    next: u64,
    threads: FxHashMap<u32, Option<String>>,
    counters: FxHashMap<&'static str, u64>,
    paths: Option<Paths>,
}

impl<W: Write> TraceWriter<W> {
    /// Begins a trace.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
        Ok(Self {
            out,
            started_s: None,
            now: 0,
            pid: 0,
            events: 0,
            arrows: 0,
            tasks: FxHashMap::default(),
            next: FIRST_TASK,
            threads: FxHashMap::default(),
            counters: FxHashMap::default(),
            paths: None,
        })
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.out.write_all(if self.events > 0 { b",\n" } else { b"\n" })?;
        self.events += 1;
        serde_json::to_writer(&mut self.out, event).map_err(io::Error::from)
    }

    fn name_of_track(&mut self, tid: u64, what: &str, name: &str) -> io::Result<()> {
        let name = escape(name);
        let args = [("name", Value::Text(&name))].into();
        self.event(&Event { name: what, ph: "M", pid: self.pid, tid, args, ..Event::default() })
    }

    fn end(&mut self, tid: u64) -> io::Result<()> {
        self.event(&Event { ph: "E", ts: Some(self.now), pid: self.pid, tid, ..Event::default() })
    }

    fn begin(&mut self, tid: u64, slice: &Slice) -> io::Result<()> {
        let words = escape(&slice.words).into_owned();
        let (at, mut chain) = (escape(&slice.at).into_owned(), String::new());
        for frame in slice.chain.iter() {
            let file = self.paths.as_ref().map_or(&*frame.file, |paths| paths.short(frame));
            chain.push_str(if chain.is_empty() { "" } else { " > " });
            chain.push_str(&escape(&format!("{} ({file}:{})", frame.function, frame.line)));
        }
        let mut args = BTreeMap::new();
        for (key, text) in [("at", &at), ("chain", &chain)] {
            if !text.is_empty() {
                args.insert(key, Value::Text(text));
            }
        }
        let event = Event {
            name: &words,
            cat: slice.category,
            ph: "B",
            ts: Some(self.now),
            pid: self.pid,
            tid,
            args,
            ..Event::default()
        };
        self.event(&event)
    }

    /// One end of an arrow.
    fn arrow(&mut self, id: u64, tid: u64, name: &str, begins: bool) -> io::Result<()> {
        let event = Event {
            name,
            cat: "flow",
            ph: if begins { "s" } else { "f" },
            ts: Some(self.now),
            pid: self.pid,
            tid,
            id: Some(id),
            bp: (!begins).then_some("e"),
            ..Event::default()
        };
        self.event(&event)
    }

    fn counter(&mut self, name: &'static str, value: u64) -> io::Result<()> {
        if self.counters.insert(name, value) == Some(value) {
            return Ok(());
        }
        let args = [("value", Value::Number(value))].into();
        let (ts, pid) = (Some(self.now), self.pid);
        self.event(&Event { name, ph: "C", ts, pid, args, ..Event::default() })
    }

    /// Adds the next sample.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn add(&mut self, sample: &Sample) -> io::Result<()> {
        let snapshot = &sample.snapshot;
        let started = match self.started_s {
            Some(started) => started,
            None => {
                self.pid = snapshot.process.pid;
                self.started_s = Some(snapshot.capture.time_s);
                self.name_of_track(0, "process_name", &snapshot.process.command.join(" "))?;
                snapshot.capture.time_s
            }
        };
        self.now = self.now.max(((snapshot.capture.time_s - started) * 1e6).round() as u64);
        self.paths = Some(Paths::of(snapshot));
        let index = Index::of(snapshot);
        self.tasks(&index)?;
        self.threads(&index)?;
        self.counter("tasks", snapshot.alive().count() as u64)?;
        let ready = snapshot.loops.iter().filter_map(|l| l.ready).fold(0, u64::saturating_add);
        self.counter("ready callbacks", ready)
    }

    fn tasks(&mut self, index: &Index<'_>) -> io::Result<()> {
        let snapshot = index.snapshot;
        for track in self.tasks.values_mut() {
            track.seen = false;
        }
        let mut changed: Vec<(&Task, Slice)> = Vec::new();
        let mut gone: Vec<(u64, Id)> = Vec::new();
        for task in snapshot.alive() {
            let words = brief::task(index, task);
            let on = waits_on(index, task);
            match self.tasks.get_mut(&task.id).filter(|track| track.name == task.name) {
                Some(track) => {
                    track.seen = true;
                    if track.slice.words != words || track.slice.chain != task.chain || track.slice.on != on.0
                    {
                        changed.push((task, self.slice(task, words, on)));
                    }
                }
                None => changed.push((task, self.slice(task, words, on))),
            }
        }
        gone.extend(self.tasks.iter().filter(|(_, t)| !t.seen).map(|(id, t)| (t.tid, *id)));
        gone.sort_unstable();

        // Who has woken whom: the arrow begins in what the other one did until now.
        let mut woken: Vec<(u64, u64)> = Vec::new();
        let ended: FxHashSet<Id> = gone.iter().map(|(_, id)| *id).collect();
        for (task, slice) in &changed {
            let Some(track) = self.tasks.get(&task.id).filter(|t| t.seen) else { continue };
            let let_go =
                |id: &&Id| if track.slice.held { !slice.on.contains(id) } else { ended.contains(id) };
            let wakers = track.slice.on.iter().filter(let_go).take(ARROWS);
            woken.extend(wakers.filter_map(|id| Some((self.tasks.get(id)?.tid, track.tid))));
        }
        let first = self.arrows;
        self.arrows += woken.len() as u64;
        for ((from, _), id) in woken.iter().zip(first..) {
            self.arrow(id, *from, "woke", true)?;
        }
        for (tid, id) in gone {
            self.end(tid)?;
            self.tasks.remove(&id);
        }
        let mut begun = Vec::new();
        for (task, slice) in changed {
            let tid = match self.tasks.get(&task.id) {
                Some(track) => {
                    let tid = track.tid;
                    self.end(tid)?;
                    tid
                }
                None => {
                    self.next += 1;
                    self.name_of_track(self.next - 1, "thread_name", &format!("task {}", task.name))?;
                    self.next - 1
                }
            };
            self.begin(tid, &slice)?;
            begun.push((task.id, tid));
            self.tasks.insert(task.id, Track { tid, name: Text::clone(&task.name), slice, seen: true });
        }
        for ((_, to), id) in woken.iter().zip(first..) {
            self.arrow(id, *to, "woke", false)?;
        }
        for (task, from) in begun {
            let to: Vec<u64> = self.tasks.get(&task).map_or_else(Vec::new, |track| {
                let on = track.slice.on.iter().take(ARROWS);
                on.filter_map(|id| Some(self.tasks.get(id)?.tid)).filter(|to| *to != from).collect()
            });
            for to in to {
                let id = self.arrows;
                self.arrows += 1;
                self.arrow(id, from, "waits for", true)?;
                self.arrow(id, to, "waits for", false)?;
            }
        }
        Ok(())
    }

    fn slice(&self, task: &Task, words: String, (on, held): (Vec<Id>, bool)) -> Slice {
        let category = match task.state {
            TaskState::Running => "running",
            TaskState::Ready => "ready",
            TaskState::Waiting | TaskState::Done => "waiting",
        };
        Slice { words, category, at: self.place(&task.chain), chain: Arc::clone(&task.chain), on, held }
    }

    fn place(&self, chain: &[Frame]) -> String {
        let file = |f: &Frame| self.paths.as_ref().map_or_else(String::new, |p| p.short(f).to_owned());
        own_frame(chain).map_or_else(String::new, |f| format!("{}:{} ({})", file(f), f.line, f.function))
    }

    fn threads(&mut self, index: &Index<'_>) -> io::Result<()> {
        let snapshot = index.snapshot;
        let mut seen = FxHashSet::default();
        for thread in snapshot.threads.iter().filter(|t| t.tid != 0) {
            let runs = thread.event_loop.is_some() || thread.job.is_some();
            if !runs && !self.threads.contains_key(&thread.tid) {
                continue;
            }
            let tid = u64::from(thread.tid);
            seen.insert(thread.tid);
            let words = does(snapshot, index, thread);
            let open = match self.threads.get(&thread.tid) {
                Some(words) => words.clone(),
                None => {
                    self.name_of_track(tid, "thread_name", &format!("thread {}", thread.name))?;
                    self.threads.insert(thread.tid, None);
                    None
                }
            };
            if open == words {
                continue;
            }
            if open.is_some() {
                self.end(tid)?;
            }
            if let Some(words) = &words {
                let slice = Slice {
                    words: words.clone(),
                    category: "thread",
                    at: self.place(&thread.stack),
                    chain: Arc::clone(&thread.stack),
                    on: Vec::new(),
                    held: false,
                };
                self.begin(tid, &slice)?;
            }
            self.threads.insert(thread.tid, words);
        }
        let ended: Vec<u32> = self.threads.keys().copied().filter(|tid| !seen.contains(tid)).collect();
        for tid in ended {
            if self.threads.remove(&tid).flatten().is_some() {
                self.end(u64::from(tid))?;
            }
        }
        Ok(())
    }

    /// Ends the trace, `lasted_s` after the last sample.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self, lasted_s: f64) -> io::Result<()> {
        self.now += (lasted_s.max(0.0) * 1e6).round() as u64;
        let mut open: Vec<u64> = self.tasks.values().map(|t| t.tid).collect();
        open.extend(self.threads.iter().filter(|(_, w)| w.is_some()).map(|(tid, _)| u64::from(*tid)));
        open.sort_unstable();
        for tid in open {
            self.end(tid)?;
        }
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()
    }
}

/// What a thread is at; nothing when it sleeps.
fn does(snapshot: &Snapshot, index: &Index<'_>, thread: &Thread) -> Option<String> {
    if let Some(job) = &thread.job {
        return Some(job.function.as_ref().map_or_else(|| "a job".into(), ToString::to_string));
    }
    let event_loop = snapshot.loops.iter().find(|l| Some(l.id) == thread.event_loop)?;
    if event_loop.state != LoopState::Busy {
        return None;
    }
    let task = event_loop.task.or(thread.task).and_then(|id| index.get_task(id));
    let function = own_frame(&thread.stack).map(|f| f.function.to_string());
    Some(match (task, function) {
        (Some(task), Some(function)) => format!("task {}: {function}", task.name),
        (Some(task), None) => format!("task {}", task.name),
        (None, Some(function)) => function,
        (None, None) => "busy".into(),
    })
}

/// The tasks that a task waits for, and whether it waits for what they hold.
fn waits_on(index: &Index<'_>, task: &Task) -> (Vec<Id>, bool) {
    if task.state != TaskState::Waiting {
        return (Vec::new(), false);
    }
    match task.waits_for.as_ref().map(|w| &w.target) {
        Some(Target::Tasks { pending, .. }) => (pending.clone(), false),
        Some(Target::Resource { id }) => {
            let holders = index.get_resource(*id).map_or(&[][..], |r| &r.holders);
            (holders.iter().filter_map(|h| h.task).filter(|id| *id != task.id).collect(), true)
        }
        _ => (Vec::new(), false),
    }
}
