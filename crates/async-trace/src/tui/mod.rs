//! The live view: looks come in from threads, keys from the terminal; each is an event, and after each the
//! screen is drawn anew.
//!
//! The view knows no reader: whatever [`Looks`] can be looked at. `app` holds what is on screen and how keys
//! change it, `draw` draws it, `terminal` owns the terminal.

mod app;
mod canvas;
mod draw;
mod groups;
mod keys;
mod links;
mod list;
mod looks;
mod past;
mod save;
mod screen;
#[cfg(test)]
mod stage;
mod terminal;
mod theme;

pub(crate) use looks::{Looks, Open, Source, Taken};
pub(crate) use theme::Theme;

use crate::{Error, Result};
use app::{Action, App, Jump, Notice, Request};
use looks::{Seen, watch};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::crossterm::event::{self, MouseButton, MouseEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// How often it is asked whether there are new sources.
const SEARCH: Duration = Duration::from_secs(5);
/// How long a thread that waits for keys sleeps before it asks whether all is over.
const TURN: Duration = Duration::from_millis(100);

/// For how many tenths of a turn that thread is waited for in the end: one that a terminal holds does not keep us.
const PATIENCE: u32 = 50;

/// What to look at.
pub(crate) struct Sources {
    /// Those that are known.
    pub known: Vec<Source>,
    /// Asked again and again for those that have come since, where more may come.
    pub more: Option<Box<dyn FnMut() -> Vec<Source> + Send>>,
    /// Whether one that cannot be opened is an error, or just not there.
    pub all_needed: bool,
}

/// How to look, and how to show it.
pub(crate) struct Options {
    pub interval: Duration,
    pub theme: Theme,
    pub mouse: bool,
}

/// What happens.
enum Event {
    Seen(usize, Seen),
    Found(Vec<Source>),
    Input(event::Event),
    /// A signal asks us to end.
    End,
    /// The terminal is gone.
    Lost,
}

/// Shows the sources until the user has seen enough.
///
/// # Errors
/// [`Error::NoTerminal`]; where nothing can be looked at, why not, and then the terminal was not touched.
pub(crate) fn run(sources: Sources, options: &Options) -> Result<()> {
    if !io::stdout().is_terminal() {
        return Err(Error::NoTerminal);
    }
    let (to, events) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let _stopping = Stopping(stop.clone());
    let several = sources.known.len() > 1 || sources.more.is_some();
    let view = View { options, to, stop, count: 0 };
    view.show(sources, several, &events)
}

/// Ends the threads that do not wait for anything else.
struct Stopping(Arc<AtomicBool>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct View<'a> {
    options: &'a Options,
    to: Sender<Event>,
    stop: Arc<AtomicBool>,
    /// How many sources there have been.
    count: usize,
}

impl View<'_> {
    fn show(mut self, sources: Sources, several: bool, events: &Receiver<Event>) -> Result<()> {
        let mut app = App::new(self.options.theme, several);
        let waiting = sources.known.len();
        self.add(sources.known);
        self.wait_for_first(&mut app, events, waiting, sources.all_needed)?;
        if let Some(more) = sources.more {
            self.search(more);
        }
        let mut screen = terminal::Screen::take(self.options.theme.color, self.options.mouse)?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])
            .map_err(|source| Error::Io { what: "signals cannot be watched".into(), source })?;
        let handle = signals.handle();
        let to = self.to.clone();
        let listener = thread::spawn(move || {
            for _ in &mut signals {
                if to.send(Event::End).is_err() {
                    return;
                }
            }
        });
        let reader = self.read_keys();
        let outcome = self.work(&mut app, events, &mut screen);
        self.stop.store(true, Ordering::Relaxed);
        handle.close();
        // Both end by themselves now; and none may read a key that is meant for the shell.
        let _ = listener.join();
        for _ in 0..PATIENCE {
            if reader.is_finished() {
                break;
            }
            thread::sleep(TURN / 10);
        }
        drop(screen);
        outcome
    }

    fn add(&mut self, sources: Vec<Source>) {
        for source in sources {
            let number = self.count;
            self.count += 1;
            let wrap = move |seen| Event::Seen(number, seen);
            watch(source, self.options.interval, self.stop.clone(), self.to.clone(), wrap);
        }
    }

    /// What cannot be looked at at all is said before the terminal is taken over.
    fn wait_for_first(
        &self,
        app: &mut App,
        events: &Receiver<Event>,
        mut waiting: usize,
        all_needed: bool,
    ) -> Result<()> {
        let mut refused = None;
        let mut answered = vec![false; self.count];
        while waiting > 0 {
            let Ok(Event::Seen(number, seen)) = events.recv() else { continue };
            match seen {
                Seen::Refused(error) | Seen::Failed(error) if all_needed => return Err(error),
                Seen::Refused(error) => _ = refused.get_or_insert(error),
                Seen::Broken => return Err(Error::Broken),
                seen => app.see(number, seen),
            }
            if !std::mem::replace(&mut answered[number], true) {
                waiting -= 1;
            }
        }
        match (app.processes.is_empty(), refused) {
            (false, _) => Ok(()),
            // Of one that was asked for, why it cannot be seen is what one wants to know.
            (true, Some(error)) if self.count == 1 => Err(error),
            (true, _) => Err(Error::NothingToShow),
        }
    }

    fn search(&self, mut more: Box<dyn FnMut() -> Vec<Source> + Send>) {
        let (to, stop) = (self.to.clone(), self.stop.clone());
        thread::spawn(move || {
            loop {
                for _ in 0..SEARCH.as_millis() / TURN.as_millis() {
                    thread::sleep(TURN);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
                let found = more();
                if !found.is_empty() && to.send(Event::Found(found)).is_err() {
                    return;
                }
            }
        });
    }

    fn read_keys(&self) -> thread::JoinHandle<()> {
        let (to, stop) = (self.to.clone(), self.stop.clone());
        thread::spawn(move || {
            let is_terminal = io::stdin().is_terminal();
            while !stop.load(Ordering::Relaxed) {
                // crossterm would read the end of a terminal that is gone for ever, and never return.
                if is_terminal && is_hung_up(TURN) {
                    let _ = to.send(Event::Lost);
                    return;
                }
                let event = match event::poll(if is_terminal { Duration::ZERO } else { TURN }) {
                    Ok(false) => continue,
                    Ok(true) => event::read().map(Event::Input),
                    Err(error) => Err(error),
                };
                let lost = event.is_err();
                if to.send(event.unwrap_or(Event::Lost)).is_err() || lost {
                    return;
                }
            }
        })
    }

    fn work(&mut self, app: &mut App, events: &Receiver<Event>, screen: &mut terminal::Screen) -> Result<()> {
        loop {
            screen.draw(|frame| draw::draw(frame, app))?;
            let Ok(first) = events.recv() else { return Ok(()) };
            // All that has come in the meantime is worth one drawing.
            for event in std::iter::once(first).chain(events.try_iter()) {
                match self.handle(app, event)? {
                    Request::Nothing => {}
                    Request::Quit => return Ok(()),
                    Request::Redraw => screen.forget()?,
                    Request::Suspend => screen.suspend()?,
                    Request::Save => app.notice = Some(save(app)),
                }
            }
        }
    }

    fn handle(&mut self, app: &mut App, event: Event) -> Result<Request> {
        match event {
            Event::End | Event::Lost => return Ok(Request::Quit),
            Event::Seen(_, Seen::Broken) => return Err(Error::Broken),
            Event::Seen(number, seen) => app.see(number, seen),
            Event::Found(sources) => self.add(sources),
            Event::Input(event::Event::Key(key)) => {
                if let Some(action) = keys::action(key, app.typing.is_some()) {
                    return Ok(app.act(action));
                }
            }
            Event::Input(event::Event::Mouse(mouse)) => {
                let action = match mouse.kind {
                    MouseEventKind::ScrollDown => Action::Move(Jump::Rows(3)),
                    MouseEventKind::ScrollUp => Action::Move(Jump::Rows(-3)),
                    MouseEventKind::Down(MouseButton::Left) => Action::Click(mouse.column, mouse.row),
                    _ => return Ok(Request::Nothing),
                };
                return Ok(app.act(action));
            }
            Event::Input(_) => {}
        }
        Ok(Request::Nothing)
    }
}

/// Waits for keys, at most so long. Whether the terminal is gone, so that none will come any more.
fn is_hung_up(time: Duration) -> bool {
    let stdin = io::stdin();
    let mut keys = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
    poll(&mut keys, time).is_ok() && keys[0].revents().is_some_and(|seen| seen.intersects(gone))
}

fn save(app: &App) -> Notice {
    let Some(process) = app.process() else {
        return Notice { words: "there is nothing to write yet".into(), alarm: true };
    };
    match save::save(&process.shown.snapshot) {
        Ok(path) => Notice { words: format!("written to {path}"), alarm: false },
        Err((path, error)) => Notice { words: format!("{path} could not be written: {error}"), alarm: true },
    }
}
