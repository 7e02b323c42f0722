//! Tasks and threads that wait for each other in a ring, found in the wait graph.

use crate::graph::{Graph, Node};
use crate::index::Index;
use crate::snapshot::Holder;
use rustc_hash::FxHashMap;

/// A ring, each member waiting for the next and the last for the first.
pub(super) struct Ring {
    pub members: Vec<Member>,
    /// How many tasks and threads keep each other from going on; the ring may be a part of them.
    pub knot: usize,
    /// Tasks that wait for them, mediately or not.
    pub behind: Vec<u32>,
    /// Whether every step is known, not guessed.
    pub certain: bool,
}

/// A part of a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Member {
    /// A task, by its place.
    Task(u32),
    /// A thread, by its place.
    Thread(u32),
    /// A resource, by its place.
    Resource(u32),
}

/// One ring for each knot of tasks and threads that can never go on.
pub(super) fn rings(index: &Index<'_>) -> Vec<Ring> {
    // A timeout that is to come will end it; but now it is one.
    let graph = Graph::of(index, 0.0);
    let knots = graph.stuck.knots.iter().enumerate().filter(|(_, knot)| knot.cycle);
    let ring = |(number, knot): (usize, &crate::graph::knots::Knot)| {
        let nodes = walk(&graph, &knot.nodes);
        let mut members: Vec<Member> = nodes.iter().filter_map(|node| member(graph.node(*node))).collect();
        // It begins with whoever waits, and with the first of them.
        let rank = |m: &Member| match m {
            Member::Task(p) => (0, *p),
            Member::Thread(p) => (1, *p),
            Member::Resource(p) => (2, *p),
        };
        let first = (0..members.len()).min_by_key(|i| rank(&members[*i])).unwrap_or(0);
        members.rotate_left(first);
        let waits = |node: &&u32| matches!(graph.node(**node), Node::Task(_) | Node::Thread(_));
        Ring {
            members,
            knot: knot.nodes.iter().filter(waits).count(),
            behind: graph.behind(number).to_vec(),
            certain: !knot.nodes.iter().any(|node| graph.is_uncertain(*node)),
        }
    };
    knots.map(ring).collect()
}

/// Follows the waits within a knot until a node comes again.
fn walk(graph: &Graph, knot: &[u32]) -> Vec<u32> {
    let mut path: Vec<u32> = Vec::new();
    let mut places: FxHashMap<u32, usize> = FxHashMap::default();
    let mut next = knot.first().copied();
    while let Some(node) = next {
        if let Some(first) = places.insert(node, path.len()) {
            return path.split_off(first);
        }
        path.push(node);
        // The shorter ring is the clearer one: back to where we were, if that is possible.
        let inside = |to: &u32| knot.binary_search(to).is_ok();
        let known = graph.waits_of(node).filter(inside).find(|to| places.contains_key(to));
        next = known.or_else(|| graph.waits_of(node).find(inside));
    }
    path
}

fn member(node: Node) -> Option<Member> {
    match node {
        Node::Task(place) => Some(Member::Task(place)),
        Node::Thread(place) => Some(Member::Thread(place)),
        Node::Resource(place) | Node::Room(place) | Node::Done(place) => Some(Member::Resource(place)),
        Node::Choice | Node::Future => None,
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
    use super::{Member, rings};
    use crate::fixture::snapshot;
    use crate::index::Index;

    fn found(text: &str) -> Vec<(Vec<String>, bool)> {
        let s = snapshot(text);
        let name = |m: &Member| match m {
            Member::Task(p) => s.tasks[*p as usize].name.to_string(),
            Member::Thread(p) => s.threads[*p as usize].name.to_string(),
            Member::Resource(p) => s.resources[*p as usize].name.clone().unwrap().to_string(),
        };
        let found = rings(&Index::of(&s));
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
