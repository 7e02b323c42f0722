//! What is on screen and how keys change it. Nothing here draws, reads or waits.

use super::groups::Order;
use super::links::Thing;
use super::looks::Seen;
use super::past::Look;
use super::screen::{Focus, GroupScreen, Main, Page, Screen, Subject, finding_keys};
use super::theme::Theme;
use async_trace_core::index::Index;
use async_trace_core::snapshot::Id;
use ratatui::layout::{Position, Rect};
use std::sync::Arc;

/// What a key or click asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Move(Jump),
    Open,
    Back,
    Focus,
    Group,
    Sort,
    Filter,
    Type(char),
    Rub,
    Clear,
    Threads,
    Process(isize),
    ProcessNumber(usize),
    Pause,
    Save,
    Help,
    Redraw,
    Suspend,
    Quit,
    /// A click at this place; a second one on the same row opens it.
    Click(u16, u16),
}

/// How far to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jump {
    Rows(isize),
    Page(isize),
    First,
    Last,
}

/// What the program has to do that owns the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Nothing,
    Save,
    Redraw,
    Suspend,
    Quit,
}

/// A process and what is known of it.
pub(crate) struct Process {
    /// The number of its source.
    pub source: usize,
    /// What is on screen.
    pub shown: Arc<Look>,
    /// The newest there is; another one than `shown` while the view is paused.
    pub latest: Arc<Look>,
    /// Why there will be no more looks.
    pub end: Option<String>,
    /// Why the last look failed.
    pub trouble: Option<String>,
}

/// Words in the last line, until the next key.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub words: String,
    pub alarm: bool,
}

/// Rows on screen that can be clicked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub area: Rect,
    /// The number of the first one.
    pub first: usize,
    pub focus: Focus,
}

/// Everything that decides what is drawn.
pub(crate) struct App {
    pub theme: Theme,
    pub processes: Vec<Process>,
    pub current: usize,
    /// The last one is seen. Never empty.
    pub screens: Vec<Screen>,
    pub order: Order,
    /// While a filter is being typed: the one before.
    pub typing: Option<String>,
    pub help: bool,
    pub paused: bool,
    pub notice: Option<Notice>,
    /// What the last drawing has put where.
    pub rows: Vec<Rows>,
    /// Whether there may be more than one process, so that there is a list of them.
    several: bool,
}

impl App {
    pub(crate) fn new(theme: Theme, several: bool) -> Self {
        let first =
            if several { Screen::Processes(Default::default()) } else { Screen::Main(Main::default()) };
        Self {
            theme,
            processes: Vec::new(),
            current: 0,
            screens: vec![first],
            order: Order::default(),
            typing: None,
            help: false,
            paused: false,
            notice: None,
            rows: Vec::new(),
            several,
        }
    }

    /// Takes in what a source has to tell.
    pub(crate) fn see(&mut self, source: usize, seen: Seen) {
        let known = self.processes.iter().position(|p| p.source == source);
        match (seen, known) {
            (Seen::Look(look), Some(at)) => {
                let process = &mut self.processes[at];
                process.latest = look.clone();
                process.trouble = None;
                if !self.paused {
                    process.shown = look;
                }
            }
            (Seen::Look(look), None) => {
                let process = Process { source, shown: look.clone(), latest: look, end: None, trouble: None };
                // In the order in which they were asked for, whichever answers first.
                let at = self.processes.partition_point(|p| p.source < source);
                if at <= self.current && !self.processes.is_empty() && self.is_inside() {
                    self.current += 1;
                }
                self.processes.insert(at, process);
            }
            (Seen::Failed(error), Some(at)) => self.processes[at].trouble = Some(error.to_string()),
            (Seen::Ended(words), Some(at)) => self.processes[at].end = Some(words),
            _ => {}
        }
        self.refresh();
    }

    /// Whether one process is looked at, and not the list of them.
    fn is_inside(&self) -> bool {
        !matches!(self.screens.last(), Some(Screen::Processes(_)))
    }

    /// The process that is looked at.
    pub(crate) fn process(&self) -> Option<&Process> {
        self.processes.get(self.current)
    }

    fn refresh(&mut self) {
        if let Some(screen) = self.screens.last_mut() {
            screen.refresh(&self.processes, self.current, &self.order);
        }
    }

    fn push(&mut self, screen: Screen) {
        self.screens.push(screen);
        self.refresh();
    }

    /// Does what a key asks for.
    pub(crate) fn act(&mut self, action: Action) -> Request {
        self.notice = None;
        if self.help {
            // Any key closes the help.
            self.help = false;
            return if action == Action::Quit { Request::Quit } else { Request::Nothing };
        }
        if self.typing.is_some() && self.typed(action) {
            self.refresh();
            return Request::Nothing;
        }
        match action {
            Action::Quit => return Request::Quit,
            Action::Redraw => return Request::Redraw,
            Action::Suspend => return Request::Suspend,
            Action::Save => return Request::Save,
            Action::Move(jump) => self.jump(jump),
            Action::Open => self.open(),
            Action::Back => self.back(),
            Action::Focus => self.switch_focus(),
            Action::Group => self.order.by = self.order.by.next(),
            Action::Sort => self.order.sort = self.order.sort.next(),
            Action::Filter => self.typing = Some(self.order.filter.clone()),
            Action::Threads => self.threads(),
            Action::Process(by) => self.switch_process(self.current.saturating_add_signed(by)),
            Action::ProcessNumber(number) => self.switch_process(number),
            Action::Pause => self.pause(),
            Action::Help => self.help = true,
            Action::Click(x, y) => self.click(x, y),
            Action::Type(_) | Action::Rub | Action::Clear => {}
        }
        self.refresh();
        Request::Nothing
    }

    /// A key while a filter is being typed; whether it belongs to that.
    fn typed(&mut self, action: Action) -> bool {
        match action {
            Action::Type(c) => self.order.filter.push(c),
            Action::Rub => _ = self.order.filter.pop(),
            Action::Clear => self.order.filter.clear(),
            Action::Open => self.typing = None,
            Action::Back => {
                self.typing = None;
                self.order.filter.clear();
            }
            _ => return false,
        }
        true
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if !self.paused {
            for process in &mut self.processes {
                process.shown = process.latest.clone();
            }
        }
    }

    fn jump(&mut self, jump: Jump) {
        let Some(screen) = self.screens.last_mut() else { return };
        let shown = self.processes.get(self.current).map(|p| p.shown.clone());
        let far = |at: usize, room: usize, len: usize| match jump {
            Jump::Rows(by) => at.saturating_add_signed(by),
            Jump::Page(by) => at.saturating_add_signed(by * room.saturating_sub(1).max(1).cast_signed()),
            Jump::First => 0,
            Jump::Last => len.saturating_sub(1),
        };
        match (screen, shown) {
            (Screen::Processes(list), _) => {
                let rows: Vec<usize> = self.processes.iter().map(|p| p.source).collect();
                list.select(far(list.at, list.room, rows.len()), &rows);
            }
            (Screen::Main(main), Some(look)) if main.focus == Focus::Upper => {
                let rows = finding_keys(&look);
                main.findings.select(far(main.findings.at, main.findings.room, rows.len()), &rows);
            }
            (Screen::Main(main), _) => {
                let rows = main.keys();
                main.list.select(far(main.list.at, main.list.room, rows.len()), &rows);
            }
            (Screen::Group(group), Some(look)) => {
                let rows = group.ids(&look);
                group.list.select(far(group.list.at, group.list.room, rows.len()), &rows);
            }
            (Screen::Page(page), _) => {
                let fits = page.links.len() <= page.list.room;
                // The text is what one wants to leaf through when all the links are to be seen.
                if page.moves_text() || (fits && !matches!(jump, Jump::Rows(_))) {
                    let to = far(page.scroll, page.room, page.text.len());
                    page.scroll = to.min(page.last_scroll());
                } else {
                    let to = far(page.list.at, page.list.room, page.links.len());
                    page.list.select(to, &page.links.clone());
                }
            }
            (Screen::Group(_), None) => {}
        }
    }

    fn open(&mut self) {
        let Some(screen) = self.screens.last() else { return };
        let look = self.process().map(|p| p.shown.clone());
        let next = match (screen, look) {
            (Screen::Processes(list), _) => {
                self.current = list.at.min(self.processes.len().saturating_sub(1));
                Some(Screen::Main(Main::default()))
            }
            (Screen::Main(main), Some(look)) if main.focus == Focus::Upper => finding_keys(&look)
                .get(main.findings.at)
                .map(|key| Screen::Page(Page::new(Subject::Finding(key.clone())))),
            (Screen::Main(main), Some(look)) => main.groups.get(main.list.at).and_then(|group| {
                if let [one] = group.members[..] {
                    let task = look.snapshot.tasks.get(one as usize)?;
                    return task_page(&look, task.id);
                }
                Some(Screen::Group(GroupScreen::new(group.key)))
            }),
            (Screen::Group(group), Some(look)) => {
                group.ids(&look).get(group.list.at).and_then(|id| task_page(&look, *id))
            }
            (Screen::Page(page), Some(look)) => page.links.get(page.list.at).and_then(|link| match link.to {
                Thing::Task(id) => task_page(&look, id),
                Thing::Resource(id) => Some(Screen::Page(Page::new(Subject::Resource(id)))),
            }),
            _ => None,
        };
        if let Some(next) = next {
            self.push(next);
        }
    }

    fn back(&mut self) {
        match self.screens.len() {
            0 | 1 if !self.order.filter.is_empty() => self.order.filter.clear(),
            0 | 1 => {}
            2 if self.several && !self.order.filter.is_empty() => self.order.filter.clear(),
            _ => _ = self.screens.pop(),
        }
    }

    fn threads(&mut self) {
        match self.screens.last() {
            Some(Screen::Page(Page { subject: Subject::Threads, .. })) => _ = self.screens.pop(),
            Some(Screen::Processes(_)) => {
                self.open();
                self.push(Screen::Page(Page::new(Subject::Threads)));
            }
            _ => self.push(Screen::Page(Page::new(Subject::Threads))),
        }
    }

    fn switch_focus(&mut self) {
        let other = |focus: Focus| if focus == Focus::Upper { Focus::Lower } else { Focus::Upper };
        match self.screens.last_mut() {
            Some(Screen::Main(main)) => main.focus = other(main.focus),
            Some(Screen::Page(page)) => page.focus = other(page.focus),
            _ => {}
        }
    }

    fn switch_process(&mut self, to: usize) {
        if to >= self.processes.len() {
            return;
        }
        if let Some(Screen::Processes(list)) = self.screens.first_mut() {
            let rows: Vec<usize> = self.processes.iter().map(|p| p.source).collect();
            list.select(to, &rows);
        }
        if to == self.current || !self.is_inside() {
            return;
        }
        self.current = to;
        // Things of one process are not in another.
        let inside = self.screens.iter().position(|s| matches!(s, Screen::Main(_)));
        self.screens.truncate(inside.map_or(1, |at| at + 1));
        if let Some(Screen::Main(main)) = self.screens.last_mut() {
            main.reset();
        }
    }

    fn click(&mut self, x: u16, y: u16) {
        let Some(rows) = self.rows.iter().find(|r| r.area.contains(Position { x, y })).copied() else {
            return;
        };
        let at = rows.first + usize::from(y - rows.area.y);
        let before = self.selected();
        match self.screens.last_mut() {
            Some(Screen::Main(main)) => main.focus = rows.focus,
            Some(Screen::Page(page)) => page.focus = rows.focus,
            _ => {}
        }
        let now = self.selected();
        if now.is_some_and(|(focus, selected)| before == Some((focus, at)) && selected == at) {
            return self.open();
        }
        if let Some((_, selected)) = now {
            self.jump(Jump::Rows(at.cast_signed() - selected.cast_signed()));
        }
    }

    /// Where the selection is.
    fn selected(&self) -> Option<(Focus, usize)> {
        match self.screens.last()? {
            Screen::Processes(list) => Some((Focus::Lower, list.at)),
            Screen::Main(main) if main.focus == Focus::Upper => Some((Focus::Upper, main.findings.at)),
            Screen::Main(main) => Some((Focus::Lower, main.list.at)),
            Screen::Group(group) => Some((Focus::Lower, group.list.at)),
            Screen::Page(page) => Some((page.focus, page.list.at)),
        }
    }
}

fn task_page(look: &Look, id: Id) -> Option<Screen> {
    let task = Index::of(&look.snapshot).get_task(id)?;
    Some(Screen::Page(Page::new(Subject::Task(id, task.name.clone()))))
}

#[cfg(test)]
mod tests;
