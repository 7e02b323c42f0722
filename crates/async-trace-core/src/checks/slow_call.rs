//! A call to a database or another service that does not come back, made on behalf of someone who waits.
//!
//! Waiting is what asyncio programs do all day, so this check accuses only waits that are meant to be
//! short: a request in flight that keeps a connection, a client's request, or siblings that are done
//! waiting. Whoever listens (websockets, subscriptions, long polls, consumers) is left alone.

use super::motion::{self, Motion};
use super::transactions::Open;
use super::words::{self, amount};
use super::{Check, Findings, Scene, finding};
use crate::diff::own_frame;
use crate::finding::{Evidence, Role, Severity, TaskRef};
use crate::frame::{Frame, Origin};
use crate::snapshot::{ResourceKind, Target, Task, TaskState, Verb};

pub(super) const CHECK: Check = Check {
    slug: "slow-call",
    about: "a call to a database or service does not come back, and a request waits for it",
    run,
};

/// Calls that send something and wait for the answer.
const ASKS: &[&str] = &[
    "execute",
    "executemany",
    "fetch",
    "fetchrow",
    "fetchval",
    "fetchone",
    "fetchall",
    "fetchmany",
    "query",
    "request",
    "send",
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "head",
    "options",
    "connect",
    "login",
    "commit",
    "rollback",
    "begin",
    "call",
    "command",
    "invoke",
    "publish",
    "find",
    "insert",
    "update",
    "aggregate",
    "scalar",
    "scalars",
    "copy",
    "handshake",
    "ping",
    "aenter",
];

/// Calls that wait for whatever comes, whenever it comes.
const LISTENS: &[&str] = &[
    "receive",
    "recv",
    "listen",
    "listener",
    "subscribe",
    "poll",
    "polling",
    "watch",
    "watcher",
    "stream",
    "iter",
    "next",
    "anext",
    "consume",
    "consumer",
    "notifications",
    "notifies",
    "notify",
    "events",
    "event",
    "updates",
    "accept",
    "serve",
    "forever",
    "messages",
    "message",
    "getmany",
    "getone",
    "blpop",
    "brpop",
    "xread",
    "xreadgroup",
    "pull",
    "wait",
    "monitor",
    "tail",
    "follow",
    "pubsub",
    "longpoll",
    "worker",
    "keepalive",
    "heartbeat",
];

fn run(scene: &Scene<'_>, findings: &mut Findings) {
    if !scene.time_passed() {
        return;
    }
    let open: Vec<Open<'_>> = Open::all(scene).collect();
    for (place, task) in scene.tasks() {
        if findings.explains(place) || task.state != TaskState::Waiting || !scene.is_still(place) {
            continue;
        }
        if !is_call(scene, task) {
            continue;
        }
        let open = open.iter().find(|open| open.may_block(scene, place));
        let kept_open = open.map(|open| format!("; {}", open.says(scene)));
        let Some(mut on_behalf) =
            on_behalf(scene, task).or_else(|| kept_open.as_ref().map(|_| String::new()))
        else {
            continue;
        };
        on_behalf.extend(kept_open);
        // An answer that comes in pieces is coming.
        let moves = |waits| matches!(motion::of_wait(scene, place, task, waits), Motion::Moves);
        if task.waits_for.as_ref().is_some_and(moves) {
            continue;
        }
        let speaker = scene.task(scene.spokesman(place));
        let frame = own_frame(&speaker.chain);
        let api = api(&task.chain).next().map_or_else(String::new, |f| format!(" in {}()", f.function));
        let summary = format!(
            "{} {} in {}{api}: it {}{on_behalf}",
            words::task(task),
            scene.waited(1),
            words::place(frame),
            scene.wait(task.waits_for.as_ref()),
        );
        let mut lines = vec![scene.waits_evidence(place)];
        let behind = scene.behind(&[place]);
        lines.extend(behind.iter().take(4).map(|t| scene.waits_evidence(*t)));
        lines.extend(scene.all_held(task));
        for task in std::iter::once(place).chain(behind.iter().copied()).map(|t| scene.task(t)) {
            if let Some(left) = task.waits_for.as_ref().and_then(|w| w.timeout_s) {
                let text = format!("a timeout ends this in {}", words::seconds(left));
                let mut line = Evidence::new(Role::Timeout, text);
                line.task = Some(TaskRef::of(task));
                lines.push(line);
            }
        }
        lines.extend(open.map(|open| open.evidence(scene)));
        let mut found = finding(CHECK.slug, Severity::Warning, summary).evidence(lines);
        found.consequences = scene.consequences(&behind);
        let found = found
            .doubt("it may just take its time")
            .advice(
                "look at the other end: a slow query, a lock in the database, a service that does not answer",
            )
            .advice("bound the call by `asyncio.timeout(…)` or the client's own timeout");
        findings.add_alike(words::place(frame), found, [place].into_iter().chain(behind));
    }
}

/// The library's functions that the user's innermost line called, outermost first.
fn api(chain: &[Frame]) -> impl Iterator<Item = &Frame> {
    let below = chain.iter().rposition(|f| f.origin == Origin::Own).map_or(0, |at| at + 1);
    chain[below..].iter()
}

/// Whether the wait is a request in flight, by its nature or by the names of the functions called.
pub(super) fn is_call(scene: &Scene<'_>, task: &Task) -> bool {
    let Some(waits) = &task.waits_for else { return false };
    if scene.ends_soon(waits.timeout_s) {
        return false;
    }
    let speaker = scene.index.task(task.id).map_or(task, |place| scene.task(scene.spokesman(place)));
    let own = speaker.chain.iter().rfind(|f| f.origin == Origin::Own);
    match (&waits.target, waits.verb) {
        (Target::File { .. } | Target::Future { .. } | Target::Unknown { .. }, Verb::Connect) => {
            return own.is_some();
        }
        (Target::File { .. } | Target::Future { .. } | Target::Unknown { .. }, _) => {}
        // Clients built on anyio wait for their answers in events.
        (Target::Resource { id }, _) => {
            let kind = scene.index.get_resource(*id).map(|r| r.kind);
            if kind != Some(ResourceKind::Event) {
                return false;
            }
        }
        _ => return false,
    }
    let Some(own) = own else { return false };
    let own_words = words_of(&own.function).chain(own.source.iter().flat_map(|s| words_of(s)));
    let called: Vec<&Frame> = api(&task.chain).take(2).collect();
    let mut asks = false;
    for word in called.iter().flat_map(|f| words_of(f.function.rsplit('.').next().unwrap_or_default())) {
        if is_one_of(word, LISTENS) {
            return false;
        }
        asks |= is_one_of(word, ASKS);
    }
    asks && !own_words.into_iter().any(|word| is_one_of(word, LISTENS))
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

fn is_one_of(word: &str, list: &[&str]) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether a task answers a client.
pub(super) fn is_request(task: &Task) -> bool {
    task.connection.as_ref().is_some_and(|c| !c.closed && !c.half_closed)
        || task.chain.first().is_some_and(|f| f.origin == Origin::Library)
}

/// Who suffers from the wait; nothing if nobody is known to.
fn on_behalf(scene: &Scene<'_>, task: &Task) -> Option<String> {
    let pool = task.holds.iter().filter_map(|h| scene.index.get_resource(h.resource));
    let pool = pool.into_iter().find(|r| matches!(r.kind, ResourceKind::Pool));
    if let Some(pool) = pool {
        return Some(format!("; meanwhile it keeps a slot of {}", words::resource(pool, None)));
    }
    if is_request(task) {
        return Some(String::new());
    }
    for (_, awaiter) in scene.awaiters(task) {
        if let Some(Target::Tasks { done, .. }) = awaiter.waits_for.as_ref().map(|w| &w.target)
            && *done > 0
        {
            let done = amount(*done as usize, "other");
            return Some(format!("; {} waits for it, with {done} done", words::task(awaiter)));
        }
        if is_request(awaiter) {
            return Some(format!("; {} waits for it", words::task(awaiter)));
        }
    }
    None
}
