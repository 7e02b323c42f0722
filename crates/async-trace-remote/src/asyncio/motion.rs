//! Reads tasks that have moved, some of them at once.
//!
//! Most of them rest again. So some are read from what is known, and then what they were read from is looked at in one call:
//! a task was whole if nothing of it has changed. A task that moves on meanwhile is left to be read alone.

use super::chain::Chain;
use super::verify::{self, Attempt, LOOKS};
use super::walk::{Session, Walked};
use crate::memory::addr::Addr;
use crate::memory::pages::{Copies, Pages, Raw, Route};

/// So many tasks are read at once: the fewer, the shorter it takes to look at what they lie in, and the more calls.
const AT_ONCE: usize = 12;
/// After so many tasks it is known whether that pays.
const TRIED: usize = 3 * AT_ONCE;

/// Reads tasks. Those that were whole are given to `keep`, one after the other; the others are returned.
pub(crate) fn read(
    session: &Session<'_>,
    tasks: &[Addr],
    chain: &mut Chain,
    walked: &mut Walked,
    mut keep: impl FnMut(Attempt, &mut Walked),
) -> Vec<Addr> {
    let (mut copies, mut moving) = (Copies::default(), Vec::new());
    let mut tried = 0;
    for some in tasks.chunks(AT_ONCE) {
        // Where nothing ever rests, what is known is older than the last move of nearly all.
        if tried >= TRIED && 2 * moving.len() > tried {
            moving.extend_from_slice(&tasks[tried..]);
            break;
        }
        tried += some.len();
        let mark = walked.resources.mark();
        let mut attempt =
            |addr: &Addr, walked: &mut Walked| verify::attempt(session, *addr, chain, walked, Pages::end_raw);
        let attempts: Vec<(Attempt, Raw)> = some.iter().map(|addr| attempt(addr, walked)).collect();
        let mut route = Route::new();
        attempts.iter().for_each(|(_, raw)| raw.pages(&mut route));
        route.sort_unstable();
        route.dedup();
        session.reader.mem.copy_together(&route, LOOKS, &mut copies);
        let is_whole = |(attempt, raw): &(Attempt, Raw)| attempt.is_well() && raw.is_still(&copies);
        if walked.resources.replaced.is_empty() && attempts.iter().all(is_whole) {
            attempts.into_iter().for_each(|(attempt, _)| keep(attempt, walked));
            continue;
        }
        // What was read for one may be what another has: all of it is forgotten.
        walked.resources.cut(mark);
        for (addr, first) in some.iter().zip(&attempts) {
            let mark = walked.resources.mark();
            if is_whole(first) {
                let again = attempt(addr, walked);
                if is_whole(&again) {
                    keep(again.0, walked);
                    continue;
                }
                walked.resources.cut(mark);
            }
            moving.push(*addr);
        }
    }
    moving
}
