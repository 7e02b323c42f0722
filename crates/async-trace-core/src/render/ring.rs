//! Tasks and threads that wait for each other in a ring.
//!
//! A task goes on when *all* that it needs happens: the thing it waits for, and that its loop's thread
//! is not blocked. A lock is given back when *one* of its holders goes on. Whatever cannot go on by
//! these rules, assuming that everything outside of the picture will come to pass, is stuck for good;
//! a ring is drawn only of such.

use super::index::Index;
use crate::snapshot::*;

/// A ring, each member waiting for the next and the last for the first.
pub(super) struct Ring {
    pub members: Vec<Member>,
    /// Whether every step of it is known, not guessed.
    pub certain: bool,
}

/// A part of a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Member {
    /// A task, by its position.
    Task(u32),
    /// A thread, by its position.
    Thread(u32),
    /// A resource, by its position.
    Resource(u32),
}

/// The parts of a picture, numbered through: tasks, then threads, then resources.
struct Graph<'a> {
    index: &'a Index<'a>,
    tasks: usize,
    threads: usize,
    /// Edges from one that waits to what it needs.
    needs: Vec<Vec<u32>>,
    /// Whether one of those needs is enough.
    one_is_enough: Vec<bool>,
    /// Whether something that is not in the picture can help it on.
    open: Vec<bool>,
}

/// All that are stuck for good, one ring for each knot of them.
pub(super) fn rings(index: &Index<'_>) -> Vec<Ring> {
    let graph = Graph::of(index);
    let stuck = graph.stuck();
    if !stuck.contains(&true) {
        return Vec::new();
    }
    let mut rings = Vec::new();
    let mut seen = vec![false; stuck.len()];
    for start in 0..stuck.len() {
        if stuck[start]
            && !seen[start]
            && let Some(nodes) = graph.ring_behind(start, &stuck, &mut seen)
        {
            rings.push(graph.ring(&nodes));
        }
    }
    rings
}

impl<'a> Graph<'a> {
    fn of(index: &'a Index<'a>) -> Self {
        let s = index.snapshot;
        let (tasks, threads) = (s.tasks.len(), s.threads.len());
        let count = tasks + threads + s.resources.len();
        let mut graph = Self {
            index,
            tasks,
            threads,
            needs: vec![Vec::new(); count],
            one_is_enough: vec![false; count],
            open: vec![true; count],
        };
        for (i, task) in s.tasks.iter().enumerate() {
            graph.task(i, task);
        }
        for (i, thread) in s.threads.iter().enumerate() {
            if let Some(wait) = &thread.waits_for {
                graph.wait(tasks + i, wait);
            }
        }
        for (i, resource) in s.resources.iter().enumerate() {
            graph.resource(tasks + threads + i, resource);
        }
        graph
    }

    fn task(&mut self, node: usize, task: &Task) {
        if task.state == TaskState::Done {
            return;
        }
        if let (TaskState::Waiting, Some(wait)) = (task.state, &task.waits_for) {
            self.wait(node, wait);
        }
        // Nothing of a loop runs while its thread is blocked.
        let thread = task.thread.and_then(|tid| self.thread(tid));
        if let Some(thread) = thread.filter(|t| self.index.snapshot.threads[*t].waits_for.is_some())
            && !self.one_is_enough[node]
        {
            self.needs[node].push((self.tasks + thread) as u32);
            self.open[node] = false;
        }
    }

    fn wait(&mut self, node: usize, wait: &WaitsFor) {
        match &wait.target {
            Target::Tasks { pending, any, .. } => {
                let found: Vec<u32> = pending.iter().filter_map(|id| self.index.position(*id)).collect();
                // One that could not be read may help.
                self.open[node] = found.len() < pending.len() || found.is_empty();
                let unknown = matches!(wait.verb, Verb::Wait | Verb::AsCompleted);
                self.one_is_enough[node] = any.unwrap_or(unknown);
                self.needs[node] = found;
            }
            Target::Resource { id } => {
                // Anybody may notify a condition, whoever has its lock.
                let notify = wait.verb == Verb::Wait;
                if let Some(position) = self.index.resource_position(*id).filter(|_| !notify) {
                    self.needs[node] = vec![self.resource_node(position)];
                    self.open[node] = false;
                }
            }
            Target::Job { thread: Some(tid), .. } => {
                if let Some(thread) = self.thread(*tid) {
                    self.needs[node] = vec![(self.tasks + thread) as u32];
                    self.open[node] = false;
                }
            }
            Target::Job { thread: None, executor: Some(id), .. } => {
                if let Some(position) = self.index.resource_position(*id) {
                    self.needs[node] = vec![self.resource_node(position)];
                    self.open[node] = false;
                }
            }
            _ => {}
        }
    }

    fn resource(&mut self, node: usize, resource: &Resource) {
        let state = &resource.state;
        self.one_is_enough[node] = true;
        if resource.kind == ResourceKind::Executor {
            let workers = self.index.snapshot.threads.iter().enumerate();
            let busy =
                workers.filter(|(_, t)| t.job.as_ref().is_some_and(|j| j.executor == Some(resource.id)));
            self.needs[node] = busy.map(|(i, _)| (self.tasks + i) as u32).collect();
            // A thread that is free, or is yet to be started, would take the job.
            let all = state.capacity.or(state.size).unwrap_or(i64::MAX);
            self.open[node] = (self.needs[node].len() as i64) < all;
            return;
        }
        let counted = match resource.kind {
            ResourceKind::Lock
            | ResourceKind::ThreadLock
            | ResourceKind::ThreadRlock
            | ResourceKind::Condition => 1,
            ResourceKind::Semaphore | ResourceKind::Pool => state.capacity.unwrap_or(1),
            _ => return,
        };
        for holder in &resource.holders {
            let node_of_holder = match (holder.task, holder.thread) {
                (Some(id), _) => self.index.position(id),
                (None, Some(tid)) => self.thread(tid).map(|t| (self.tasks + t) as u32),
                (None, None) => None,
            };
            self.needs[node].extend(node_of_holder);
        }
        let known = self.needs[node].len();
        let free =
            state.locked == Some(false) || (resource.kind == ResourceKind::Semaphore && state.size > Some(0));
        self.open[node] = known == 0 || known < resource.holders.len() || (known as i64) < counted || free;
    }

    fn thread(&self, tid: u32) -> Option<usize> {
        self.index.snapshot.threads.iter().position(|t| t.tid == tid)
    }

    fn resource_node(&self, position: u32) -> u32 {
        (self.tasks + self.threads) as u32 + position
    }

    /// Those that nothing can help on: what is left when everything that can go on has gone on.
    fn stuck(&self) -> Vec<bool> {
        let mut stuck = vec![true; self.needs.len()];
        let mut missing: Vec<u32> = (0..stuck.len())
            .map(|n| if self.one_is_enough[n] { 1 } else { self.needs[n].len() as u32 })
            .collect();
        let mut needed_by = vec![Vec::new(); stuck.len()];
        for (node, needs) in self.needs.iter().enumerate() {
            for need in needs {
                needed_by[*need as usize].push(node as u32);
            }
        }
        let mut free: Vec<u32> = (0..stuck.len() as u32).filter(|n| self.open[*n as usize]).collect();
        for node in &free {
            stuck[*node as usize] = false;
        }
        while let Some(node) = free.pop() {
            for waiting in &needed_by[node as usize] {
                let waiting = *waiting as usize;
                missing[waiting] = missing[waiting].saturating_sub(1);
                if missing[waiting] == 0 && stuck[waiting] {
                    stuck[waiting] = false;
                    free.push(waiting as u32);
                }
            }
        }
        stuck
    }

    /// Follows what `start` needs until a node comes again: the ring that it is in, or waits for.
    /// None when that ring is known already.
    fn ring_behind(&self, start: usize, stuck: &[bool], seen: &mut [bool]) -> Option<Vec<u32>> {
        let mut path: Vec<u32> = Vec::new();
        let mut place = rustc_hash::FxHashMap::default();
        let mut node = start as u32;
        loop {
            if let Some(first) = place.get(&node) {
                return Some(path.split_off(*first));
            }
            if seen[node as usize] {
                return None;
            }
            seen[node as usize] = true;
            place.insert(node, path.len());
            path.push(node);
            // Something stuck needs something stuck. One that is not seen yet leads to further rings.
            let mut needs = self.needs[node as usize].iter().copied().filter(|n| stuck[*n as usize]);
            let first = needs.next()?;
            node = if place.contains_key(&first) {
                first
            } else {
                needs.find(|n| place.contains_key(n)).unwrap_or(first)
            };
        }
    }

    fn ring(&self, nodes: &[u32]) -> Ring {
        let mut members: Vec<Member> = nodes.iter().map(|n| self.member(*n)).collect();
        // A ring begins with whoever waits, and with the first of them.
        let rank = |m: &Member| match m {
            Member::Task(p) => (0, *p),
            Member::Thread(p) => (1, *p),
            Member::Resource(p) => (2, *p),
        };
        let first = (0..members.len()).min_by_key(|i| rank(&members[*i])).unwrap_or(0);
        members.rotate_left(first);
        let certain = (0..members.len()).all(|i| self.is_known(members[i], members[(i + 1) % members.len()]));
        Ring { members, certain }
    }

    fn member(&self, node: u32) -> Member {
        let node = node as usize;
        if node < self.tasks {
            Member::Task(node as u32)
        } else if node < self.tasks + self.threads {
            Member::Thread((node - self.tasks) as u32)
        } else {
            Member::Resource((node - self.tasks - self.threads) as u32)
        }
    }

    fn is_known(&self, from: Member, to: Member) -> bool {
        let s = self.index.snapshot;
        let wait = match from {
            Member::Task(p) => s.tasks[p as usize].waits_for.as_ref(),
            Member::Thread(p) => s.threads[p as usize].waits_for.as_ref(),
            Member::Resource(p) => {
                return holder_in(self.index, p, to).is_none_or(|h| h.trust != Trust::Guessed);
            }
        };
        wait.is_none_or(|w| w.trust != Trust::Guessed)
    }
}

/// The part that `to` has in a resource.
pub(super) fn holder_in<'a>(index: &Index<'a>, resource: u32, to: Member) -> Option<&'a Holder> {
    let s = index.snapshot;
    let holders = &s.resources.get(resource as usize)?.holders;
    match to {
        Member::Task(p) => holders.iter().find(|h| h.task == Some(s.tasks[p as usize].id)),
        Member::Thread(p) => holders.iter().find(|h| h.thread == Some(s.threads[p as usize].tid)),
        Member::Resource(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Index, Member, rings};
    use crate::fixture::snapshot;

    fn found(text: &str) -> Vec<(Vec<String>, bool)> {
        let s = snapshot(text);
        let name = |m: &Member| match m {
            Member::Task(p) => s.tasks[*p as usize].name.to_string(),
            Member::Thread(p) => s.threads[*p as usize].name.to_string(),
            Member::Resource(p) => s.resources[*p as usize].name.clone().unwrap().to_string(),
        };
        let found = rings(&Index::new(&s));
        found.iter().map(|r| (r.members.iter().map(name).collect(), r.certain)).collect()
    }

    fn ring(members: &str, certain: bool) -> (Vec<String>, bool) {
        (members.split(' ').map(str::to_owned).collect(), certain)
    }

    #[test]
    fn finds_two_tasks_with_two_locks_but_not_their_victims() {
        let text = "
lock a
lock b
task victim
  f x.py:9
  waits acquire a
task one
  f x.py:1
  holds a
  waits acquire b
task two
  f x.py:2
  holds b
  waits acquire a
";
        assert_eq!(found(text), [ring("one b two a", true)]);
        assert_eq!(found(&text.replace("holds b", "holds b guessed")), [ring("one b two a", false)]);
        assert_eq!(found(&text.replace("lock b", "lock b free")), []);
    }

    #[test]
    fn finds_a_lock_taken_twice_and_tasks_that_await_each_other() {
        let own = "lock a\ntask one\n  f x.py:1\n  holds a\n  waits acquire a";
        assert_eq!(found(own), [ring("one a", true)]);
        let tasks = "task one\n  waits await task two\ntask two\n  waits await task one";
        assert_eq!(found(tasks), [ring("one two", true)]);
    }

    #[test]
    fn a_semaphore_is_stuck_only_when_all_its_holders_are() {
        let text = "
semaphore s 0/2
task one
  f x.py:1
  holds s
  waits acquire s
task two
  f x.py:1
  holds s
  waits sleep timer 3
";
        assert_eq!(found(text), []);
        assert_eq!(found(&text.replace("waits sleep timer 3", "waits acquire s")), [ring("one s", true)]);
    }

    #[test]
    fn a_blocked_loop_blocks_its_tasks() {
        let text = "
thread-lock l
loop main busy
thread 1 MainThread loop main task taker
  g x.py:2
  waits acquire l
task holder
  f x.py:1
  holds l
  waits sleep timer 0.1
task taker running
  g x.py:2
";
        assert_eq!(found(text), [ring("holder MainThread l", true)]);
    }

    #[test]
    fn an_executor_whose_threads_all_wait_for_it() {
        let text = "
executor pool 1/1 busy 1
lock l
thread 1 MainThread loop main
  run x.py:1
thread 2 worker job outer for outer on pool
  outer x.py:5
  waits acquire l
loop main
task outer
  f x.py:1
  holds l
  waits call job inner queued 0 on pool
";
        assert_eq!(found(text), [ring("outer pool worker l", true)]);
        assert_eq!(found(&text.replace("pool 1/1", "pool 1/2")), []);
    }
}
