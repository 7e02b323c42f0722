//! Rings of tasks that wait for each other, drawn as rings.

use super::super::index::telling;
use super::super::ring::{Member, Ring, holder_in};
use super::*;

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

    fn ring(&mut self, canvas: &mut impl Canvas, ring: &Ring) {
        canvas.end_line();
        let s = self.index.snapshot;
        let waiting: Vec<usize> =
            (0..ring.members.len()).filter(|i| !matches!(ring.members[*i], Member::Resource(_))).collect();
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
        let timeout = ring.members.iter().filter_map(|m| self.wait_of(*m)?.timeout_s).min_by(f64::total_cmp);
        self.line
            .put(Role::Alarm, if ring.certain { "DEADLOCK: " } else { "probably a DEADLOCK: " })
            .say(&what);
        if let Some(timeout) = timeout {
            self.line.say(", until a timeout in ").say(&super::super::units::seconds(timeout.max(0.0)));
        }
        self.end(canvas, "", 2);

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
        // Who else suffers: those behind the ring's own locks.
        let resources = ring.members.iter().filter_map(|m| match m {
            Member::Resource(p) => s.resources.get(*p as usize),
            _ => None,
        });
        let in_ring =
            |id: &Id| self.index.position(*id).is_some_and(|p| ring.members.contains(&Member::Task(p)));
        let victims: Vec<Id> =
            resources.flat_map(|r| &r.waiters).filter(|id| !in_ring(id)).copied().collect();
        if !victims.is_empty() {
            let verb = if victims.len() == 1 { "waits" } else { "wait" };
            self.line.say(&format!("{} {verb} behind it: ", amount(victims.len() as u64, "more task")));
            for (i, id) in victims.iter().take(5).enumerate() {
                self.line.say(if i > 0 { ", " } else { "" });
                match self.index.task(*id) {
                    Some(task) => _ = self.line.put(Role::Task, &task.name),
                    None => _ = self.line.show(Role::Task, id),
                }
            }
            if victims.len() > 5 {
                self.line.say(", ").say(self.glyphs.ellipsis);
            }
            self.end(canvas, "  ", 2);
        }
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
                let held = holder_in(self.index, p, holder);
                match held {
                    Some(held) if held.trust == Trust::Guessed => _ = self.line.say(", probably held"),
                    Some(_) => _ = self.line.say(", held"),
                    None => _ = self.line.say(", all of whose threads are busy"),
                }
                if let Some(frame) = held.and_then(|h| h.at.as_ref()) {
                    self.line.say(" ");
                    self.speaker.at(&mut self.line, frame);
                }
                if let Some(held) = held {
                    self.speaker.taken(&mut self.line, held.taken_line, held.at.as_ref());
                }
                self.line.say(if held.is_some() { " by" } else { ", one in" });
            }
            Member::Task(_) => _ = self.line.say("for the result of"),
            Member::Thread(_) => _ = self.line.say("for a function that is executed in"),
        }
        self.end(canvas, prefix, 2);
    }
}
