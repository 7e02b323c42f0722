//! The only place that writes to the terminal: data to stdout, words to stderr.

use crate::args::{Color, GlobalOptions};
use crate::{Error, FAILED, Result};
use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use async_trace_core::render::{Canvas, Role};
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// Where commands put what they found out.
pub(crate) struct Output {
    color: Color,
    ascii: bool,
    width: Option<usize>,
}

impl Output {
    pub(crate) fn new(options: &GlobalOptions) -> Self {
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|n| *n >= 40);
        let terminal =
            || terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0.max(40)));
        let width = options.width.map(usize::from).or_else(columns).or_else(terminal);
        // A terminal that does not tell its size.
        let width = width.or_else(|| io::stdout().is_terminal().then_some(80));
        Self { color: options.color, ascii: options.ascii, width }
    }

    /// Whether to draw with ASCII characters only.
    pub(crate) fn ascii(&self) -> bool {
        self.ascii
    }

    /// How many columns a line may have; no limit when nobody said and stdout is no terminal.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes what `draw` draws, in colour where that is wanted.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Paper<'_>)) -> Result<()> {
        let stdout = io::stdout();
        let colored = match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                stdout.is_terminal() && AutoStream::choice(&stdout) != anstream::ColorChoice::Never
            }
        };
        let mut paper =
            Paper { out: BufWriter::with_capacity(1 << 16, stdout.lock()), colored, failed: None };
        draw(&mut paper);
        match paper.failed {
            Some(error) => Err(Error::Output(error)),
            None => paper.out.flush().map_err(Error::Output),
        }
    }

    /// Writes bytes as they are.
    pub(crate) fn data(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        write(&mut out).and_then(|()| out.flush()).map_err(Error::Output)
    }

    /// Says something beside the data.
    pub(crate) fn note(&mut self, words: &str) {
        // Without a stderr there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{}", async_trace_core::text::escape(words));
    }

    /// Shows how far a work has come, on a line that the next call replaces; without words, the line goes away.
    /// Only a terminal gets to see it.
    pub(crate) fn progress(&mut self, words: &str) {
        let stderr = io::stderr();
        if stderr.is_terminal() {
            let width =
                terminal_size::terminal_size_of(&stderr).map_or(80, |(width, _)| usize::from(width.0));
            let words = async_trace_core::text::escape(words);
            let words: String = words.chars().take(width.saturating_sub(1)).collect();
            // Without a stderr there is nobody to tell.
            let _ = write!(stderr.lock(), "\r\x1b[K{words}");
        }
    }

    /// Says why it did not work.
    pub(crate) fn error(&mut self, error: &Error) {
        say(self.color, &error.to_string(), &error.hint(), error.code());
    }
}

/// `error: …`, `hint: …`, and the code that scripts can look for.
fn say(color: Color, message: &str, hint: &str, code: &str) {
    let stderr = io::stderr();
    let colored = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => stderr.is_terminal() && AutoStream::choice(&stderr) != anstream::ColorChoice::Never,
    };
    let (red, cyan) = if colored {
        (AnsiColor::Red.on_default().bold(), AnsiColor::Cyan.on_default().bold())
    } else {
        (Style::new(), Style::new())
    };
    let message = async_trace_core::text::escape(message);
    let hint = async_trace_core::text::escape(hint);
    // Without a stderr there is nobody to tell that there is no stderr.
    let _ = writeln!(stderr.lock(), "{red}error:{red:#} {message} [{code}]\n{cyan}hint:{cyan:#} {hint}");
}

/// What clap has to say: help and version to stdout, complaints to stderr.
pub(crate) fn usage(error: &clap::Error) -> u8 {
    // Without a stdout or stderr there is nobody to tell.
    let _ = error.print();
    u8::try_from(error.exit_code()).unwrap_or(FAILED)
}

/// A panic is a mistake of ours: one line that can be reported, instead of a backtrace.
pub(crate) fn report_panics_in_one_line() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("something that should not happen");
        let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
        let message = format!("this is a mistake in async-trace: {text}{place}");
        say(
            Color::Auto,
            &message,
            "please report it with this line and the output of `async-trace --version`",
            "bug",
        );
    }));
}

/// Paper that the renderers of the core draw on.
pub(crate) struct Paper<'a> {
    out: BufWriter<StdoutLock<'a>>,
    colored: bool,
    failed: Option<io::Error>,
}

impl Paper<'_> {
    fn write(&mut self, bytes: &[u8]) {
        // After the first failure there is no sense in going on; the caller gets to know it at the end.
        if self.failed.is_none() {
            self.failed = self.out.write_all(bytes).err();
        }
    }
}

impl Canvas for Paper<'_> {
    fn span(&mut self, role: Role, text: &str) {
        if text.is_empty() {
            return;
        }
        let style = if self.colored { style(role) } else { Style::new() };
        if style == Style::new() {
            return self.write(text.as_bytes());
        }
        self.write(format!("{style}{text}{style:#}").as_bytes());
    }

    fn end_line(&mut self) {
        self.write(b"\n");
    }
}

/// The colours. They are of the terminal's own sixteen, so that they fit its background.
fn style(role: Role) -> Style {
    match role {
        Role::Plain | Role::Place => Style::new(),
        Role::Heading => Style::new().bold(),
        Role::Task => AnsiColor::Cyan.on_default().bold(),
        Role::Function => AnsiColor::Green.on_default(),
        Role::Library | Role::Rule => Style::new().dimmed(),
        Role::Resource => AnsiColor::Yellow.on_default(),
        Role::Thread => AnsiColor::Blue.on_default().bold(),
        Role::Alarm => AnsiColor::Red.on_default().bold(),
        Role::Source => AnsiColor::Magenta.on_default(),
    }
}
