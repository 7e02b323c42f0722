//! The page without a browser: what is in its data, and that nothing in it can be mistaken for markup.

use super::{collect, page};
use async_trace_core::Snapshot;
use async_trace_core::checks::{Config, run};
use async_trace_core::finding::Report;
use async_trace_core::fixture::snapshot;
use async_trace_core::recording::{SiteCounts, Timeline};
use serde_json::Value;

const BANK: &str = "
lock a
lock b
task alice
  transfer bank.py:40 | async with b:
  holds a taken 39
  waits acquire b
task bob
  refund bank.py:52
  holds b taken 51
  waits acquire a
task report x3
  report bank.py:60
  waits acquire a
";

fn report(s: &Snapshot) -> Report {
    Report::new(&[s], run(&[s], &Config::default()))
}

fn data(text: &str) -> Value {
    let s = snapshot(text);
    serde_json::to_value(collect::data(&s, &report(&s), None)).unwrap()
}

/// A sentence as it will be read.
fn said(data: &Value, number: &Value) -> String {
    let at = |list: &str, n: &Value| data["tables"][list][n.as_u64().unwrap() as usize].clone();
    let pieces = at("said", number);
    let text = |piece: &Value| at("text", &at("pieces", piece)[1]).as_str().unwrap().to_owned();
    pieces.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn a_deadlock_is_a_ring_of_the_graph() {
    let data = data(BANK);
    assert_eq!(said(&data, &data["rings"][0]["headline"]), "DEADLOCK: 2 tasks wait for each other");
    let line = |node: &Value| {
        let word = |field: &str| node[field].as_str().unwrap().to_owned();
        format!("{} {} | {} | {}", word("what"), word("name"), word("place"), word("link"))
    };
    let nodes: Vec<String> = data["graph"]["nodes"].as_array().unwrap().iter().map(line).collect();
    insta::assert_snapshot!(nodes.join("\n"), @"
    task alice | bank.py:40 (transfer) | t0
    Lock b | taken at bank.py:51 | r1
    task bob | bank.py:52 (refund) | t1
    Lock a | taken at bank.py:39 | r0
    3 tasks report-1, report-2, report-3 | bank.py:60 (report) | t2
    ");
    let line = |edge: &Value| {
        let ring = if edge["ring"].is_null() { "" } else { " (ring)" };
        format!("{} {} {}{ring}", edge["from"], edge["words"].as_str().unwrap(), edge["to"])
    };
    let edges: Vec<String> = data["graph"]["edges"].as_array().unwrap().iter().map(line).collect();
    insta::assert_snapshot!(edges.join("\n"), @"
    0 waits for 1 (ring)
    2 waits for 3 (ring)
    4 waits for 3
    3 held by 0 (ring)
    1 held by 2 (ring)
    ");
}

#[test]
fn what_is_equal_is_written_once() {
    let few = serde_json::to_string(&data("task a x10\n  f app.py:3\n  g app.py:7\n  waits sleep timer 3"))
        .unwrap();
    let data = data("task a x10010\n  f app.py:3\n  g app.py:7\n  waits sleep timer 3");
    // One of the tasks, and the empty one of the thread.
    assert_eq!(data["tables"]["chains"].as_array().unwrap().len(), 2);
    let many = serde_json::to_string(&data).unwrap();
    let each = (many.len() - few.len()) as f64 / 10_000.0;
    assert!(each < 60.0, "{each:.0} bytes for each task");
}

#[test]
fn a_group_says_what_each_does_and_its_tasks_what_they_do() {
    let data = data(BANK);
    let groups = &data["groups"];
    let group = groups["title"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(said(&data, group.1), "3 tasks: report-1, report-2, report-3");
    let facts = &groups["facts"][group.0];
    assert_eq!(said(&data, &facts[0]), "each waits for Lock a, held by task alice at bank.py:40 (transfer)");
    assert_eq!(
        said(&data, &data["tasks"]["wait"][0]),
        "waits for Lock b, held by task bob at bank.py:52 (refund)"
    );
}

#[test]
fn resources_that_one_task_each_waits_for_are_one_entry() {
    let text: String = (0..50)
        .map(|n| format!("event e{n}\ntask t{n}\n  f app.py:3\n  waits wait e{n} as done\n"))
        .collect();
    let data = data(&text);
    let entries = data["resources"].as_array().unwrap();
    let waiters: usize = entries.iter().map(|entry| entry["waiters"].as_array().unwrap().len()).sum();
    assert_eq!(waiters, 50);
}

#[test]
fn nothing_of_a_target_is_markup() {
    let hostile = "</script><img src=x onerror=alert(1)><!--DATA-->&\u{2028}";
    let s = snapshot(&BANK.replace("task alice", &format!("task \"{hostile}\"")));
    let made = page(&s, &report(&s), None);
    assert!(!made.contains("<img") && !made.contains('\u{2028}'));
    assert_eq!(made.matches("<script").count(), 2);
    assert_eq!(made.matches("</script>").count(), 2);
    let data = made.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    // Line separators and their kin are shown as a terminal shows them.
    assert_eq!(data["tasks"]["name"][0], hostile.replace('\u{2028}', "\\u2028"));
}

#[test]
fn the_page_is_the_same_each_time() {
    let s = snapshot(BANK);
    assert_eq!(page(&s, &report(&s), None), page(&s, &report(&s), None));
}

#[test]
fn the_page_asks_for_nothing() {
    let s = snapshot(BANK);
    let made = page(&s, &report(&s), None);
    for word in
        ["http://", "https://", "@import", "url(h", "<link", "innerHTML", "insertAdjacentHTML", "eval("]
    {
        let known = made.replace("http://www.w3.org/2000/svg", "");
        assert!(!known.contains(word), "{word}");
    }
    assert!(made.contains("default-src 'none'; style-src 'sha256-"));
}

#[test]
fn a_big_graph_is_drawn_in_part_and_says_so() {
    let text: String = (0..200)
        .map(|n| format!("task t{n}\n  f{n} app.py:{}\n  waits await task t{}\n", n + 1, n + 1))
        .collect();
    let data = data(&format!("{text}task t200\n  f app.py:3\n  waits sleep timer 3\n"));
    assert_eq!(data["graph"]["nodes"].as_array().unwrap().len(), 36);
    insta::assert_snapshot!(data["graph"]["left_out"].as_str().unwrap(), @"Not drawn: 165 tasks more than fit in.");
}

#[test]
fn a_timeline_is_drawn_where_there_is_one() {
    let s = snapshot(BANK);
    let timeline = Timeline {
        started_s: 0.0,
        times_s: vec![0.0, 0.5, 1.0],
        tasks: vec![3, 4, 5],
        ready: vec![0, 7, 0],
        busy: vec![0.1, 0.9, 0.2],
        lag_s: vec![0.0, 0.25, 0.001],
        sites: vec![SiteCounts {
            function: "x\u{202e}y".into(),
            file: "app.py".into(),
            line: 3,
            counts: vec![1, 2, 3],
        }],
    };
    let data = serde_json::to_value(collect::data(&s, &report(&s), Some(&timeline))).unwrap();
    assert_eq!(data["timeline"]["tasks"], serde_json::json!([3, 4, 5]));
    assert_eq!(data["timeline"]["sites"][0]["function"], "x\\u202ey");
    let without = serde_json::to_value(collect::data(&s, &report(&s), None)).unwrap();
    assert!(without["timeline"].is_null());
}

#[test]
fn what_was_never_awaited_is_listed_whether_it_is_still_there_or_not() {
    let data = data("unstarted register app.py:22\ndropped ping keepalive app.py:31\n");
    let lines: Vec<String> =
        data["never_started"].as_array().unwrap().iter().map(|line| said(&data, line)).collect();
    assert_eq!(lines, ["  register, defined at app.py:22", "  ping, dropped at app.py:31 (keepalive)"]);
}
