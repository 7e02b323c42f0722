//! Names and short phrases for the sentences of findings. Text of the target stays as it is: whoever
//! shows a finding escapes it.

use super::Scene;
use crate::diff::own_frame;
use crate::finding::{Evidence, ResourceRef, Role, TaskRef, ThreadRef};
use crate::frame::{Frame, Origin};
pub(super) use crate::render::units::seconds;
use crate::render::{is_memory_stream, noun};
use crate::snapshot::{
    CreationSource, Ended, Failure, FileKind, Holder, OpenFile, Resource, Target, Task, TaskState, Thread,
    Verb, WaitsFor,
};

/// `a Future`, `an Event`.
fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

/// How far was looked for those who could help.
pub(super) const ONLY_VARIABLES: &str =
    "who else could do so was looked for only in the variables of tasks, threads and modules";

pub(super) const ONLY_TEXT: &str =
    "what else could do so was looked for only in the text of the program, not in its libraries";

/// Of so many that have failed evidence is shown.
const FAILURES: usize = 3;

/// `task feed, which had it, has failed unnoticed: ValueError`.
pub(super) fn failure(failure: &Failure, did: &str) -> String {
    let error = &failure.error;
    match &failure.task {
        Some(task) if task.name == task.function => {
            format!("task {}, which {did}, has failed unnoticed: {error}", task.name)
        }
        Some(task) => {
            format!("task {} ({}), which {did}, has failed unnoticed: {error}", task.name, task.function)
        }
        None => format!("{}(), which {did}, has failed: {error}", failure.at.function),
    }
}

/// Where they failed, and where those were created that are tasks.
pub(super) fn failures(failed: &[Failure]) -> impl Iterator<Item = Evidence> {
    failed.iter().take(FAILURES).flat_map(|failure| {
        let created = failure.task.as_ref().and_then(|task| task.created.as_ref());
        let created = created.map(|created| {
            let text = match created.kept_by {
                CreationSource::SourceText => "the only line found that makes a task of it",
                _ => "created",
            };
            Evidence::new(Role::Created, text).at(own_frame(&created.stack))
        });
        [Some(Evidence::new(Role::Failed, failure.error.clone()).at(Some(&failure.at))), created]
            .into_iter()
            .flatten()
    })
}

/// Which lines would have completed something, and who made tasks of them.
pub(super) fn ended(ended: &[Ended]) -> impl Iterator<Item = Evidence> {
    ended.iter().flat_map(|ended| {
        let created = ended.created.as_ref().map(|created| {
            let text = if ended.dropped {
                "the only line found that makes a task of it, and keeps it nowhere"
            } else {
                "the only line found that makes a task of it"
            };
            Evidence::new(Role::Created, text).at(own_frame(&created.stack))
        });
        [Some(Evidence::new(Role::Completes, "nothing comes by here any more").at(Some(&ended.at))), created]
            .into_iter()
            .flatten()
    })
}

/// What helps where a generator holds something.
pub(super) const CLOSE_GENERATOR: &str = "a generator has what its `with` blocks took for as long as it is suspended: close it \
     when done, by `contextlib.aclosing(…)`, or do not `yield` inside of such a block";

/// `1 task`, `3 tasks`.
pub(super) fn amount(n: usize, noun: &str) -> String {
    crate::render::units::amount(n as u64, noun)
}

/// ``Lock `self._lock` ``; `name` is what the waiting line calls it.
pub(super) fn resource(resource: &Resource, name: Option<&str>) -> String {
    let noun = noun(&resource.type_name);
    match name.or(resource.name.as_deref()) {
        Some(name) => format!("{noun} `{name}`"),
        None => noun.into_owned(),
    }
}

/// `load_order (orders.py:33)`.
pub(super) fn place(frame: Option<&Frame>) -> String {
    let Some(frame) = frame else { return "code that could not be read".to_owned() };
    if frame.file.is_empty() || frame.line == 0 {
        return format!("{}()", frame.function);
    }
    format!("{}() at {}", frame.function, line(frame))
}

/// `orders.py:33`.
pub(super) fn line(frame: &Frame) -> String {
    format!("{}:{}", frame.file.rsplit('/').next().unwrap_or_default(), frame.line)
}

/// `task pay-1`.
pub(super) fn task(task: &Task) -> String {
    format!("task {}", task.name)
}

pub(super) fn thread_ref(thread: &Thread) -> ThreadRef {
    ThreadRef { tid: thread.tid, name: thread.name.clone() }
}

pub(super) fn resource_ref(it: &Resource, name: Option<&str>) -> ResourceRef {
    ResourceRef { id: it.id, text: resource(it, name).into() }
}

/// `127.0.0.1:5432 (tcp, fd 17)`.
pub(super) fn file(file: &OpenFile) -> String {
    let kind = match file.kind {
        FileKind::Tcp => "tcp socket",
        FileKind::Udp => "udp socket",
        FileKind::Unix => "unix socket",
        FileKind::Socket => "socket",
        FileKind::Pipe => "pipe",
        FileKind::Event => "event descriptor",
        FileKind::File => "file",
        FileKind::Unknown => "descriptor",
    };
    match file.peer.as_deref().or(file.local.as_deref()) {
        Some(end) => format!("{kind} {end} (fd {})", file.fd),
        None => format!("{kind} (fd {})", file.fd),
    }
}

/// Adds a line, or counts it with an earlier one of the same role at the same place.
pub(super) fn add_line(lines: &mut Vec<Evidence>, line: Evidence, most: usize) {
    let same = |l: &&mut Evidence| {
        (l.role, &l.function, &l.file, l.line) == (line.role, &line.function, &line.file, line.line)
    };
    if let Some(known) = lines.iter_mut().find(same) {
        known.count = Some(known.count.unwrap_or(1) + 1);
    } else if lines.len() < most {
        lines.push(line);
    }
}

/// `reads from a socket`, of one; `read from a socket`, of several.
pub(super) fn agreed(doing: String, n: usize) -> String {
    const VERBS: [&str; 5] = ["waits ", "reads ", "writes ", "connects ", "sleeps "];
    match VERBS.iter().find(|verb| doing.starts_with(**verb)) {
        Some(verb) if n != 1 => format!("{} {}", verb.trim_end_matches("s "), &doing[verb.len()..]),
        _ => doing,
    }
}

impl Scene<'_> {
    /// What a wait is for: ``waits for Lock `a` ``, `reads from tcp socket 10.0.0.2:5432 (fd 17)`.
    pub(super) fn wait(&self, waits: Option<&WaitsFor>) -> String {
        let Some(waits) = waits else { return "waits for something that could not be read".to_owned() };
        match &waits.target {
            Target::Tasks { pending, done, .. } => {
                let done = match done {
                    0 => String::new(),
                    1 => " (1 is done)".to_owned(),
                    n => format!(" ({n} are done)"),
                };
                match pending[..] {
                    [one] => match self.index.get_task(one) {
                        Some(one) => format!("waits for {}{done}", task(one)),
                        None => format!("waits for a task{done}"),
                    },
                    _ => format!("waits for {}{done}", amount(pending.len(), "task")),
                }
            }
            Target::Resource { id } => {
                let Some(it) = self.index.get_resource(*id) else {
                    return "waits for something that could not be read".to_owned();
                };
                let pool = waits.within.or(it.within).and_then(|id| self.index.get_resource(id));
                let what = match pool {
                    Some(pool) => resource(pool, None),
                    None => resource(it, waits.name.as_deref()),
                };
                match waits.verb {
                    Verb::Get | Verb::Put | Verb::Join if pool.is_none() => {
                        format!("waits in {} of {what}", call(it, waits.verb))
                    }
                    Verb::Poll => format!("asks again and again for {what}"),
                    _ => format!("waits for {what}"),
                }
            }
            Target::Timer { left_s: Some(left) } if *left >= 0.0 => {
                format!("sleeps for another {}", seconds(*left))
            }
            Target::Timer { .. } => "sleeps".to_owned(),
            Target::File { file: it } => match waits.verb {
                Verb::Read if it.child.is_some() => {
                    let pid = it.child.as_ref().map_or(0, |end| end.pid);
                    format!("reads what child process {pid} writes (fd {})", it.fd)
                }
                Verb::Read => format!("reads from {}{}", file(it), self.silence(it)),
                Verb::Write => format!("writes to {}{}", file(it), self.unsent(it)),
                Verb::Connect => format!("connects by {}", file(it)),
                _ => format!("waits for {}", file(it)),
            },
            Target::Job { function: Some(name), executor: Some(id), .. }
                if self.index.get_loop(*id).is_some() =>
            {
                format!("waits for the event loop to begin {name}()")
            }
            // It may be anybody who makes one and completes it.
            Target::Job { function: None, thread: None, executor: None, .. } => {
                "waits for a concurrent Future".to_owned()
            }
            Target::Job { function, thread, .. } => {
                let name = function.as_deref().unwrap_or("a function");
                match thread.and_then(|tid| self.index.get_thread(tid)) {
                    Some(thread) => format!("waits for {name}() in thread {}", thread.name),
                    None => format!("waits for {name}(), which no thread has begun"),
                }
            }
            Target::Process { pid, .. } => match pid {
                Some(pid) => format!("waits for child process {pid}"),
                None => "waits for a child process".to_owned(),
            },
            Target::Future { type_name, reach, .. } if reach.is_some() => {
                let future = article(&noun(type_name));
                match waits.within.and_then(|id| self.index.get_resource(id)) {
                    Some(owner) => format!("waits for {future} of {}", resource(owner, None)),
                    None => format!("waits for {future}"),
                }
            }
            Target::Future { type_name, .. } | Target::Unknown { type_name } => {
                match waits.within.and_then(|id| self.index.get_resource(id)) {
                    Some(pool) => format!("waits for {}", resource(pool, None)),
                    None => format!("waits for {}", article(&noun(type_name))),
                }
            }
            Target::Turn => "gave way".to_owned(),
        }
    }

    /// `, on which nothing was received for 34 s`, where that is longer than the time that we looked.
    pub(super) fn silence(&self, file: &OpenFile) -> String {
        let silence_s = file.traffic.as_ref().map_or(0.0, |traffic| traffic.received_ms as f64 / 1e3);
        if silence_s < self.history.interval_s.max(1.0) {
            return String::new();
        }
        format!(", on which nothing was received for {}", seconds(silence_s))
    }

    /// `, whose other end does not read: 2,600,000 bytes unsent, nothing taken for 12 s`.
    pub(super) fn unsent(&self, file: &OpenFile) -> String {
        let Some(traffic) = file.traffic.as_ref().filter(|traffic| traffic.unsent > 0) else {
            return String::new();
        };
        let silence_s = traffic.sent_ms as f64 / 1e3;
        if silence_s < self.history.interval_s.max(1.0) {
            return String::new();
        }
        let bytes = crate::render::units::number(traffic.unsent);
        format!(
            ", whose other end does not read: {bytes} bytes unsent, nothing taken for {}",
            seconds(silence_s)
        )
    }

    /// What a task does: its wait, or that it runs or could.
    pub(super) fn doing(&self, task: &Task) -> String {
        match task.state {
            TaskState::Running => "runs".to_owned(),
            TaskState::Ready => "is ready to run".to_owned(),
            TaskState::Done => "is done".to_owned(),
            TaskState::Waiting => self.wait(task.waits_for.as_ref()),
        }
    }

    /// `has waited for at least 2.0 s`, or `waits` where nothing is known about time.
    pub(super) fn waited(&self, n: usize) -> String {
        match (self.history.interval_s > 0.0, n) {
            (true, 1) => format!("has waited{}", self.for_interval()),
            (true, _) => format!("have waited{}", self.for_interval()),
            (false, 1) => "waits".to_owned(),
            (false, _) => "wait".to_owned(),
        }
    }

    /// Those that wait for a task and are alive.
    pub(super) fn awaiters(&self, task: &'_ Task) -> impl Iterator<Item = (u32, &Task)> {
        let awaiters = task.awaited_by.iter().filter_map(|a| self.index.task(a.task));
        awaiters.map(|place| (place, self.task(place))).filter(|(_, t)| t.state != TaskState::Done)
    }

    /// The task whose code tells a reader something: itself, or for a task of a library alone the nearest
    /// that waits for it and has code of the user's.
    pub(super) fn spokesman(&self, place: u32) -> u32 {
        let mut at = place;
        for _ in 0..8 {
            let task = self.task(at);
            if task.chain.iter().any(|f| f.origin == Origin::Own) {
                return at;
            }
            match self.awaiters(task).next() {
                Some((next, _)) => at = next,
                None => break,
            }
        }
        place
    }

    /// A task that nobody awaits and that is not a server's own (whose outermost code is a library's).
    pub(super) fn is_orphan(&self, task: &Task) -> bool {
        self.awaiters(task).next().is_none() && task.chain.first().is_some_and(|f| f.origin == Origin::Own)
    }

    /// An evidence line about where a task waits.
    pub(super) fn waits_evidence(&self, place: u32) -> Evidence {
        let it = self.task(place);
        let waits = it.waits_for.as_ref();
        let mut evidence = Evidence::new(Role::Waits, self.doing(it)).at(own_frame(&it.chain));
        evidence.task = Some(TaskRef::of(it));
        evidence.resource = waits.and_then(|w| {
            let place = crate::graph::acquired(&self.index, w)?;
            let it = self.now.resources.get(place as usize)?;
            Some(resource_ref(it, w.name.as_deref()))
        });
        let since = self.history.waits_since(place);
        evidence.age_s = (since > 0.0).then_some(since);
        evidence
    }

    /// Whether a task holds something by way of a suspended generator that it has.
    pub(super) fn is_by_a_generator(&self, it: &Resource, holder: &Holder) -> bool {
        let owner = holder.task.and_then(|id| self.index.get_task(id));
        owner.is_some_and(|task| {
            task.holds.iter().any(|hold| hold.resource == it.id && hold.through.is_some())
        })
    }

    /// Evidence lines about all that a task holds.
    pub(super) fn all_held(&self, task: &Task) -> impl Iterator<Item = Evidence> {
        task.holds.iter().filter_map(|hold| {
            let resource = self.index.get_resource(hold.resource)?;
            let holder = resource.holders.iter().find(|h| h.task == Some(task.id))?;
            Some(self.holds_evidence(resource, holder, hold.name.as_deref()))
        })
    }

    /// An evidence line about who holds something.
    pub(super) fn holds_evidence(&self, it: &Resource, holder: &Holder, name: Option<&str>) -> Evidence {
        let mut text = format!("holds {}", resource(it, name));
        if let (Some(taken), Some(at)) = (holder.taken_line, &holder.at)
            && taken != at.line
        {
            text.push_str(&format!(", taken at line {taken}"));
        }
        if self.is_by_a_generator(it, holder) {
            text.push_str(", by way of a generator that is suspended there");
        }
        let owner = holder.task.and_then(|id| self.index.get_task(id));
        let mut evidence =
            Evidence::new(Role::Holds, text).at(holder.at.as_ref().or_else(|| own_frame(&owner?.chain)));
        evidence.task = owner.map(TaskRef::of);
        evidence.thread = holder.thread.and_then(|tid| self.index.get_thread(tid)).map(thread_ref);
        evidence.resource = Some(resource_ref(it, name));
        evidence
    }
}

/// What the function of a queue is called that waits.
pub(super) fn call(queue: &Resource, verb: Verb) -> &'static str {
    let is_stream = is_memory_stream(&queue.type_name);
    match verb {
        Verb::Get if is_stream => "receive()",
        Verb::Put if is_stream => "send()",
        Verb::Get => "get()",
        Verb::Put => "put()",
        _ => "join()",
    }
}
