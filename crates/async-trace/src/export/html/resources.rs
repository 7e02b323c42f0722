//! Which resources stand in a line of their own: ten thousand events that one task each waits for are one
//! entry, not ten thousand.

use async_trace_core::index::Index;
use async_trace_core::snapshot::{Id, Resource, ResourceKind};
use std::collections::HashMap;

/// What makes resources alike that only one task each has to do with.
type Kin<'a> = (ResourceKind, &'a str, Option<&'a str>, Option<bool>, bool, Option<Id>);

/// The entries: places among the snapshot's resources, those that most wait for first.
pub(super) struct Entries {
    pub members: Vec<Vec<u32>>,
    /// By the place of a resource.
    entry: Vec<u32>,
}

impl Entries {
    pub(super) fn of(index: &Index<'_>) -> Self {
        let resources = &index.snapshot.resources;
        let mut members: Vec<Vec<u32>> = Vec::new();
        let mut alike: HashMap<Kin<'_>, usize> = HashMap::new();
        for (place, resource) in (0..).zip(resources) {
            let known = kin(resource).map(|kin| *alike.entry(kin).or_insert(members.len()));
            match known.and_then(|known| members.get_mut(known)) {
                Some(entry) => entry.push(place),
                None => members.push(vec![place]),
            }
        }
        let waiting = |entry: &Vec<u32>| -> usize {
            let all = entry.iter().map(|place| &resources[*place as usize]);
            all.map(|r| r.waiters.len() + r.blocked_threads.len()).sum()
        };
        // Those that are shared say more than those that stand for many.
        members.sort_by_key(|entry| (entry.len() > 1, std::cmp::Reverse(waiting(entry))));
        let mut entry = vec![0; resources.len()];
        for (number, places) in (0..).zip(&members) {
            for place in places {
                entry[*place as usize] = number;
            }
        }
        Self { members, entry }
    }

    /// The entry that a resource is in.
    pub(super) fn of_place(&self, place: u32) -> u32 {
        self.entry.get(place as usize).copied().unwrap_or(0)
    }
}

/// Nothing for those that more than one has to do with: which one it is matters.
fn kin(resource: &Resource) -> Option<Kin<'_>> {
    let state = resource.state.set.or(resource.state.locked);
    let partners = resource.waiters.len() + resource.blocked_threads.len() + resource.holders.len();
    (partners <= 1).then(|| {
        let held = !resource.holders.is_empty();
        (resource.kind, &*resource.type_name, resource.name.as_deref(), state, held, resource.within)
    })
}
