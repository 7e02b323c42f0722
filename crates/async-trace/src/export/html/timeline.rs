//! What a recording knows of the time before the snapshot.

use async_trace_core::text;
use serde::Serialize;

/// How a process did over time: what the page draws above its tasks. All lists are as long as `times_s`;
/// where one is shorter, what is missing is not drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// When each sample was taken, in seconds since the first.
    pub times_s: Vec<f64>,
    /// How many tasks there were.
    pub tasks: Vec<u64>,
    /// How many callbacks were ready to run, over all loops.
    pub ready: Vec<u64>,
    /// The share of time, 0 to 1, that the loops were busy since the sample before.
    pub busy: Vec<f64>,
    /// How late the loops were to run what was ready, in seconds.
    pub lag_s: Vec<f64>,
    /// How many tasks there were per place where tasks are created; those with most first.
    pub sites: Vec<Site>,
}

/// A place where tasks are created, or the coroutine that they run where that is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Site {
    /// The function.
    pub function: String,
    /// Its file.
    pub file: String,
    /// The line; 0 where it is not known.
    pub line: u32,
    /// How many tasks at each sample.
    pub counts: Vec<u64>,
}

impl From<&async_trace_core::recording::Timeline> for Timeline {
    fn from(known: &async_trace_core::recording::Timeline) -> Self {
        let site = |site: &async_trace_core::recording::SiteCounts| Site {
            function: site.function.to_string(),
            file: site.file.to_string(),
            line: site.line,
            counts: site.counts.iter().map(|n| u64::from(*n)).collect(),
        };
        Self {
            times_s: known.times_s.clone(),
            tasks: known.tasks.iter().map(|n| u64::from(*n)).collect(),
            ready: known.ready.clone(),
            busy: known.busy.clone(),
            lag_s: known.lag_s.clone(),
            sites: known.sites.iter().map(site).collect(),
        }
    }
}

impl Timeline {
    /// With its names escaped, as everything that the page shows.
    pub(super) fn escaped(&self) -> Self {
        let mut timeline = self.clone();
        for site in &mut timeline.sites {
            site.function = text::escape(&site.function).into_owned();
            site.file = text::escape(&site.file).into_owned();
        }
        timeline
    }
}
