//! What keys do, without a terminal.

use super::*;
use crate::tui::groups::Sort;
use crate::tui::looks::Taken;
use crate::tui::past::Past;
use crate::tui::stage::{BANK, app, looks};
use async_trace_core::fixture::snapshot;
use std::time::Duration;

/// Where we are: the screens by a word each.
fn place(app: &App) -> String {
    let words = app.screens.iter().map(|screen| match screen {
        Screen::Processes(list) => format!("processes {}", list.at),
        Screen::Main(main) => {
            let part = if main.focus == Focus::Upper { "finding" } else { "group" };
            format!("{part} {}", if main.focus == Focus::Upper { main.findings.at } else { main.list.at })
        }
        Screen::Group(group) => format!("task {} of {}", group.list.at, group.members.len()),
        Screen::Page(page) => match &page.subject {
            Subject::Task(_, name) => format!("page of {name}"),
            Subject::Resource(_) => "page of a resource".into(),
            Subject::Finding(key) => format!("page of {}", key.check()),
            Subject::Threads => "threads".into(),
        },
    });
    words.collect::<Vec<_>>().join(" > ")
}

fn press(app: &mut App, actions: &[Action]) -> String {
    for action in actions {
        app.act(*action);
    }
    place(app)
}

const DOWN: Action = Action::Move(Jump::Rows(1));

#[test]
fn opens_a_group_a_task_a_lock_and_its_holder() {
    let mut app = app(&looks(BANK, 3));
    assert_eq!(place(&app), "group 0");
    assert_eq!(press(&mut app, &[Action::Open]), "group 0 > task 0 of 3", "three reports");
    assert_eq!(press(&mut app, &[DOWN, Action::Open]), "group 0 > task 1 of 3 > page of report-2");
    assert!(press(&mut app, &[Action::Open]).ends_with("page of report-2 > page of a resource"));
    assert!(press(&mut app, &[Action::Open]).ends_with("page of a resource > page of alice"), "its holder");
    let back = [Action::Back, Action::Back, Action::Back];
    assert_eq!(press(&mut app, &back), "group 0 > task 1 of 3");
    assert_eq!(press(&mut app, &[Action::Back, Action::Back]), "group 0", "the first screen stays");
}

#[test]
fn a_group_of_one_opens_its_task_and_tab_goes_to_the_findings() {
    let mut app = app(&looks(BANK, 3));
    assert_eq!(press(&mut app, &[DOWN, Action::Open]), "group 1 > page of bob");
    assert_eq!(press(&mut app, &[Action::Back, Action::Focus]), "finding 0");
    assert_eq!(press(&mut app, &[Action::Open]), "finding 0 > page of deadlock");
    assert!(press(&mut app, &[Action::Open]).ends_with("page of deadlock > page of alice"));
}

#[test]
fn the_selection_follows_its_group() {
    let mut app = app(&looks(BANK, 1));
    press(&mut app, &[Action::Move(Jump::First)]);
    let selected = |app: &App| match app.screens.last() {
        Some(Screen::Main(main)) => (main.list.at, main.groups[main.list.at].key),
        _ => panic!(),
    };
    let (_, key) = selected(&app);
    press(&mut app, &[Action::Sort, Action::Sort]);
    assert_eq!(app.order.sort, Sort::Name);
    assert_eq!(selected(&app), (1, key), "report stands between refund and transfer");
}

#[test]
fn filters_as_one_types() {
    let mut app = app(&looks(BANK, 1));
    let groups = |app: &App| match app.screens.last() {
        Some(Screen::Main(main)) => main.groups.len(),
        _ => panic!(),
    };
    let filter = |text: &str| text.chars().map(Action::Type).collect::<Vec<_>>();
    assert_eq!(groups(&app), 3);
    press(&mut app, &[Action::Filter]);
    press(&mut app, &filter("refq"));
    assert_eq!(groups(&app), 0);
    press(&mut app, &[Action::Rub, Action::Open]);
    assert_eq!((groups(&app), app.typing.is_some(), app.order.filter.as_str()), (1, false, "ref"));
    press(&mut app, &[Action::Back]);
    assert_eq!((groups(&app), app.order.filter.as_str()), (3, ""));
    press(&mut app, &[Action::Filter, Action::Type('q')]);
    press(&mut app, &[Action::Back]);
    assert_eq!((groups(&app), app.typing.is_some()), (3, false), "Esc drops what was typed");
}

#[test]
fn a_paused_view_stands_still_and_then_shows_the_newest() {
    let mut app = app(&looks(BANK, 2));
    press(&mut app, &[Action::Pause]);
    let newer = looks(BANK, 5).pop().unwrap();
    app.see(0, Seen::Look(newer));
    assert_eq!((app.processes[0].shown.number, app.processes[0].latest.number), (2, 5));
    press(&mut app, &[Action::Pause]);
    assert_eq!(app.processes[0].shown.number, 5);
}

#[test]
fn what_has_gone_stays_readable() {
    let mut past = Past::new(Duration::from_secs(1));
    let taken = |text: &str| Taken { snapshot: snapshot(text), whole: true };
    let mut app = app(&[Arc::new(past.add(taken(BANK)))]);
    press(&mut app, &[DOWN, Action::Open]);
    app.see(0, Seen::Look(Arc::new(past.add(taken("process 4711 at 1\ntask other\n  f app.py:1\n")))));
    let Some(Screen::Page(page)) = app.screens.last() else { panic!() };
    assert!(page.gone);
    assert_eq!(press(&mut app, &[Action::Back, Action::Open]), "group 0 > page of other");
    app.see(0, Seen::Ended("process 4711 has ended".into()));
    assert_eq!(app.processes[0].end.as_deref(), Some("process 4711 has ended"));
}

#[test]
fn goes_from_process_to_process() {
    let mut app = App::new(Theme { color: false, ascii: false }, true);
    for (source, name) in [(0, "one"), (2, "three"), (1, "two")] {
        let look = looks(&format!("process 47{source} at 0\ntask {name}\n  f app.py:1\n"), 1).pop().unwrap();
        app.see(source, Seen::Look(look));
    }
    let pids: Vec<u32> = app.processes.iter().map(|p| p.shown.snapshot.process.pid).collect();
    assert_eq!(pids, [470, 471, 472], "in the order in which they were asked for");
    assert_eq!(press(&mut app, &[DOWN, Action::Open, Action::Open]), "processes 1 > group 0 > page of two");
    assert_eq!(press(&mut app, &[Action::Process(1)]), "processes 2 > group 0");
    assert_eq!(press(&mut app, &[Action::Process(1), Action::Open]), "processes 2 > group 0 > page of three");
    assert_eq!(press(&mut app, &[Action::ProcessNumber(0)]), "processes 0 > group 0");
    assert_eq!(press(&mut app, &[Action::Back]), "processes 0");
    assert_eq!(press(&mut app, &[Action::Threads]), "processes 0 > group 0 > threads");
}

#[test]
fn nothing_to_show_is_no_reason_to_fail() {
    let mut app = App::new(Theme { color: false, ascii: false }, true);
    let keys =
        [DOWN, Action::Open, Action::Open, Action::Focus, Action::Threads, Action::Sort, Action::Click(1, 1)];
    press(&mut app, &keys);
    let mut app = self::app(&looks("process 1 at 0\n", 1));
    press(&mut app, &keys);
    assert_eq!(app.act(Action::Quit), Request::Quit);
}
