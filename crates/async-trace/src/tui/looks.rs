//! Where looks come from: a running process now, a recording one day. The view knows no more of it than
//! this file says.

use super::past::{Look, Past};
use crate::Error;
use async_trace_core::Snapshot;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// Something that can be looked at again and again. It lives in a thread of its own.
pub(crate) trait Looks {
    /// The next look; none when there will be no more.
    fn look(&mut self) -> Result<Option<Taken>, Error>;

    /// Why there are no more looks, in a sentence: `process 4711 has ended`.
    fn ended(&self) -> String;
}

/// What a look has brought.
pub(crate) struct Taken {
    /// What was seen.
    pub snapshot: Snapshot,
    /// Whether all was read that the checks know to use. Of a large process that is too much for every look;
    /// what such a look finds stands until the next one, as long as its tasks do not move.
    pub whole: bool,
}

/// Gets ready to look; called in the thread that will do it.
pub(crate) type Open = Box<dyn FnOnce() -> Result<Box<dyn Looks>, Error> + Send>;

/// Something to look at.
pub(crate) struct Source {
    /// How to get at it.
    pub open: Open,
}

/// What a source has to tell.
pub(crate) enum Seen {
    /// Another look.
    Look(Arc<Look>),
    /// This look failed; another will be tried.
    Failed(Error),
    /// There will be no more: why.
    Ended(String),
    /// It could not be opened.
    Refused(Error),
    /// The thread has panicked, which was reported where it happened.
    Broken,
}

/// Looks at a source every `interval`, in a thread of its own, until it ends or nobody listens.
pub(crate) fn watch<M: Send + 'static>(
    source: Source,
    interval: Duration,
    stop: Arc<AtomicBool>,
    to: Sender<M>,
    wrap: impl Fn(Seen) -> M + Send + 'static,
) {
    let work = move || {
        let tell = |seen| to.send(wrap(seen)).is_ok();
        let done = catch_unwind(AssertUnwindSafe(|| follow(source, interval, &stop, &tell)));
        if done.is_err() {
            tell(Seen::Broken);
        }
    };
    // Where no thread can be had the source stays silent, and the view says that it waits for it.
    let _ = thread::Builder::new().name("looks".into()).spawn(work);
}

fn follow(source: Source, interval: Duration, stop: &AtomicBool, tell: &dyn Fn(Seen) -> bool) {
    let mut looks = match (source.open)() {
        Ok(looks) => looks,
        Err(error) => {
            tell(Seen::Refused(error));
            return;
        }
    };
    let mut past = Past::new(interval);
    // The second look tells what moves and what does not: nobody should wait long for it.
    let mut pause = interval / 2;
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let seen = match looks.look() {
            Ok(Some(taken)) => Seen::Look(Arc::new(past.add(taken))),
            Ok(None) => {
                tell(Seen::Ended(looks.ended()));
                return;
            }
            Err(error) => Seen::Failed(error),
        };
        if !tell(seen) {
            return;
        }
        rest(pause.saturating_sub(begin.elapsed()), stop);
        pause = interval;
    }
}

/// Sleeps, but not longer than needed to notice that all is over.
fn rest(time: Duration, stop: &AtomicBool) {
    let end = Instant::now() + time;
    while !stop.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(500)));
    }
}
