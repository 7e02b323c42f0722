//! The one definition of the command line. Help, man pages, completions and `docs/cli.md` are made
//! from it; what a command does is in `commands`.

mod recording;

pub use recording::{
    Counted, DiffArguments, RecordArguments, ReplayArguments, ReportArguments, ReportFormat,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The traceback for async code.
///
/// Shows what every task of a running Python program (asyncio or uvloop, CPython 3.9 to 3.15) is
/// doing, what it waits for and who holds that: from outside, without having been prepared. The
/// process is never changed; it stands still for a few milliseconds while it is read.
#[derive(Debug, Parser)]
#[command(
    name = "async-trace",
    version,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  async-trace ps            which Python processes are there?
  async-trace dump 4711     what is each task waiting for?
  async-trace check 4711    what is wrong with it?
  async-trace top 4711      watch it
  async-trace demo          see it work on a server that hangs

Exit codes: 0 done; 1 something is wrong with the target; 2 could not do it.
Data goes to stdout, everything else to stderr.";

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct GlobalOptions {
    /// When to use colour; NO_COLOR is honoured. Colour never says anything that the words do not
    #[arg(long, global = true, value_name = "WHEN", default_value_t, value_enum)]
    pub color: Color,
    /// Draw with ASCII characters only
    #[arg(long, global = true)]
    pub ascii: bool,
    /// The width of the page [default: COLUMNS, or the terminal's; unlimited into a pipe or file]
    #[arg(long, global = true, value_name = "COLUMNS", value_parser = clap::value_parser!(u16).range(40..))]
    pub width: Option<u16>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    #[default]
    Auto,
    /// Into pipes and files too
    Always,
    /// Not at all
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every task of a process: where it is, what it waits for, who holds that
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(DumpArguments),
    /// Record the memory that a dump needs into a file, to be read elsewhere
    #[command(after_help = IMAGE_EXAMPLES)]
    Image(ImageArguments),
    /// Say what is wrong with a process: deadlocks, a blocked loop, leaks, exhausted pools, …
    #[command(after_help = check_help())]
    Check(CheckArguments),
    /// Record what all tasks do over time, into a file
    #[command(after_help = recording::RECORD_EXAMPLES)]
    Record(RecordArguments),
    /// Watch a recording as if it happened now
    Replay(ReplayArguments),
    /// Make something to look at: a page for the browser, a flame graph, a trace, a histogram, …
    #[command(after_help = recording::REPORT_EXAMPLES)]
    Report(ReportArguments),
    /// Say what has changed between two looks at a process: what moved, is stuck, is new, is gone
    #[command(after_help = recording::DIFF_EXAMPLES)]
    Diff(DiffArguments),
    /// Watch processes live: loops, findings, tasks in groups; open each for more
    #[command(after_help = TOP_EXAMPLES)]
    Top(TopArguments),
    /// List the Python processes of this machine that run asyncio
    Ps(PsArguments),
    /// Tell what can be read of a process here, and what to do about the rest
    Doctor(DoctorArguments),
    /// Start a small server that hangs, and look into it
    Demo(DemoArguments),
    /// Print the JSON Schema of what a command prints with `--json`
    Schema(SchemaArguments),
    /// Print the man pages, completions or command line reference
    #[command(hide = true)]
    Generate(GenerateArguments),
}

const DUMP_EXAMPLES: &str = "Examples:
  async-trace dump 4711                     everything, equal tasks in groups
  async-trace dump 4711 --filter checkout   tasks with `checkout` in their name, functions or files
  async-trace dump 4711 --task pay-2        one task in full, and all that it has to do with
  async-trace dump 4711 --source            with the source line below each frame
  async-trace dump 4711 --format dot | dot -Tsvg > waits.svg
  async-trace dump 4711 --json | jq '.tasks[] | select(.cancelling)'";

/// Options of `dump`.
#[derive(Clone, Debug, Args)]
pub struct DumpArguments {
    /// The id of a process; or a core file; or an image (`async-trace image`)
    #[arg(value_name = "PID|FILE")]
    pub target: Target,
    /// How to read it.
    #[command(flatten)]
    pub read: ReadOptions,
    /// Print everything as JSON, in one line (`async-trace schema` describes it)
    #[arg(long, conflicts_with_all = ["filter", "task", "max", "threads", "all_frames"])]
    pub json: bool,
    /// How to show it
    #[arg(long, value_name = "FORMAT", default_value_t, value_enum, conflicts_with = "json")]
    pub format: DumpFormat,
    /// What to show of it.
    #[command(flatten)]
    pub show: ShowOptions,
}

/// How to show a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DumpFormat {
    /// Each task with its await chain, below the one that waits for it
    #[default]
    Tree,
    /// The wait graph, for Graphviz
    Dot,
    /// The wait graph, for Mermaid
    Mermaid,
}

/// How to read a process.
#[derive(Clone, Debug, Args)]
pub struct ReadOptions {
    /// Do not pause the process: objects that change meanwhile may be missing, which is then said
    #[arg(long, help_heading = "Reading")]
    pub no_pause: bool,
    /// The longest that the process may stand still, such as 8ms or 0.5s
    #[arg(
        long,
        value_name = "TIME",
        default_value = "8ms",
        value_parser = duration,
        conflicts_with = "no_pause",
        help_heading = "Reading"
    )]
    pub pause_budget: Duration,
    /// Read local variables too. They may hold secrets
    #[arg(long, help_heading = "Reading")]
    pub locals: bool,
    /// Search the heap: for coroutines that were never awaited, for who can end a wait
    #[arg(long, help_heading = "Reading")]
    pub heap: bool,
    /// Show the source line below each frame
    #[arg(long, help_heading = "Reading")]
    pub source: bool,
}

const IMAGE_EXAMPLES: &str = "Examples:
  async-trace image 4711 -o hang.image      record it
  async-trace dump hang.image               the same as `dump 4711` then, here or anywhere else

An image contains memory of the process: names, paths, and whatever lies next to the objects that were
read. Treat it as you treat a core file.";

/// Options of `image`.
#[derive(Clone, Debug, Args)]
pub struct ImageArguments {
    /// The id of a process
    pub pid: u32,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// How to read it.
    #[command(flatten)]
    pub read: ReadOptions,
}

/// What to show of a snapshot.
#[derive(Clone, Debug, Default, Args)]
pub struct ShowOptions {
    /// Show the frames of libraries and of asyncio too
    #[arg(long, help_heading = "Showing")]
    pub all_frames: bool,
    /// Show idle threads too, and what idle loops stand in
    #[arg(long, help_heading = "Showing")]
    pub threads: bool,
    /// Show only tasks with this in their name, functions or files, and what they wait for. `*` and
    /// `?` make it a pattern over the whole
    #[arg(long, value_name = "TEXT", help_heading = "Showing")]
    pub filter: Option<String>,
    /// Show one task in full, and all that it has to do with
    #[arg(long, value_name = "NAME|ID", conflicts_with = "filter", help_heading = "Showing")]
    pub task: Option<String>,
    /// Show at most so many groups of tasks
    #[arg(long, value_name = "N", help_heading = "Showing")]
    pub max: Option<usize>,
}

/// Options of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArguments {
    /// The id of a process
    #[arg(value_name = "PID", required_unless_present = "all", conflicts_with = "all")]
    pub pid: Option<u32>,
    /// Check every asyncio process of this machine
    #[arg(long)]
    pub all: bool,
    /// How to look.
    #[command(flatten)]
    pub how: CheckOptions,
    /// Report only these checks
    #[arg(long, value_name = "CHECK,…", value_delimiter = ',', value_parser = slugs())]
    pub only: Vec<String>,
    /// From which severity on a finding makes the exit code 1
    #[arg(long, value_name = "SEVERITY", default_value_t, value_enum)]
    pub fail_on: FailOn,
    /// Print one JSON object per process and line (`async-trace schema check` describes it)
    #[arg(long)]
    pub json: bool,
    /// What is wrong when this is exceeded.
    #[command(flatten)]
    pub thresholds: Thresholds,
}

/// How to look at a process several times.
#[derive(Clone, Debug, Args)]
pub struct CheckOptions {
    /// How long to look, such as 500ms or 5s: what does not move meanwhile counts as stuck. 0s looks once.
    /// Up to 10 s longer where an answer that others wait for may still come
    #[arg(long = "for", value_name = "TIME", default_value = "2s", value_parser = long_duration)]
    pub duration: Duration,
    /// Do not pause the process
    #[arg(long, help_heading = "Reading")]
    pub no_pause: bool,
    /// The longest that the process may stand still each time, such as 8ms or 0.5s
    #[arg(long, value_name = "TIME", default_value = "8ms", value_parser = duration,
        conflicts_with = "no_pause", help_heading = "Reading")]
    pub pause_budget: Duration,
}

const TOP_EXAMPLES: &str = "Examples:
  async-trace top 4711                 one process
  async-trace top 4711 4712            two of them
  async-trace top --workers 4700       a pre-fork server: all its workers, also those that come later
  async-trace top --all --interval 5s  everything that runs asyncio here

Press ? for the keys, q to leave.";

/// Options of `top`.
#[derive(Clone, Debug, Args)]
pub struct TopArguments {
    /// The ids of processes
    #[arg(value_name = "PID", required_unless_present_any = ["all", "workers"])]
    pub pids: Vec<u32>,
    /// Watch every asyncio process of this machine
    #[arg(long, conflicts_with_all = ["pids", "workers"])]
    pub all: bool,
    /// Watch this process and those below it, as far as they run asyncio
    #[arg(long, value_name = "PID", conflicts_with = "pids")]
    pub workers: Option<u32>,
    /// How often to look, such as 500ms or 5s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
    /// Do not pause the process
    #[arg(long, help_heading = "Reading")]
    pub no_pause: bool,
    /// The longest that the process may stand still each time, such as 8ms or 0.5s
    #[arg(long, value_name = "TIME", default_value = "8ms", value_parser = duration,
        conflicts_with = "no_pause", help_heading = "Reading")]
    pub pause_budget: Duration,
    /// Read local variables too. They may hold secrets
    #[arg(long, help_heading = "Reading")]
    pub locals: bool,
}

/// The thresholds of `check`.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Thresholds")]
pub struct Thresholds {
    /// One turn of a loop that lasts so long blocks it
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = long_duration)]
    pub blocked: Duration,
    /// Waits whose timeout fires within this time are left alone
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = long_duration)]
    pub patience: Duration,
    /// So many tasks of one kind that compete for one thing are a flood
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub flood: usize,
    /// So many tasks of one kind that nothing will wake are a leak
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub leak: usize,
}

fn slugs() -> clap::builder::PossibleValuesParser {
    async_trace_core::checks::CHECKS.iter().map(|check| check.slug).collect::<Vec<_>>().into()
}

/// The checks, each in a line: from the one list that there is.
fn check_help() -> String {
    let mut help = "Checks:\n".to_owned();
    for check in async_trace_core::checks::CHECKS {
        help.push_str(&format!("  {:<17} {}\n", check.slug, check.about));
    }
    help.push_str("\nExit codes: 0 nothing was found; 1 something is wrong; 2 could not look.");
    help
}

/// From which severity on a finding counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// All findings
    #[default]
    Warning,
    /// Only those by which work stands still
    Error,
}

/// Options of `schema`.
#[derive(Clone, Debug, Args)]
pub struct SchemaArguments {
    /// Of which command's JSON
    #[arg(value_enum, default_value_t)]
    pub what: Described,
}

/// What has a JSON Schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Described {
    /// `dump --json`
    #[default]
    Dump,
    /// `check --json`
    Check,
    /// `diff --json`
    Diff,
    /// `report --format latency --json`
    Latency,
    /// `report --format sites --json`
    Sites,
}

/// Options of `ps`.
#[derive(Clone, Debug, Args)]
pub struct PsArguments {
    /// Print one JSON object per process and line
    #[arg(long)]
    pub json: bool,
    /// List Python processes without asyncio, and those that cannot be read, too
    #[arg(long, short)]
    pub all: bool,
}

/// Options of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArguments {
    /// The id of a process
    pub pid: u32,
    /// Print it as JSON, in one line
    #[arg(long)]
    pub json: bool,
}

/// Options of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArguments {
    /// The interpreter that runs the demo's server
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub python: PathBuf,
}

/// Options of `generate`.
#[derive(Clone, Debug, Args)]
pub struct GenerateArguments {
    /// What to print
    #[arg(value_enum)]
    pub what: Generated,
}

/// What is made from the definition of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// The manual page
    Man,
    /// The reference, in Markdown
    Markdown,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A running process.
    Process(u32),
    /// A core file or an image. (`./4711` is a file.)
    File(PathBuf),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(pid) => Ok(Self::Process(pid)),
            Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                Err("no process has so large an id".into())
            }
            // What is meant by a word without a dot or slash that is no file is most likely a process's name.
            Err(_) if !text.contains(['/', '.']) && !std::path::Path::new(text).exists() => {
                Err("this is neither the id of a process nor a file; `async-trace ps` lists the ids".into())
            }
            Err(_) => Ok(Self::File(text.into())),
        }
    }
}

/// `8ms`, `0.5s`, `500us`, `5min`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number with its unit: 500us, 8ms, 0.5s, 5min".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let unit = match &text[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

/// `30s` and the like; a number alone counts seconds, as it does for `sleep`. Not for pauses, where that would be much.
fn long_duration(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(_) => duration(&format!("{text}s")),
        Err(_) => duration(text),
    }
}

/// A time between looks: more of them than a target should bear cannot be asked for.
fn interval(text: &str) -> Result<Duration, String> {
    let time = long_duration(text)?;
    if time < Duration::from_millis(100) { Err("100ms is the shortest interval".into()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Target, duration, long_duration};
    use clap::CommandFactory;
    use std::time::Duration;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_target_is_a_process_or_a_file() {
        assert_eq!("4711".parse(), Ok(Target::Process(4711)));
        assert_eq!("./4711".parse(), Ok(Target::File("./4711".into())));
        assert_eq!("core.4711".parse(), Ok(Target::File("core.4711".into())));
        assert!("gunicorn".parse::<Target>().unwrap_err().contains("async-trace ps"));
        assert!("99999999999".parse::<Target>().is_err());
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("8ms"), Ok(Duration::from_millis(8)));
        assert_eq!(duration("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("500us"), Ok(Duration::from_micros(500)));
        for wrong in ["8", "ms", "-1s", "8 h", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(long_duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(long_duration("0.5"), long_duration("500ms"));
        for wrong in ["-1", "NaN", "inf", "s", ""] {
            assert!(long_duration(wrong).is_err(), "{wrong}");
        }
    }
}
