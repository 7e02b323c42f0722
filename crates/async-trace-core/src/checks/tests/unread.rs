//! Writes to a connection of which nobody reads the other end: `deadlock` and `stuck-task`.

use super::{after_two_seconds, at_once, changed};
use insta::assert_snapshot;

const BOTH: &str = "
task upload
  upload app.py:15
  std StreamWriter.drain asyncio/streams.py:380
  waits write tcp 7 127.0.0.1:40000 127.0.0.1:9000 ESTABLISHED received 0 5100 sent 70000 5200 unsent 2600000
task Task-4 connected tcp 8 127.0.0.1:9000 127.0.0.1:40000
  serve_one app.py:9
  std StreamWriter.drain asyncio/streams.py:380
  waits write tcp 8 127.0.0.1:9000 127.0.0.1:40000 ESTABLISHED received 0 5100 sent 70000 5300 unsent 2600000
task main
  main app.py:21
  waits await task upload
";

#[test]
fn two_tasks_write_to_each_other() {
    assert_snapshot!(after_two_seconds(BOTH), @"
    0 deadlock (error, proven): task upload writes in upload() at app.py:15 and task Task-4 in serve_one() at app.py:9, each to the other over tcp socket 127.0.0.1:9000 (fd 7); neither reads, both directions are full, and nothing was taken for 5.2 s
      waits task upload upload app.py:15: writes to tcp socket 127.0.0.1:9000 (fd 7), whose other end does not read: 2,600,000 bytes unsent, nothing taken for 5.2 s
      waits task Task-4 serve_one app.py:9: writes to tcp socket 127.0.0.1:40000 (fd 8), whose other end does not read: 2,600,000 bytes unsent, nothing taken for 5.3 s
      => 1 [main] waits for task upload in main app.py:21
      try let one task send and another receive, at each end
      try or read what the other end has sent before more is written
    ");
    assert_eq!(at_once(BOTH), "healthy");
}

#[test]
fn who_takes_a_little_now_and_then_reads() {
    assert_eq!(changed(BOTH, &BOTH.replacen("sent 70000 5200", "sent 90000 100", 1)), "healthy");
    // One of them has to wait for a moment only.
    assert_eq!(changed(&BOTH.replace("app.py:9", "app.py:8"), BOTH), "healthy");
    assert_eq!(after_two_seconds(&BOTH.replace("unsent 2600000", "unsent 2600000 timeout 4")), "healthy");
    assert_eq!(after_two_seconds(&BOTH.replace("unsent 2600000", "")), "healthy");
    // There may be more tasks at one end than one.
    let reader = format!("{BOTH}task reader\n  receive app.py:30\n  waits sleep timer 3\n");
    let told = after_two_seconds(&reader);
    assert!(told.contains("deadlock (error, suspected)"), "{told}");
}

const ALONE: &str = "
task upload
  upload app.py:15
  std StreamWriter.drain asyncio/streams.py:380
  waits write tcp 7 10.0.0.1:40000 10.0.0.2:9000 ESTABLISHED received 0 35100 sent 70000 34200 unsent 2600000
task main
  main app.py:21
  waits await task upload
";

#[test]
fn the_peer_does_not_read() {
    assert_snapshot!(after_two_seconds(ALONE), @"
    0 stuck-task (warning, proven): task upload has waited for at least 2.0 s in upload() at app.py:15, where it writes to tcp socket 10.0.0.2:9000 (fd 7), whose other end does not read: 2,600,000 bytes unsent, nothing taken for 34 s
      waits task upload upload app.py:15: writes to tcp socket 10.0.0.2:9000 (fd 7), whose other end does not read: 2,600,000 bytes unsent, nothing taken for 34 s
      => 1 [main] waits for task upload in main app.py:21
      try look at the other end: it does not read what it is sent
      try bound the write by `asyncio.timeout(…)`, and close the connection of a peer that does not read
    ");
    let told = after_two_seconds(&ALONE.replace("34200", "15000"));
    assert!(told.contains("stuck-task (warning, suspected)"), "{told}");
    // A slow reader, and a server's client that sleeps for a while.
    assert_eq!(after_two_seconds(&ALONE.replace("34200", "5000")), "healthy");
    let served = ALONE.replacen("task upload\n", "task upload connected\n", 1);
    assert_eq!(after_two_seconds(&served.replace("34200", "15000")), "healthy");
    assert_eq!(changed(ALONE, &ALONE.replace("sent 70000", "sent 70100")), "healthy");
}
