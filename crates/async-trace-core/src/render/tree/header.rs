//! The first lines: which process, how it was read; and each loop in a line.

use super::super::line::shorten;
use super::super::units::seconds;
use super::*;

impl Tree<'_> {
    pub(in super::super) fn header(&mut self, canvas: &mut impl Canvas) {
        let s = self.index.snapshot;
        match s.process.pid {
            0 => _ = self.line.put(Role::Heading, "process"),
            pid => _ = self.line.put(Role::Heading, "process ").show(Role::Heading, pid),
        }
        let command = command(&s.process);
        if !command.is_empty() {
            let room = self.page.room(17).unwrap_or(400);
            self.line.say(": ").say(&shorten(&command, room, self.glyphs.ellipsis));
        }
        self.end(canvas, "", 2);

        let tasks = self.counts.all;
        let line = &mut self.line;
        line.say("Python ").say(&s.process.python).say(", ");
        if s.process.asyncio {
            line.put(Role::Heading, &amount(tasks, "task")).say(", ");
            line.say(&amount(s.loops.len() as u64, "loop")).say(", ");
        }
        line.say(&amount(s.threads.len() as u64, "thread")).say("; ").say(&how(&s.capture));
        self.end(canvas, "", 2);
        if !s.process.asyncio {
            self.line.say("asyncio is not imported in this process: it has no tasks");
            self.end(canvas, "", 2);
        }
        if let Some(base) = self.paths.base() {
            self.line.put(Role::Library, "files are below ").put(Role::Library, base);
            self.end(canvas, "", 2);
        }
        if let Some(pattern) = &self.options.filter {
            let found = selected(s, pattern) as u64;
            self.line.say("only tasks with ").put(Role::Task, pattern).say(": ");
            self.line.say(&number(found)).say(" of ").say(&number(tasks));
            self.end(canvas, "", 2);
        }
    }

    /// `loop in MainThread (thread 4711, asyncio): idle, 12 tasks, 0 callbacks ready, next timer in 3.2 s`.
    pub(in super::super) fn loop_line(&mut self, canvas: &mut impl Canvas, event_loop: &EventLoop) {
        canvas.end_line();
        let line = &mut self.line;
        line.put(Role::Heading, "loop ");
        match event_loop.thread {
            Some(tid) => {
                let name = self.index.get_thread(tid).map_or("a thread", |t| &t.name);
                line.put(Role::Heading, "in ").put(Role::Thread, name);
                line.say(&format!(" (thread {tid}, ")).say(&kind(&event_loop.kind)).say(")");
            }
            None => {
                line.show(Role::Heading, event_loop.id).say(" (").say(&kind(&event_loop.kind)).say(")");
            }
        }
        line.say(": ");
        let ready = event_loop.ready.unwrap_or(0);
        match event_loop.state {
            LoopState::Idle if ready > 0 => {
                line.put(Role::Alarm, &format!("asleep although {} ready", are(ready)));
            }
            LoopState::Idle => _ = line.put(Role::Heading, "idle"),
            LoopState::Busy => {
                line.put(Role::Alarm, "BUSY");
                if let Some(turn) = event_loop.turn_s {
                    line.put(Role::Alarm, " for ").put(Role::Alarm, &seconds(turn));
                }
            }
            LoopState::NotRunning => _ = line.put(Role::Alarm, "not running"),
            LoopState::Closed => _ = line.put(Role::Alarm, "closed"),
            LoopState::Unknown => _ = line.put(Role::Alarm, "its state could not be read"),
        }
        let place = self.index.event_loop(event_loop.id);
        let tasks = place.and_then(|p| self.counts.of_loop.get(p as usize)).copied().unwrap_or(0);
        line.say(", ").say(&amount(tasks, "task"));
        if event_loop.state == LoopState::Idle && event_loop.ready == Some(0) {
            line.say(", 0 ready");
        }
        if event_loop.state == LoopState::Busy && ready > 0 {
            let verb = if ready == 1 { "waits" } else { "wait" };
            line.say(", ").put(Role::Alarm, &format!("{} {verb}", amount(ready, "callback")));
        }
        match event_loop.next_timer_s {
            Some(s) if s < 0.0 => {
                line.say(", a timer is ").put(Role::Alarm, &seconds(s)).say(" overdue");
            }
            Some(s) => _ = line.say(", next timer in ").say(&seconds(s)),
            None => {}
        }
        if event_loop.debug {
            line.say(", debug mode");
        }
        self.end(canvas, "", 2);
    }
}

/// The command line, without the directory of its interpreter.
#[must_use]
pub fn command(process: &Process) -> String {
    let mut words = process.command.iter().map(|word| &**word);
    let program = words.next().unwrap_or(&process.executable);
    let program = program.rsplit('/').next().unwrap_or(program);
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

fn are(callbacks: u64) -> String {
    let verb = if callbacks == 1 { "is" } else { "are" };
    format!("{} {verb}", amount(callbacks, "callback"))
}

/// `asyncio`, `uvloop`; a loop of another kind by its type.
fn kind(type_name: &str) -> std::borrow::Cow<'_, str> {
    match type_name.split('.').next() {
        Some(known @ ("asyncio" | "uvloop" | "winloop")) => known.into(),
        _ => noun(type_name),
    }
}

/// How the snapshot was taken, and so how far it is of one moment: `paused 1.2 ms`.
#[must_use]
pub fn how(capture: &Capture) -> String {
    let paused = milliseconds(capture.pause_us.unwrap_or(0));
    match (capture.source, capture.consistency) {
        (Source::Core, _) => "from a core file".into(),
        (Source::Image, _) => "from a recorded image".into(),
        (_, Consistency::Paused) => format!("paused {paused}"),
        (_, Consistency::PartlyPaused) => format!("paused {paused}, the rest read while it ran"),
        (Source::Own, Consistency::Unpaused) => "read from inside while it ran".into(),
        (_, Consistency::Unpaused) => "read while it ran".into(),
        (_, Consistency::Still) => "it stood still already".into(),
    }
}
