//! Rings of tasks that wait for each other, drawn as rings.

use super::super::frames::telling;
use super::super::ring::{Member, Ring, holder_in};
use super::task::names_of;
use super::*;
use crate::frame::Frame;

/// How many rings, and how many members of one, are drawn before the rest is counted.
const MOST: usize = 12;

impl<'a> Tree<'a> {
    pub(super) fn rings(&mut self, canvas: &mut impl Canvas) {
        let rings = ring::rings(self.index);
        for ring in rings.iter().take(MOST) {
            self.ring(canvas, ring);
        }
        if rings.len() > MOST {
            self.line.put(Role::Alarm, &amount((rings.len() - MOST) as u64, "more ring")).say(" like these");
            self.end(canvas, "", 2);
        }
    }

    /// `DEADLOCK: 2 tasks wait for each other`.
    pub(in super::super) fn headline(&mut self, ring: &Ring) {
        let waiting = waiting(ring);
        let knot = ring.knot;
        let tasks = ring.members.iter().filter(|m| matches!(m, Member::Task(_))).count() as u64;
        let threads = waiting.len() as u64 - tasks;
        let who = match (tasks, threads) {
            (t, 0) => amount(t, "task"),
            (0, n) => amount(n, "thread"),
            (t, n) => format!("{} and {}", amount(t, "task"), amount(n, "thread")),
        };
        let what = if waiting.len() == 1 {
            format!("a {} waits for itself", if tasks == 1 { "task" } else { "thread" })
        } else {
            format!("{who} wait for each other")
        };
        let what = if knot > waiting.len() {
            format!("{knot} tasks and threads keep each other waiting, among them this ring")
        } else {
            what
        };
        let timeout = ring.members.iter().filter_map(|m| self.wait_of(*m)?.timeout_s).min_by(f64::total_cmp);
        self.line
            .put(Role::Alarm, if ring.certain { "DEADLOCK: " } else { "probably a DEADLOCK: " })
            .say(&what);
        if let Some(timeout) = timeout {
            self.line.say(", until a timeout in ").say(&super::super::units::seconds(timeout.max(0.0)));
        }
    }

    fn ring(&mut self, canvas: &mut impl Canvas, ring: &Ring) {
        canvas.end_line();
        self.headline(ring);
        self.end(canvas, "", 2);

        let s = self.index.snapshot;
        let waiting = waiting(ring);
        let [first, next, last, bar] = self.glyphs.ring;
        let inner = format!("  {bar}  ");
        for (n, at) in waiting.iter().take(MOST).enumerate() {
            let member = ring.members[*at];
            let head = format!("  {}", if n == 0 { first } else { next });
            self.member(member);
            self.line.end(canvas, &self.page, [&head, &inner], 2);
            let after = ring.members[(at + 1) % ring.members.len()];
            self.step(canvas, &inner, member, after, ring.members[(at + 2) % ring.members.len()]);
        }
        if waiting.len() > MOST {
            let more = amount((waiting.len() - MOST) as u64, "more member");
            self.line.say(&format!("{} {more}", self.glyphs.ellipsis));
            self.end(canvas, &inner, 2);
        }
        if let Some(at) = waiting.first() {
            self.member(ring.members[*at]);
            if waiting.len() > 1 {
                self.line.say(", the first one again");
            }
            self.line.end(canvas, &self.page, [&format!("  {last}"), "     "], 2);
        }
        let victims = &ring.behind;
        if !victims.is_empty() {
            let verb = if victims.len() == 1 { "waits" } else { "wait" };
            self.line.say(&format!("{} {verb} behind it: ", amount(victims.len() as u64, "more task")));
            let names = victims.iter().map(|place| &*s.tasks[*place as usize].name);
            names_of(&mut self.line, names, 5, self.glyphs.ellipsis);
            self.end(canvas, "  ", 2);
        }
    }

    /// `, taken as target.lock at bank.py:38 (transfer) by`; where the line of the `with` is not known,
    /// `, held at …`. Two locks may go by one name, and one lock by two.
    fn held(&mut self, held: &Holder, resource: &Resource, waiting: Option<&str>) {
        self.line.say(if held.trust == Trust::Guessed { ", probably " } else { ", " });
        self.line.say(if held.taken_line.is_some() { "taken" } else { "held" });
        let task = held.task.and_then(|id| self.index.get_task(id)).map(|t| &t.holds);
        let thread = held.thread.and_then(|tid| self.index.get_thread(tid)).map(|t| &t.holds);
        let mut holds = task.or(thread).into_iter().flatten();
        let name = holds.find(|h| h.resource == resource.id).and_then(|h| h.name.as_deref());
        if let Some(name) = name.filter(|name| Some(*name) != waiting.or(resource.name.as_deref())) {
            self.line.say(" as ").put(Role::Resource, name);
        }
        if let Some(at) = &held.at {
            self.line.say(" ");
            let line = held.taken_line.unwrap_or(at.line);
            self.speaker.at(&mut self.line, &Frame { line, ..at.clone() });
        }
        self.line.say(" by");
    }

    fn member(&mut self, member: Member) {
        let s = self.index.snapshot;
        match member {
            Member::Task(p) => self.speaker.task(&mut self.line, s.tasks[p as usize].id),
            Member::Thread(p) => self.speaker.thread(&mut self.line, s.threads[p as usize].tid),
            Member::Resource(p) => self.speaker.resource(&mut self.line, &s.resources[p as usize], None),
        }
    }

    fn wait_of(&self, member: Member) -> Option<&'a WaitsFor> {
        let s = self.index.snapshot;
        match member {
            Member::Task(p) => s.tasks[p as usize].waits_for.as_ref(),
            Member::Thread(p) => s.threads[p as usize].waits_for.as_ref(),
            Member::Resource(_) => None,
        }
    }

    /// Why a member waits for the next: at which line, for what, and where that is held.
    fn step(
        &mut self,
        canvas: &mut impl Canvas,
        prefix: &str,
        member: Member,
        after: Member,
        holder: Member,
    ) {
        let s = self.index.snapshot;
        let (stack, wait) = match member {
            Member::Task(p) => (&s.tasks[p as usize].chain, self.wait_of(member)),
            Member::Thread(p) => (&s.threads[p as usize].stack, self.wait_of(member)),
            Member::Resource(_) => return,
        };
        let name = wait.and_then(|w| w.name.as_deref());
        if let (Member::Task(_), Member::Thread(_)) = (member, after)
            && !wait.is_some_and(|w| matches!(w.target, Target::Job { .. }))
        {
            self.line.say("cannot run: its loop's thread is blocked");
            self.end(canvas, prefix, 2);
            return;
        }
        self.line.say("waits ");
        if let Some(frame) = telling(stack) {
            self.speaker.at(&mut self.line, frame);
        }
        self.end(canvas, prefix, 2);
        match after {
            Member::Resource(p) => {
                let resource = &s.resources[p as usize];
                self.line.say("for ");
                self.speaker.resource(&mut self.line, resource, name);
                match holder_in(self.index, p, holder) {
                    Some(held) => self.held(held, resource, name),
                    None if resource.kind == ResourceKind::Executor => {
                        self.line.say(", all of whose threads are busy, one as");
                    }
                    None => _ = self.line.say(", where only others can help, such as"),
                }
            }
            Member::Task(_) => _ = self.line.say("for the result of"),
            Member::Thread(_) => _ = self.line.say("for a function that is executed in"),
        }
        self.end(canvas, prefix, 2);
    }
}

/// The members of a ring that wait: its tasks and threads.
fn waiting(ring: &Ring) -> Vec<usize> {
    (0..ring.members.len()).filter(|i| !matches!(ring.members[*i], Member::Resource(_))).collect()
}
