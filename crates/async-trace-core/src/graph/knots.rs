//! Who can never go on: liveness, cycles and root causes over a graph of AND and OR waits.
//!
//! A node needs either *all* or *any* of the nodes it waits for to go on. A node that needs all of
//! nothing is free. Knows nothing of tasks or locks; every walk is a loop, so that a chain of a
//! hundred thousand nodes costs no stack.

/// A wait graph in the making: nodes `0..len`, and edges from a waiting node to what it waits for.
#[derive(Debug, Default)]
pub struct Builder {
    any: Vec<bool>,
    edges: Vec<(u32, u32)>,
}

impl Builder {
    /// `count` nodes that need all of what they wait for, which is nothing so far: they are free.
    pub fn free_nodes(&mut self, count: usize) {
        self.any.resize(self.any.len() + count, false);
    }

    /// One more node; it needs any of what it waits for when `any`, else all.
    pub fn node(&mut self, any: bool) -> u32 {
        self.any.push(any);
        self.any.len() as u32 - 1
    }

    /// Makes a node need any one of its edges. Without edges it can never go on.
    pub fn needs_any(&mut self, node: u32) {
        if let Some(any) = self.any.get_mut(node as usize) {
            *any = true;
        }
    }

    /// `from` waits for `to`.
    pub fn edge(&mut self, from: u32, to: u32) {
        self.edges.push((from, to));
    }

    /// Nothing is added any more.
    #[must_use]
    pub fn finish(self) -> Waits {
        let n = self.any.len();
        let known = |edge: &&(u32, u32)| (edge.0 as usize) < n && (edge.1 as usize) < n;
        let forward = Lists::of(n, self.edges.iter().filter(known).copied());
        let backward = Lists::of(n, self.edges.iter().filter(known).map(|&(from, to)| (to, from)));
        Waits { any: self.any, forward, backward }
    }
}

/// Adjacency lists in two flat arrays.
#[derive(Debug)]
struct Lists {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    fn of(n: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        let mut starts = vec![0_u32; n + 1];
        for (from, _) in edges.clone() {
            starts[from as usize + 1] += 1;
        }
        for i in 0..n {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut items = vec![0; starts[n] as usize];
        for (from, to) in edges {
            let slot = &mut next[from as usize];
            items[*slot as usize] = to;
            *slot += 1;
        }
        Self { starts, items }
    }

    fn of_node(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.items[self.starts[node] as usize..self.starts[node + 1] as usize]
    }
}

/// A finished wait graph.
#[derive(Debug)]
pub struct Waits {
    any: Vec<bool>,
    forward: Lists,
    backward: Lists,
}

/// A root cause: nodes that keep each other from going on, whatever all others do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knot {
    /// Its nodes in ascending order.
    pub nodes: Vec<u32>,
    /// Whether they wait for each other in a cycle; else it is one node that nobody can serve.
    pub cycle: bool,
}

/// What can never go on, and why.
#[derive(Debug, Default)]
pub struct Stuck {
    /// The root causes, by their first node.
    pub knots: Vec<Knot>,
    /// For each node that can never go on, the knot that it is in or (mediately) waits for.
    pub cause: Vec<Option<u32>>,
}

impl Waits {
    /// What the node waits for.
    #[must_use]
    pub fn of_node(&self, node: u32) -> &[u32] {
        self.forward.of_node(node)
    }

    /// Finds what can never go on, and its root causes.
    #[must_use]
    pub fn stuck(&self) -> Stuck {
        let n = self.any.len();
        // The set a node is in; nodes of other sets count as free. 0: can go on.
        let mut set = vec![1_u32; n];
        let all: Vec<u32> = (0..n as u32).collect();
        let core = self.core(&all, 1, &mut set);
        let mut knots = Vec::new();
        let mut work = vec![core];
        let mut sets = 1;
        let mut scratch = Tarjan::new(n);
        let mut cause = vec![None; n];
        while let Some(nodes) = work.pop() {
            for &node in &nodes {
                if cause[node as usize].is_none() {
                    cause[node as usize] = Some(UNASSIGNED);
                }
            }
            for component in scratch.components(self, &nodes, &set) {
                sets += 1;
                for &node in &component {
                    set[node as usize] = sets;
                }
                let size = component.len();
                let core = self.core(&component, sets, &mut set);
                if core.len() == size {
                    let cycle = size > 1 || self.of_node(core[0]).contains(&core[0]);
                    knots.push(Knot { nodes: core, cycle });
                } else if !core.is_empty() {
                    work.push(core);
                }
            }
        }
        for knot in &mut knots {
            knot.nodes.sort_unstable();
        }
        knots.sort_unstable_by_key(|knot| knot.nodes[0]);
        self.spread(&knots, &mut cause);
        Stuck { knots, cause }
    }

    /// The part of `nodes` (all of them in `own`) that cannot go on even when everything outside
    /// can. Nodes that can go on leave the set.
    fn core(&self, nodes: &[u32], own: u32, set: &mut [u32]) -> Vec<u32> {
        let mut need = rustc_hash::FxHashMap::default();
        let mut free = Vec::new();
        for &node in nodes {
            let targets = self.of_node(node);
            let inside = targets.iter().filter(|to| set[**to as usize] == own).count();
            let (any, outside) = (self.any[node as usize], targets.len() - inside);
            let free_now = if any { outside > 0 } else { inside == 0 };
            if free_now {
                free.push(node);
            } else {
                need.insert(node, if any { 1 } else { inside });
            }
        }
        for &node in &free {
            set[node as usize] = 0;
        }
        while let Some(node) = free.pop() {
            for &waiting in self.backward.of_node(node) {
                if set[waiting as usize] == own
                    && let Some(need) = need.get_mut(&waiting)
                {
                    *need = need.saturating_sub(1);
                    if *need == 0 {
                        set[waiting as usize] = 0;
                        free.push(waiting);
                    }
                }
            }
        }
        nodes.iter().copied().filter(|node| set[*node as usize] == own).collect()
    }

    /// Gives each stuck node the nearest knot, by the number of waits in between.
    fn spread(&self, knots: &[Knot], cause: &mut [Option<u32>]) {
        let mut wave = std::collections::VecDeque::new();
        for (number, knot) in knots.iter().enumerate() {
            for &node in &knot.nodes {
                cause[node as usize] = Some(number as u32);
                wave.push_back(node);
            }
        }
        while let Some(node) = wave.pop_front() {
            let number = cause[node as usize];
            for &waiting in self.backward.of_node(node) {
                if cause[waiting as usize] == Some(UNASSIGNED) {
                    cause[waiting as usize] = number;
                    wave.push_back(waiting);
                }
            }
        }
    }
}

/// Stuck, but not yet known because of what.
const UNASSIGNED: u32 = u32::MAX;

/// Tarjan's strongly connected components, with the call stack in a vector.
struct Tarjan {
    order: Vec<u32>,
    low: Vec<u32>,
    on_stack: Vec<bool>,
    next: u32,
}

impl Tarjan {
    fn new(n: usize) -> Self {
        Self { order: vec![0; n], low: vec![0; n], on_stack: vec![false; n], next: 1 }
    }

    /// The components of the graph among `nodes`, which all are of one set.
    fn components(&mut self, waits: &Waits, nodes: &[u32], set: &[u32]) -> Vec<Vec<u32>> {
        for &node in nodes {
            self.order[node as usize] = 0;
        }
        let mut found = Vec::new();
        let mut stack = Vec::new();
        let mut calls: Vec<(u32, usize)> = Vec::new();
        for &start in nodes {
            if self.order[start as usize] != 0 {
                continue;
            }
            self.enter(start, &mut stack);
            calls.push((start, 0));
            while let Some((node, edge)) = calls.last_mut() {
                let node = *node;
                if let Some(&to) = waits.of_node(node).get(*edge) {
                    *edge += 1;
                    if set[to as usize] != set[node as usize] {
                        continue;
                    }
                    if self.order[to as usize] == 0 {
                        self.enter(to, &mut stack);
                        calls.push((to, 0));
                    } else if self.on_stack[to as usize] {
                        self.low[node as usize] = self.low[node as usize].min(self.order[to as usize]);
                    }
                    continue;
                }
                calls.pop();
                if let Some((parent, _)) = calls.last() {
                    let parent = *parent as usize;
                    self.low[parent] = self.low[parent].min(self.low[node as usize]);
                }
                if self.low[node as usize] == self.order[node as usize] {
                    let at = stack.iter().rposition(|n| *n == node).unwrap_or(0);
                    let component = stack.split_off(at);
                    for &member in &component {
                        self.on_stack[member as usize] = false;
                    }
                    found.push(component);
                }
            }
        }
        found
    }

    fn enter(&mut self, node: u32, stack: &mut Vec<u32>) {
        self.order[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        self.on_stack[node as usize] = true;
        stack.push(node);
    }
}

#[cfg(test)]
mod tests {
    use super::{Builder, Knot, Waits};
    use proptest::prelude::*;

    fn waits(any: &[bool], edges: &[(u32, u32)]) -> Waits {
        let mut builder = Builder::default();
        for any in any {
            builder.node(*any);
        }
        for (from, to) in edges {
            builder.edge(*from, *to);
        }
        builder.finish()
    }

    /// Whether `set` (bits) cannot go on although everything outside of it can.
    fn sustains_itself(any: &[bool], edges: &[(u32, u32)], set: u32) -> bool {
        (0..any.len() as u32).filter(|v| set & (1 << v) != 0).all(|v| {
            let mut targets = edges.iter().filter(|e| e.0 == v).map(|e| set & (1 << e.1) != 0);
            if any[v as usize] { targets.all(|inside| inside) } else { targets.any(|inside| inside) }
        })
    }

    fn is_connected(edges: &[(u32, u32)], set: u32) -> bool {
        let reach = |backward: bool| {
            let mut seen = set & set.wrapping_neg();
            loop {
                let before = seen;
                for &(a, b) in edges {
                    let (a, b) = if backward { (b, a) } else { (a, b) };
                    if seen & (1 << a) != 0 && set & (1 << b) != 0 {
                        seen |= 1 << b;
                    }
                }
                if seen == before {
                    return seen == set;
                }
            }
        };
        reach(false) && reach(true)
    }

    /// By definition: the greatest connected sets that sustain themselves, and everything stuck.
    fn oracle(any: &[bool], edges: &[(u32, u32)]) -> (Vec<Knot>, u32) {
        let sets: Vec<u32> =
            (1..1_u32 << any.len()).filter(|set| sustains_itself(any, edges, *set)).collect();
        let stuck = sets.iter().fold(0, |all, set| all | set);
        let connected: Vec<u32> = sets.into_iter().filter(|set| is_connected(edges, *set)).collect();
        let mut knots: Vec<Knot> = connected
            .iter()
            .filter(|set| !connected.iter().any(|other| other != *set && other & **set == **set))
            .map(|set| {
                let nodes: Vec<u32> = (0..any.len() as u32).filter(|v| set & (1 << v) != 0).collect();
                let cycle = nodes.len() > 1 || edges.contains(&(nodes[0], nodes[0]));
                Knot { nodes, cycle }
            })
            .collect();
        knots.sort_by_key(|knot| knot.nodes[0]);
        (knots, stuck)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn agrees_with_the_definition(
            any in prop::collection::vec(any::<bool>(), 1..9),
            raw in prop::collection::vec((0..9_u32, 0..9_u32), 0..18),
        ) {
            let n = any.len() as u32;
            let edges: Vec<(u32, u32)> = raw.into_iter().map(|(a, b)| (a % n, b % n)).collect();
            let (knots, everything) = oracle(&any, &edges);
            let found = waits(&any, &edges).stuck();
            prop_assert_eq!(&found.knots, &knots);
            for node in 0..n {
                let cause = found.cause[node as usize];
                prop_assert_eq!(cause.is_some(), everything & (1 << node) != 0, "node {}", node);
                prop_assert!(cause.is_none_or(|c| (c as usize) < knots.len()));
            }
        }
    }

    #[test]
    fn a_pool_is_stuck_only_when_every_holder_is() {
        // 0: the pool (any of its holders), 1 and 2: holders that wait for the pool, 3: another holder.
        let stuck = waits(&[true, false, false], &[(0, 1), (0, 2), (1, 0), (2, 0)]).stuck();
        assert_eq!(stuck.knots, [Knot { nodes: vec![0, 1, 2], cycle: true }]);
        let free = waits(&[true, false, false, false], &[(0, 1), (0, 2), (0, 3), (1, 0), (2, 0)]).stuck();
        assert_eq!(free.knots, []);
    }

    #[test]
    fn a_chain_of_a_hundred_thousand_nodes_costs_no_stack() {
        let n = 100_000;
        let mut builder = Builder::default();
        builder.free_nodes(n);
        for node in 1..n as u32 {
            builder.edge(node - 1, node);
        }
        builder.edge(n as u32 - 1, n as u32 - 2);
        let stuck = builder.finish().stuck();
        assert_eq!(stuck.knots, [Knot { nodes: vec![n as u32 - 2, n as u32 - 1], cycle: true }]);
        assert!(stuck.cause.iter().all(|cause| *cause == Some(0)));
    }
}
