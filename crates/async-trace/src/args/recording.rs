//! `record`, and what is made of a recording: `report` and `diff`.

use super::{CheckOptions, ReadOptions, Target, Thresholds, duration, long_duration};
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const RECORD_EXAMPLES: &str = "Examples:
  async-trace record 4711                      until Ctrl-C, ten samples a second
  async-trace record 4711 -d 30s --rate 100    for half a minute, a hundred samples a second
  async-trace record -- python app.py          start a program, and record it until it ends
  async-trace report 4711.recording --format flamegraph -o waits.svg

A recording holds names of tasks, functions and files, and addresses of connections; no memory, no
locals. It can be read up to wherever it was cut off.";

/// Options of `record`.
#[derive(Clone, Debug, Args)]
pub struct RecordArguments {
    /// The id of a process
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    pub pid: Option<u32>,
    /// A program to start and to record, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Record for so long, such as 30s or 5min [default: until Ctrl-C, or until the process ends]
    #[arg(long, short, value_name = "TIME", value_parser = long_duration)]
    pub duration: Option<Duration>,
    /// Samples in a second
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate)]
    pub rate: f64,
    /// The most CPU time that recording may use, in percent of one core: samples that would take more are left out
    #[arg(long, value_name = "PERCENT", default_value_t = 25.0, value_parser = percent)]
    pub max_cpu: f64,
    /// The file to write [default: PID.recording]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Pause the process for each sample, as a dump does: the samples are of one moment each
    #[arg(long, help_heading = "Reading")]
    pub pause: bool,
    /// The longest that the process may stand still for a sample, such as 8ms or 0.5s
    #[arg(long, value_name = "TIME", default_value = "8ms", value_parser = duration,
        requires = "pause", help_heading = "Reading")]
    pub pause_budget: Duration,
}

pub(super) const REPORT_EXAMPLES: &str = "Examples:
  async-trace report 4711 -o report.html                      a page about a running process
  async-trace report 4711.recording -o report.html            about a recording, with what was before
  async-trace report hang.json -o report.html                 about what `dump --json` has printed
  async-trace report 4711.recording --format flamegraph -o waits.svg    where tasks wait, and for what
  async-trace report 4711.recording --format flamegraph --of busy -o busy.svg
  async-trace report 4711.recording --format perfetto -o trace.json     for https://ui.perfetto.dev
  async-trace report 4711.recording --format speedscope -o scope.json   for https://www.speedscope.app
  async-trace report 4711.recording --format latency                    how late the loop was
  async-trace report 4711.recording --format sites                      tasks over time, by origin

The page is one file that needs no network: open it in a browser, attach it to a ticket. It shows names,
paths and lines of source of the program; local variables only with --locals. All other formats are made of
recordings.";

/// Options of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArguments {
    /// A recording (`async-trace record`); for the page also the id of a process, a core file, an image, or
    /// what `dump --json` has printed
    #[arg(value_name = "PID|FILE")]
    pub target: Target,
    /// What to make
    #[arg(long, value_name = "FORMAT", default_value_t, value_enum)]
    pub format: ReportFormat,
    /// The file to write; `-` is stdout, which is the default of all formats but the page
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What a flame graph or folded stacks count
    #[arg(long, value_name = "WHAT", default_value_t, value_enum)]
    pub of: Counted,
    /// Print `latency` or `sites` as JSON, in one line (`async-trace schema` describes both)
    #[arg(long)]
    pub json: bool,
    /// How to look.
    #[command(flatten)]
    pub how: CheckOptions,
    /// Read local variables too. They may hold secrets
    #[arg(long, help_heading = "Reading")]
    pub locals: bool,
    /// What is wrong when this is exceeded.
    #[command(flatten)]
    pub thresholds: Thresholds,
}

/// What is made of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// A page for the browser
    #[default]
    Html,
    /// A flame graph, as SVG
    Flamegraph,
    /// Folded stacks, one in a line, with microseconds: for any flame graph tool
    Folded,
    /// A file for speedscope
    Speedscope,
    /// A Chrome trace: a track for each task, arrows for who waits for whom
    Perfetto,
    /// For how long the loops were how late
    Latency,
    /// How many tasks there were over time, by where they come from
    Sites,
}

/// What a flame graph counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Counted {
    /// The time that tasks wait, by await chain and by what they wait for
    #[default]
    Waiting,
    /// The time that event loops are busy, by the stack of their thread
    Busy,
}

pub(super) const DIFF_EXAMPLES: &str = "Examples:
  async-trace dump 4711 --json > before.json; sleep 60; async-trace diff before.json 4711
  async-trace diff 4711.recording                       its first sample and its last
  async-trace diff monday.recording tuesday.recording   the last samples of both";

/// Options of `diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArguments {
    /// What was: a process id, `dump --json`, an image, a core file, or a recording
    #[arg(value_name = "PID|FILE")]
    pub before: Target,
    /// What is; of one recording alone, its first sample and its last are compared
    #[arg(value_name = "PID|FILE")]
    pub after: Option<Target>,
    /// Print it as JSON, in one line (`async-trace schema diff` describes it)
    #[arg(long)]
    pub json: bool,
    /// Show at most so many groups of tasks of each kind
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub max: usize,
    /// How to read it.
    #[command(flatten)]
    pub read: ReadOptions,
}

/// `10`, `0.5`: samples in a second.
fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (1.0..=1000.0).contains(&percent) => Ok(percent),
        _ => Err("it is a number from 1 to 1000".into()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number from 0.01 to 1000".into()),
    }
}

/// Options of `replay`.
#[derive(Clone, Debug, Args)]
pub struct ReplayArguments {
    /// A recording (`async-trace record`)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How often to show the next sample, such as 500ms or 5s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::interval)]
    pub interval: Duration,
    /// How much faster than it happened
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
}

fn speed(text: &str) -> Result<f64, String> {
    let wrong = || "a factor is a number above 0: 10, 0.5".to_owned();
    let speed: f64 = text.parse().map_err(|_| wrong())?;
    if speed.is_finite() && speed > 0.0 { Ok(speed) } else { Err(wrong()) }
}
