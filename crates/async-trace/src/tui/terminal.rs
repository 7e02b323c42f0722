//! The terminal: taken over, and given back however this ends.

use crate::{Error, Result};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::force_color_output;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use std::io::{self, Stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is ours: so that it is given back once, by whoever comes first.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it does not take what is written to it.
    pub(crate) fn take(color: bool, mouse: bool) -> Result<Self> {
        // Whether there is to be colour was decided for all commands alike.
        force_color_output(color);
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).map_err(failed)?;
        let mut screen = Self { terminal, mouse };
        give_back_on_panic();
        screen.enter()?;
        Ok(screen)
    }

    fn enter(&mut self) -> Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode().map_err(failed)?;
        execute!(io::stdout(), EnterAlternateScreen, Hide).map_err(failed)?;
        if self.mouse {
            execute!(io::stdout(), EnableMouseCapture).map_err(failed)?;
        }
        self.terminal.clear().map_err(failed)
    }

    /// Draws, unless the terminal is not ours any more.
    ///
    /// # Errors
    /// When the terminal does not take it.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> Result<()> {
        if TAKEN.load(Ordering::SeqCst) {
            self.terminal.draw(draw).map_err(failed)?;
        }
        Ok(())
    }

    /// Draws everything anew next time.
    ///
    /// # Errors
    /// When the terminal does not take it.
    pub(crate) fn forget(&mut self) -> Result<()> {
        self.terminal.clear().map_err(failed)
    }

    /// Lets the shell have the terminal until it continues us.
    ///
    /// # Errors
    /// When the terminal cannot be had again.
    pub(crate) fn suspend(&mut self) -> Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)
            .map_err(|source| Error::Io { what: "cannot be suspended".into(), source })?;
        self.enter()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn failed(source: io::Error) -> Error {
    Error::Output(source)
}

/// Gives the terminal back as it was. What fails here fails because there is no terminal any more.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// What a panic says must not be drawn over, nor vanish with the screen.
fn give_back_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        give_back();
        report(info);
    }));
}
