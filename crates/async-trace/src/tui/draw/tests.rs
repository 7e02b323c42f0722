//! Screens as text. What they show is read by people: look at the pictures when they change.

use crate::tui::app::{Action, App, Jump};
use crate::tui::looks::Seen;
use crate::tui::stage::{BANK, app, looks, screen};
use crate::tui::theme::Theme;
use insta::assert_snapshot;

const DOWN: Action = Action::Move(Jump::Rows(1));

const BLOCKED: &str = "
process 4711 python 3.13.1 paused 0.8
command python3 shop.py
loop main busy ready 14 timers 3 next -4.1 turn 4.2
thread 4711 MainThread loop main task checkout running gil cpu 12 syscall clock_nanosleep
  <module> /srv/shop.py:9
  charge_card /srv/shop.py:12 | time.sleep(20)
thread 4712 worker-0
  work /srv/shop.py:80
task checkout running
  checkout /srv/shop.py:15
  charge_card /srv/shop.py:12
event done unset
task ws x40 ready
  echo /srv/shop.py:70
  waits wait done
task heartbeat
  heartbeat /srv/shop.py:20
  waits sleep timer -4.1
problem task_unreadable 3 \"3 tasks could not be read\"
";

fn act(app: &mut App, actions: &[Action]) {
    for action in actions {
        app.act(*action);
    }
}

#[test]
fn a_deadlock() {
    let mut app = app(&looks(BANK, 4));
    assert_snapshot!("deadlock_80x24", screen(&mut app, 80, 24));
    assert_snapshot!("deadlock_120x40", screen(&mut app, 120, 40));
    act(&mut app, &[Action::Focus]);
    assert_snapshot!("deadlock_finding_selected", screen(&mut app, 80, 24));
    act(&mut app, &[Action::Open]);
    assert_snapshot!("deadlock_finding_opened", screen(&mut app, 80, 24));
    act(&mut app, &[Action::Open]);
    assert_snapshot!("deadlock_task", screen(&mut app, 80, 24));
    act(&mut app, &[Action::Open]);
    assert_snapshot!("deadlock_lock", screen(&mut app, 80, 24));
}

#[test]
fn a_blocked_loop() {
    let mut app = app(&looks(BLOCKED, 3));
    assert_snapshot!("blocked_80x24", screen(&mut app, 80, 24));
    act(&mut app, &[Action::Threads]);
    assert_snapshot!("blocked_threads", screen(&mut app, 80, 24));
    act(&mut app, &[Action::Back, Action::Open]);
    assert_snapshot!("blocked_group", screen(&mut app, 80, 24));
}

#[test]
fn ten_thousand_tasks() {
    let many = "event stop unset\ntask ws x10000\n  serve /srv/app.py:10\n  echo /srv/app.py:12\n  waits wait stop\n\
                task main\n  main /srv/app.py:30\n  waits sleep timer 3\n";
    let mut app = app(&looks(many, 2));
    assert_snapshot!("many_80x24", screen(&mut app, 80, 24));
    act(&mut app, &[Action::Open, Action::Move(Jump::Last)]);
    assert_snapshot!("many_opened_at_the_end", screen(&mut app, 80, 24));
}

#[test]
fn hostile_names_are_harmless() {
    let hostile = "command python3 \"a\x1b]0;title\x07b.py\"\nlock \"l\x1b[2J\" as \"l\x1b[2J\"\ntask \"x\x1b[31m\u{202e}red\"\n  \
                   \"f\x1b[1m\" \"/srv/a\x1b.py:3\"\n  holds \"l\x1b[2J\"\n  waits acquire \"l\x1b[2J\"\n\
                   task \"日本語のとても長いタスク名前日本語のとても長いタスク\"\n  g /srv/b.py:4\n  waits acquire \"l\x1b[2J\"\n";
    let mut app = app(&looks(hostile, 3));
    act(&mut app, &[Action::Filter, Action::Type('\x1b'), Action::Rub, Action::Open]);
    let mut all = screen(&mut app, 80, 24);
    assert_snapshot!("hostile_80x24", all);
    act(&mut app, &[Action::Focus, Action::Open]);
    all += &screen(&mut app, 80, 24);
    act(&mut app, &[Action::Open]);
    all += &screen(&mut app, 80, 24);
    assert!(!all.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}'), "{all}");
}

#[test]
fn ascii_only() {
    let mut app = app(&looks(BANK, 4));
    app.theme.ascii = true;
    let mut all = screen(&mut app, 80, 24);
    assert_snapshot!("ascii_80x24", all);
    for keys in [&[DOWN, Action::Open][..], &[Action::Help], &[Action::Back, Action::Threads]] {
        act(&mut app, keys);
        all += &screen(&mut app, 120, 40);
    }
    assert!(all.is_ascii(), "{all}");
}

#[test]
fn several_processes() {
    let mut app = App::new(Theme { color: false, ascii: false }, true);
    for (source, text) in [BANK, BLOCKED, "process 4799 at 0\ncommand gunicorn\n"].iter().enumerate() {
        for look in looks(text, 3) {
            app.see(source, Seen::Look(look));
        }
    }
    app.see(2, Seen::Ended("process 4799 has ended".into()));
    assert_snapshot!("processes_80x24", screen(&mut app, 80, 24));
    act(&mut app, &[Action::Move(Jump::Last), Action::Open]);
    assert_snapshot!("process_that_has_ended", screen(&mut app, 80, 24));
}

#[test]
fn help_pause_and_filter() {
    let mut app = app(&looks(BANK, 4));
    act(&mut app, &[Action::Help]);
    assert_snapshot!("help_80x24", screen(&mut app, 80, 24));
    act(&mut app, &[Action::Back, Action::Pause, Action::Filter, Action::Type('b'), Action::Type('o')]);
    assert_snapshot!("paused_and_filtered", screen(&mut app, 80, 24));
}

#[test]
fn every_size_is_drawn() {
    for text in [BANK, BLOCKED, "process 1 at 0\n"] {
        let mut app = app(&looks(text, 2));
        for keys in [&[][..], &[Action::Open], &[Action::Open], &[Action::Threads], &[Action::Help]] {
            act(&mut app, keys);
            for (width, height) in
                [(1, 1), (39, 9), (40, 10), (41, 13), (80, 5), (63, 20), (250, 11), (300, 90)]
            {
                screen(&mut app, width, height);
            }
        }
    }
}

#[test]
fn a_click_selects_and_a_second_one_opens() {
    let mut app = app(&looks(BANK, 4));
    screen(&mut app, 80, 24);
    let row = app.rows.last().unwrap().area;
    act(&mut app, &[Action::Click(10, row.y + 1)]);
    assert!(screen(&mut app, 80, 24).lines().nth(usize::from(row.y + 1)).unwrap().starts_with('▶'));
    act(&mut app, &[Action::Click(10, row.y + 1)]);
    assert!(screen(&mut app, 80, 24).contains("task alice"));
}
