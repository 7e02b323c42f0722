//! From a snapshot and its findings to what the page's script reads.

use super::data::{Data, Evidence, Finding, Groups, Header, Link, Resource, SaidId, Tasks, Thread};
use super::graph;
use super::intern::{Interner, Places};
use super::resources::Entries;
use async_trace_core::Snapshot;
use async_trace_core::finding::{self, Certainty, Report, Severity};
use async_trace_core::index::Index;
use async_trace_core::recording::Timeline;
use async_trace_core::render::{Group, Mention, Said, Teller, noun};
use async_trace_core::snapshot::{self, Consistency, Target, TaskState};
use async_trace_core::text::escape;
use std::borrow::Cow;

pub(super) fn data(snapshot: &Snapshot, report: &Report, timeline: Option<&Timeline>) -> Data {
    let index = Index::of(snapshot);
    let teller = Teller::of(&index);
    let entries = Entries::of(&index);
    let mut making = Making {
        index: &index,
        teller: &teller,
        atlas: Atlas { index: &index, entries: &entries },
        entries: &entries,
        out: Interner::default(),
    };
    let groups = teller.groups();
    let rings = teller.rings();
    let (graph, rings) = graph::draw(&index, &teller, &entries, report, &groups, &rings, &mut |said| {
        making.out.said(said, &making.atlas)
    });
    let mut never_started = teller.never_started();
    never_started.extend(teller.dropped());
    Data {
        version: env!("CARGO_PKG_VERSION"),
        header: making.header(report),
        findings: report.findings.iter().map(|finding| making.finding(finding)).collect(),
        rings,
        graph,
        loops: snapshot.loops.iter().map(|l| making.say(&teller.event_loop(l))).collect(),
        tasks: making.tasks(report),
        groups: making.groups(&groups),
        resources: making.resources(),
        threads: snapshot.threads.iter().map(|thread| making.thread(thread)).collect(),
        never_started: never_started.iter().map(|said| making.say(said)).collect(),
        timeline: timeline.map(escaped),
        tables: making.out.tables,
    }
}

/// With its names escaped, as everything that the page shows.
fn escaped(timeline: &Timeline) -> Timeline {
    let mut timeline = timeline.clone();
    for site in &mut timeline.sites {
        site.function = (&*escape(&site.function)).into();
        site.file = (&*escape(&site.file)).into();
    }
    timeline
}

/// Where on the page the things of a snapshot stand.
struct Atlas<'a> {
    index: &'a Index<'a>,
    entries: &'a Entries,
}

impl Places for Atlas<'_> {
    fn place(&self, of: Mention) -> Option<Link> {
        match of {
            Mention::Task(id) => self.index.task(id).map(Link::Task),
            Mention::Thread(tid) => self.index.thread(tid).map(Link::Thread),
            Mention::Resource(id) => {
                self.index.resource(id).map(|place| Link::Resource(self.entries.of_place(place)))
            }
        }
    }
}

struct Making<'a> {
    index: &'a Index<'a>,
    teller: &'a Teller<'a>,
    atlas: Atlas<'a>,
    entries: &'a Entries,
    out: Interner<'a>,
}

impl<'a> Making<'a> {
    fn say(&mut self, said: &Said) -> SaidId {
        self.out.said(said, &self.atlas)
    }

    fn say_all(&mut self, said: &[Said]) -> Vec<SaidId> {
        said.iter().map(|said| self.say(said)).collect()
    }

    fn header(&mut self, report: &Report) -> Header {
        let s = self.index.snapshot;
        Header {
            pid: s.process.pid,
            lines: self.say_all(&self.teller.header()),
            looks: self.say(&self.teller.amount(report)),
            time_s: s.capture.time_s,
            consistent: matches!(s.capture.consistency, Consistency::Paused | Consistency::Still),
            problems: self.say_all(&self.teller.problems()),
            asyncio: s.process.asyncio,
        }
    }

    fn finding(&mut self, f: &finding::Finding) -> Finding {
        let text = |text: &str| escape(text).into_owned();
        Finding {
            check: text(&f.check),
            severity: match f.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            certainty: match f.certainty {
                Certainty::Proven => "proven",
                Certainty::Suspected => "suspected",
            },
            summary: text(&f.summary),
            evidence: f.evidence.iter().map(|evidence| self.evidence(evidence)).collect(),
            consequences: f.consequences.iter().map(|c| self.say(&self.teller.consequence(c))).collect(),
            behind: f.consequences.iter().map(|c| u64::from(c.count)).sum(),
            count: f.count,
            doubt: f.doubt.as_deref().map(text),
            caused_by: f.caused_by,
            advice: f.advice.iter().map(|advice| text(advice)).collect(),
        }
    }

    fn evidence(&mut self, e: &finding::Evidence) -> Evidence {
        let resource = e.resource.as_ref().and_then(|r| self.atlas.place(Mention::Resource(r.id)));
        Evidence {
            said: self.say(&self.teller.evidence(e)),
            source: e.source.as_deref().map(|source| escape(source).into_owned()),
            resource,
        }
    }

    fn tasks(&mut self, report: &Report) -> Tasks {
        let mut tasks = Tasks::default();
        for (place, task) in (0..).zip(&self.index.snapshot.tasks) {
            tasks.id.push(task.id.to_string());
            tasks.name.push(escape(&task.name).into_owned());
            tasks.state.push(match task.state {
                TaskState::Running => 0,
                TaskState::Ready => 1,
                TaskState::Waiting => 2,
                TaskState::Done => 3,
            });
            tasks.chain.push(self.out.chain(&task.chain, self.teller));
            let mut facts = self.say_all(&self.teller.facts(&[place]));
            let says_wait = Teller::says_wait(task) && !facts.is_empty();
            tasks.wait.push(if says_wait { i64::from(facts.remove(0)) } else { -1 });
            let kind = kind(self.index, task);
            tasks.kind.push(self.out.kind(&kind));
            let event_loop = task.event_loop.and_then(|id| self.index.event_loop(id));
            tasks.event_loop.push(event_loop.unwrap_or(self.index.snapshot.loops.len() as u32));
            if !facts.is_empty() {
                tasks.facts.insert(place, facts);
            }
            if let Some(Target::Tasks { pending, .. }) = task.waits_for.as_ref().map(|w| &w.target) {
                let pending = pending.iter().filter_map(|id| self.index.task(*id)).collect();
                tasks.pending.insert(place, pending);
            }
            if let Some(created) = &task.created {
                tasks.created.insert(place, self.out.chain(&created.stack, self.teller));
            }
        }
        for (number, finding) in (0..).zip(&report.findings) {
            for place in spoken_of(finding).filter_map(|id| self.index.task(id)) {
                let of = tasks.findings.entry(place).or_default();
                if of.last() != Some(&number) {
                    of.push(number);
                }
            }
        }
        tasks
    }

    fn groups(&mut self, all: &[Group]) -> Groups {
        let mut groups = Groups::default();
        for (number, group) in (0..).zip(all) {
            groups.event_loop.push(group.event_loop as u32);
            groups.level.push(group.level);
            groups.members.push(group.members.clone());
            if !group.here {
                groups.elsewhere.push(number);
            }
            if group.members.len() > 1 {
                groups.title.insert(number, self.say(&self.teller.title(&group.members)));
                groups.facts.insert(number, self.say_all(&self.teller.facts(&group.members)));
            }
            let first = group.members.first().and_then(|p| self.index.snapshot.tasks.get(*p as usize));
            groups.waits.push(u8::from(first.is_some_and(Teller::says_wait)));
        }
        groups
    }

    fn resources(&mut self) -> Vec<Resource> {
        let resources = &self.index.snapshot.resources;
        let entries = self.entries;
        let entry = |members: &Vec<u32>| {
            let all = members.iter().filter_map(|place| resources.get(*place as usize));
            let first = all.clone().next()?;
            Some(Resource {
                kind: escape(&noun(&first.type_name)).into_owned(),
                said: self.say(&self.teller.resource(first)),
                count: members.len() as u32,
                waiters: all.clone().flat_map(|r| &r.waiters).filter_map(|id| self.index.task(*id)).collect(),
                threads: all
                    .flat_map(|r| &r.blocked_threads)
                    .filter_map(|tid| self.index.thread(*tid))
                    .collect(),
            })
        };
        entries.members.iter().filter_map(entry).collect()
    }

    fn thread(&mut self, thread: &'a snapshot::Thread) -> Thread {
        Thread {
            said: self.say(&self.teller.thread(thread)),
            chain: self.out.chain(&thread.stack, self.teller),
            facts: self.say_all(&self.teller.thread_facts(thread)),
            event_loop: thread.event_loop.and_then(|id| self.index.event_loop(id)),
            task: thread.task.and_then(|id| self.index.task(id)),
            idle: Teller::is_idle(thread),
        }
    }
}

/// The tasks that a finding names.
pub(super) fn spoken_of(finding: &finding::Finding) -> impl Iterator<Item = snapshot::Id> {
    let evidence = finding.evidence.iter().filter_map(|e| e.task.as_ref());
    let behind = finding.consequences.iter().flat_map(|c| &c.tasks);
    evidence.chain(behind).map(|task| task.id)
}

/// What a task waits for, in a word by which to filter.
fn kind<'a>(index: &Index<'a>, task: &'a snapshot::Task) -> Cow<'a, str> {
    match task.waits_for.as_ref().filter(|_| task.state == TaskState::Waiting).map(|w| &w.target) {
        None => "nothing".into(),
        Some(Target::Resource { id }) => {
            index.get_resource(*id).map_or("something unknown".into(), |r| noun(&r.type_name))
        }
        Some(Target::Tasks { .. }) => "other tasks".into(),
        Some(Target::Timer { .. }) => "a timer".into(),
        Some(Target::File { .. }) => "a connection or file".into(),
        Some(Target::Job { .. }) => "a thread".into(),
        Some(Target::Process { .. }) => "a child process".into(),
        Some(Target::Future { .. }) => "a future".into(),
        Some(Target::Turn) => "its turn".into(),
        Some(Target::Unknown { .. }) => "something unknown".into(),
    }
}
