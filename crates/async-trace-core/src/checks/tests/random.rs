//! Random programs of tasks, locks and pools against a simulation that lets everything run that can.

use super::super::{Config, run};
use crate::fixture::snapshot;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write;

const TASKS: usize = 7;
const LOCKS: usize = 4;

#[derive(Clone, Debug)]
enum Wait {
    Lock(usize),
    All(Vec<usize>),
    Any(Vec<usize>),
    Clock,
}

fn wait() -> impl Strategy<Value = Wait> {
    prop_oneof![
        4 => (0..LOCKS).prop_map(Wait::Lock),
        2 => prop::collection::vec(0..TASKS, 1..4).prop_map(Wait::All),
        1 => prop::collection::vec(0..TASKS, 2..4).prop_map(Wait::Any),
        1 => Just(Wait::Clock),
    ]
}

/// Who can end, when all that can end do end and give back what they hold.
fn ends(owners: &[Option<usize>], waits: &[Wait]) -> BTreeSet<usize> {
    let mut ended = BTreeSet::new();
    loop {
        let before = ended.len();
        for (task, wait) in waits.iter().enumerate() {
            let goes_on = match wait {
                Wait::Clock => true,
                Wait::Lock(lock) => owners[*lock].is_none_or(|owner| ended.contains(&owner)),
                Wait::All(tasks) => tasks.iter().all(|t| ended.contains(t)),
                Wait::Any(tasks) => tasks.iter().any(|t| ended.contains(t)),
            };
            if goes_on {
                ended.insert(task);
            }
        }
        if ended.len() == before {
            return ended;
        }
    }
}

fn program(owners: &[Option<usize>], waits: &[Wait]) -> String {
    let mut text = String::new();
    for lock in 0..LOCKS {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "lock lock-{lock}");
    }
    let names = |tasks: &[usize]| tasks.iter().map(|t| format!(" task-{t}")).collect::<String>();
    for (task, wait) in waits.iter().enumerate() {
        let _ = writeln!(text, "task task-{task}\n  work app.py:{}", task + 1);
        for (lock, _) in owners.iter().enumerate().filter(|(_, owner)| **owner == Some(task)) {
            let _ = writeln!(text, "  holds lock-{lock}");
        }
        let _ = match wait {
            Wait::Lock(lock) => writeln!(text, "  waits acquire lock-{lock}"),
            Wait::All(tasks) => writeln!(text, "  waits gather tasks{}", names(tasks)),
            Wait::Any(tasks) => writeln!(text, "  waits as_completed tasks{}", names(tasks)),
            Wait::Clock => writeln!(text, "  waits sleep timer 1"),
        };
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn accuses_exactly_those_that_cannot_go_on(
        owners in prop::collection::vec(prop::option::of(0..TASKS), LOCKS),
        waits in prop::collection::vec(wait(), TASKS),
    ) {
        let ended = ends(&owners, &waits);
        let findings = run(&[&snapshot(&program(&owners, &waits))], &Config::default());
        let named: usize = findings.iter().flat_map(|f| &f.consequences).map(|c| c.count as usize).sum();
        prop_assert_eq!(findings.is_empty(), ended.len() == TASKS);
        prop_assert!(findings.iter().all(|f| &*f.check == "deadlock"));
        // Nobody who can go on is named, neither as a member nor as a victim.
        let is_free = |name: &str| name.strip_prefix("task-").and_then(|n| n.parse().ok()).is_some_and(|n| ended.contains(&n));
        for finding in &findings {
            let evidence = finding.evidence.iter().filter_map(|e| e.task.as_ref());
            let victims = finding.consequences.iter().flat_map(|c| &c.tasks);
            for task in evidence.chain(victims) {
                prop_assert!(!is_free(&task.name), "{} is accused in {}", task.name, finding.summary);
            }
        }
        prop_assert!(named <= TASKS - ended.len());
    }
}
