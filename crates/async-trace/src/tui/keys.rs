//! Which key does what.

use super::app::{Action, Jump};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The keys as the help names them, and what they do.
pub(crate) const HELP: &[(&str, &str)] = &[
    ("up down j k", "move"),
    ("PgUp PgDn Home End", "move far"),
    ("Enter right l", "open: findings, groups, tasks, locks"),
    ("Esc left h", "back; on the first screen: drop the filter"),
    ("Tab", "go from the upper part to the lower one, and back"),
    ("g", "group by stack, or by creation site"),
    ("s", "sort by count, age, name, or what is waited for"),
    ("/", "filter by task name, function or file; * and ? match"),
    ("t", "threads and loops"),
    ("[ ] 1..9", "previous, next, first, second process and so on"),
    ("p space", "pause the view, and let it go on"),
    ("w", "write what is shown into a file, as `dump --json` does"),
    ("Ctrl-Z", "suspend"),
    ("q Ctrl-C", "quit"),
];

/// What a key means; `typing` while a filter is being typed.
pub(crate) fn action(key: KeyEvent, typing: bool) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Action::Quit),
            KeyCode::Char('z') => Some(Action::Suspend),
            KeyCode::Char('l') => Some(Action::Redraw),
            KeyCode::Char('u') if typing => Some(Action::Clear),
            KeyCode::Char('f') => Some(Action::Move(Jump::Page(1))),
            KeyCode::Char('b') => Some(Action::Move(Jump::Page(-1))),
            _ => None,
        };
    }
    match key.code {
        KeyCode::Up => Some(Action::Move(Jump::Rows(-1))),
        KeyCode::Down => Some(Action::Move(Jump::Rows(1))),
        KeyCode::PageUp => Some(Action::Move(Jump::Page(-1))),
        KeyCode::PageDown => Some(Action::Move(Jump::Page(1))),
        KeyCode::Enter => Some(Action::Open),
        KeyCode::Esc => Some(Action::Back),
        KeyCode::Char(c) if typing => Some(Action::Type(c)),
        KeyCode::Backspace if typing => Some(Action::Rub),
        KeyCode::Home => Some(Action::Move(Jump::First)),
        KeyCode::End => Some(Action::Move(Jump::Last)),
        KeyCode::Right => Some(Action::Open),
        KeyCode::Left | KeyCode::Backspace => Some(Action::Back),
        KeyCode::Tab | KeyCode::BackTab => Some(Action::Focus),
        KeyCode::Char(c) => letter(c),
        _ => None,
    }
}

fn letter(c: char) -> Option<Action> {
    Some(match c {
        'k' => Action::Move(Jump::Rows(-1)),
        'j' => Action::Move(Jump::Rows(1)),
        'l' => Action::Open,
        'h' => Action::Back,
        'g' => Action::Group,
        's' => Action::Sort,
        '/' => Action::Filter,
        't' => Action::Threads,
        'p' | ' ' => Action::Pause,
        'w' => Action::Save,
        '?' => Action::Help,
        '[' => Action::Process(-1),
        ']' => Action::Process(1),
        '1'..='9' => Action::ProcessNumber(c as usize - '1' as usize),
        'q' => Action::Quit,
        _ => return None,
    })
}
