//! `async-trace replay FILE`: a recording in the live view, as if it happened now.

use super::recorded;
use crate::args::ReplayArguments;
use crate::output::Output;
use crate::tui::{self, Looks, Open, Source, Sources, Taken, Theme};
use crate::{Error, Outcome, Result};
use async_trace_core::recording::Reader;

pub(crate) fn run(arguments: &ReplayArguments, output: &mut Output) -> Result<Outcome> {
    let path = &arguments.file;
    // Needed until the program ends, by a thread that may outlive this function.
    let bytes: &'static [u8] = recorded::read(path)?.leak();
    let mut reader = recorded::open(bytes, path)?;
    if reader.next().is_none() {
        return Err(Error::EmptyRecording { path: path.clone() });
    }
    let reader = recorded::open(bytes, path)?;
    let step_s = arguments.interval.as_secs_f64() * arguments.speed;
    let open: Open =
        Box::new(move || Ok(Box::new(Replay { reader, step_s, next_s: f64::MIN }) as Box<dyn Looks>));
    let sources = Sources { known: vec![Source { open }], more: None, all_needed: true };
    let theme = Theme { color: output.colored(), ascii: output.ascii() };
    tui::run(sources, &tui::Options { interval: arguments.interval, theme, mouse: !arguments.no_mouse })?;
    Ok(Outcome::Done)
}

/// Samples of a recording, at the pace at which they are asked for.
struct Replay {
    reader: Reader<'static>,
    /// How much of the recorded time passes from one look to the next, in seconds.
    step_s: f64,
    next_s: f64,
}

impl Looks for Replay {
    fn look(&mut self) -> Result<Option<Taken>> {
        let mut newest = None;
        for sample in self.reader.by_ref() {
            let time_s = sample.snapshot.capture.time_s;
            newest = Some(sample.snapshot);
            if time_s >= self.next_s {
                self.next_s = time_s + self.step_s;
                break;
            }
        }
        Ok(newest.map(|snapshot| Taken { snapshot, whole: true }))
    }

    fn ended(&self) -> String {
        "the recording ends here".to_owned()
    }
}
