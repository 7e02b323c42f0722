//! Source lines, from the files as the target sees them.

mod ended;
mod program;
mod text;

use crate::asyncio::kept::{AtWork, Held, How, Keeper};
use crate::asyncio::users::Unhelped;
use crate::process::Identity;
use async_trace_core::Snapshot;
use async_trace_core::frame::{Frame, FrameKind, Origin};
use async_trace_core::snapshot::{Creation, CreationSource, Failure, Holder, Target};
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use text::LaterUse;

/// Larger files are not source code that a person wrote.
const MAX_FILE: u64 = 8 << 20;
/// In so many files the line is searched that has created a coroutine.
const MAX_SEARCHED: usize = 256;
/// `O_NONBLOCK`: a path of the target may have become a FIFO, which must not make us wait.
const NONBLOCK: i32 = 0o4000;

/// Adds what the text of the program tells: to every frame its line, where `lines` are wanted; in which function a
/// coroutine was dropped; and which line has created one that was never started, where only one is found that
/// can be it. And which of these, with their `keepers`, wait for their turn; and for those who are `unhelped`, who would have
/// helped. Files that have changed since the process was started tell nothing; where there is no `identity`, none does.
pub(crate) fn attach(
    snapshot: &mut Snapshot,
    keepers: &[Keeper],
    unhelped: &Unhelped,
    identity: Option<&Identity>,
    lines: bool,
) {
    let mut sources = Sources { identity, files: FxHashMap::default() };
    if lines {
        sources.attach(snapshot);
    }
    sources.place_dropped(snapshot);
    sources.find_creations(snapshot);
    sources.find_failed(snapshot);
    sources.find_turns(snapshot, keepers);
    sources.find_ended(snapshot, unhelped);
}

struct Sources<'a> {
    identity: Option<&'a Identity>,
    files: FxHashMap<Text, Option<Vec<Text>>>,
}

impl Sources<'_> {
    fn attach(&mut self, snapshot: &mut Snapshot) {
        let mut done: FxHashMap<*const Frame, Arc<[Frame]>> = FxHashMap::default();
        let mut with_source = |chain: &mut Arc<[Frame]>| {
            let key = chain.as_ptr();
            let new = done.entry(key).or_insert_with(|| {
                chain
                    .iter()
                    .map(|frame| Frame { source: self.line(&frame.file, frame.line), ..frame.clone() })
                    .collect()
            });
            *chain = new.clone();
        };
        // The old chains stay alive until all are replaced, so that no address is used twice.
        let old: Vec<Arc<[Frame]>> = snapshot
            .tasks
            .iter()
            .map(|t| t.chain.clone())
            .chain(snapshot.threads.iter().map(|t| t.stack.clone()))
            .collect();
        for task in &mut snapshot.tasks {
            with_source(&mut task.chain);
        }
        for thread in &mut snapshot.threads {
            with_source(&mut thread.stack);
        }
        drop(old);
        for failure in failures(snapshot) {
            failure.at.source = self.line(&failure.at.file, failure.at.line);
        }
        let gone = |holder: &&mut Holder| holder.task.is_none() && holder.thread.is_none();
        for holder in snapshot.resources.iter_mut().flat_map(|resource| &mut resource.holders).filter(gone) {
            if let Some(at) = &mut holder.at {
                at.source = self.line(&at.file, at.line);
                holder.taken_line = self.lines(&at.file).and_then(|lines| text::acquired_at(lines, at.line));
            }
        }
    }

    /// Which line has created each task that has failed.
    fn find_failed(&mut self, snapshot: &mut Snapshot) {
        if !failures(snapshot).any(|failure| failure.task.is_some()) {
            return;
        }
        let defined: Vec<Text> = failures(snapshot).map(|failure| failure.at.file.clone()).collect();
        let files = searched(snapshot, defined);
        let mut known: FxHashMap<Text, Option<Creation>> = FxHashMap::default();
        for failure in failures(snapshot) {
            let Some(task) = &mut failure.task else { continue };
            let created = known.entry(task.function.clone());
            task.created = created
                .or_insert_with_key(|function| self.only_line(&files, function, text::task_creations))
                .clone();
        }
    }

    fn place_dropped(&mut self, snapshot: &mut Snapshot) {
        for dropped in &mut snapshot.dropped {
            let lines = self.lines(&dropped.at.file);
            if let Some(function) = lines.and_then(|lines| text::enclosing_function(lines, dropped.at.line)) {
                dropped.at.function = function.as_str().into();
            }
            dropped.at.source = self.line(&dropped.at.file, dropped.at.line);
        }
    }

    fn find_creations(&mut self, snapshot: &mut Snapshot) {
        if snapshot.coroutines.is_empty() {
            return;
        }
        let defined = snapshot.coroutines.iter().map(|c| c.defined.file.clone()).collect();
        let files = searched(snapshot, defined);
        let mut known: FxHashMap<Text, Option<Creation>> = FxHashMap::default();
        for coroutine in &mut snapshot.coroutines {
            let function = &coroutine.defined.function;
            if coroutine.created.is_none() {
                let created = known
                    .entry(function.clone())
                    .or_insert_with(|| self.only_line(&files, function, text::unawaited_calls));
                coroutine.created.clone_from(created);
            }
        }
    }

    fn find_turns(&mut self, snapshot: &mut Snapshot, keepers: &[Keeper]) {
        if snapshot.coroutines.is_empty() {
            return;
        }
        let kinds = snapshot.coroutines.iter().map(|c| (c.defined.function.clone(), c.defined.file.clone()));
        let at_work = AtWork::of(snapshot, kinds.collect());
        for (coroutine, keeper) in snapshot.coroutines.iter_mut().zip(keepers) {
            coroutine.waits_its_turn = keeper.waits_its_turn
                || at_work.sees(&coroutine.defined.function, &coroutine.defined.file, keeper)
                || keeper.held_in.iter().any(|held| self.will_run(held));
        }
    }

    /// Whether a waiting function seems to hold a coroutine to run it later: whoever takes one as a parameter does, as
    /// far as its text says nothing else.
    fn will_run(&mut self, held: &Held) -> bool {
        let Some(lines) = self.lines(&held.file) else { return held.how == How::Parameter };
        let later_use = |lines| text::later_use(lines, held.line, &held.name);
        match held.how {
            How::Local => later_use(lines) == LaterUse::Run,
            How::Parameter => later_use(lines) != LaterUse::None,
            How::Container => text::takes_from(lines, held.line, &held.name),
            How::Owner => text::takes_from_part(lines, held.line, &held.name),
        }
    }

    fn line(&mut self, file: &Text, line: u32) -> Option<Text> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.lines(file)?.get(index).map(|line| line.trim().into())
    }

    fn lines(&mut self, file: &Text) -> Option<&[Text]> {
        if !self.files.contains_key(file) {
            let lines = self.read(file);
            self.files.insert(file.clone(), lines);
        }
        self.files.get(file)?.as_deref()
    }

    /// The only line of these files that can have created something of this function, as `calls` finds them.
    fn only_line(
        &mut self,
        files: &[Text],
        function: &str,
        calls: fn(&[Text], &str) -> Vec<u32>,
    ) -> Option<Creation> {
        let name = function.rsplit('.').next()?;
        let mut found = None;
        for file in files {
            let lines = self.lines(file).unwrap_or_default();
            for line in calls(lines, name) {
                if found.is_some() {
                    return None;
                }
                found = Some(frame(file, line, lines));
            }
        }
        found.map(created_at)
    }

    fn read(&self, file: &str) -> Option<Vec<Text>> {
        if file.is_empty() || file.starts_with('<') {
            return None;
        }
        let identity = self.identity?;
        let pid = identity.pid;
        let absolute = if file.starts_with('/') {
            format!("/proc/{pid}/root{file}")
        } else {
            format!("/proc/{pid}/cwd/{file}")
        };
        let mut open = fs::OpenOptions::new();
        open.read(true).custom_flags(NONBLOCK);
        let opened: File = open.open(absolute).ok()?;
        let metadata = opened.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > MAX_FILE {
            return None;
        }
        // A line of a file that was edited since would be a lie.
        if let (Ok(modified), Some(started)) = (metadata.modified(), started(identity))
            && modified > started
        {
            return None;
        }
        let mut bytes = Vec::new();
        opened.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).lines().map(Text::from).collect())
    }
}

/// A line of the program's text as a frame.
fn frame(file: &Text, line: u32, lines: &[Text]) -> Frame {
    let function = text::enclosing_function(lines, line).unwrap_or_else(|| "<module>".to_owned());
    let own = Frame::new(function.as_str().into(), file.clone(), line, FrameKind::Function, Origin::Own);
    let source = (line as usize).checked_sub(1).and_then(|index| lines.get(index));
    Frame { source: source.map(|source| source.trim().into()), ..own }
}

/// The text tells that something was created at a line.
fn created_at(frame: Frame) -> Creation {
    Creation { stack: [frame].into(), kept_by: CreationSource::SourceText, task: None }
}

/// The stacks of all tasks and threads.
fn chains(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<[Frame]>> {
    snapshot.tasks.iter().map(|t| &t.chain).chain(snapshot.threads.iter().map(|t| &t.stack))
}

/// The files in which the line is searched that has created something: those that `defined` it, and those of the program
/// that tasks and threads are in.
fn searched(snapshot: &Snapshot, defined: Vec<Text>) -> Vec<Text> {
    let mut files = defined;
    let mut seen = FxHashSet::default();
    for chain in chains(snapshot).filter(|chain| seen.insert(chain.as_ptr())) {
        files.extend(chain.iter().filter(|f| f.origin == Origin::Own).map(|f| f.file.clone()));
    }
    files.sort_unstable();
    files.dedup();
    files.truncate(MAX_SEARCHED);
    files
}

/// Those who have failed and had what is awaited.
fn failures(snapshot: &mut Snapshot) -> impl Iterator<Item = &mut Failure> {
    let of_tasks = snapshot.tasks.iter_mut().filter_map(|task| match &mut task.waits_for.as_mut()?.target {
        Target::Future { reach, .. } => reach.as_deref_mut(),
        _ => None,
    });
    let of_resources = snapshot.resources.iter_mut().filter_map(|resource| resource.reach.as_mut());
    of_tasks.chain(of_resources).flat_map(|reach| &mut reach.failed)
}

/// When the process was started: its start is counted in hundredths of a second since the boot.
fn started(identity: &Identity) -> Option<SystemTime> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    // The boot time is in whole seconds.
    let since =
        Duration::from_secs(boot) + Duration::from_millis(identity.starttime * 10) + Duration::from_secs(1);
    Some(SystemTime::UNIX_EPOCH + since)
}
