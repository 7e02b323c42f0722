//! What gets on, however slowly, is not stuck: `pool-exhausted` and `stuck-task` ask what moves behind a wait.

use super::{after_two_seconds, changed};
use crate::checks::{Config, judge};
use crate::fixture::snapshot;

/// Two downloads that have the slots of a semaphore, each at a wait, and others behind them.
fn downloads(first: &str, second: &str) -> String {
    format!(
        "
semaphore slots 0/2 as self._slots
task download-1
  fetch load.py:12
  holds slots taken 11
  lib AsyncClient.get httpx/_client.py:1768
  waits {first}
task download-2
  fetch load.py:12
  holds slots taken 11
  lib AsyncClient.get httpx/_client.py:1768
  waits {second}
task late x5
  fetch load.py:11
  waits acquire slots
"
    )
}

const FIRST: &str = "read tcp 7 10.0.0.1:40000 10.0.0.2:443 ESTABLISHED";
const SECOND: &str = "read tcp 8 10.0.0.1:40001 10.0.0.2:443 ESTABLISHED";

fn silent(s: u32) -> String {
    let traffic = format!("received 900 {s}000 sent 300 {s}000");
    downloads(&format!("{FIRST} {traffic}"), &format!("{SECOND} {traffic}"))
}

#[test]
fn a_slow_answer_is_waited_for_a_silent_peer_is_not() {
    assert_eq!(after_two_seconds(&silent(4)), "healthy");
    let told = after_two_seconds(&silent(15));
    assert!(told.contains("pool-exhausted (error, suspected)"), "{told}");
    assert!(told.contains("went over its connection did so 15 s ago"), "{told}");
    let told = after_two_seconds(&silent(40));
    assert!(told.contains("pool-exhausted (error, proven)"), "{told}");
    assert!(told.contains("(fd 7), on which nothing was received for 40 s"), "{told}");
}

#[test]
fn silence_that_is_too_short_to_tell_is_worth_another_look() {
    let left_s = |text: &str| {
        let now = snapshot(text);
        let mut then = now.clone();
        then.capture.time_s -= 2.0;
        judge(&[&then, &now], &Config::default()).undecided_s
    };
    assert_eq!(left_s(&silent(4)), Some(6.0));
    assert_eq!(left_s(&silent(15)), None);
    // One of them ends by itself.
    assert_eq!(left_s(&silent(4).replacen("sent 300 4000", "sent 300 4000 timeout 5", 1)), None);
}

#[test]
fn clients_that_wait_behind_slow_answers_are_worth_a_word() {
    let text = silent(4).replace("task late x5\n", "task late x5 connected\n");
    let told = after_two_seconds(&text);
    assert!(told.contains("pool-exhausted (error, suspected)"), "{told}");
    let moved = text.replacen("received 900 4000", "received 1900 100", 1);
    assert_eq!(changed(&text, &moved), "healthy");
}

#[test]
fn a_download_that_comes_in_pieces_moves() {
    let then = silent(40);
    assert_eq!(changed(&then, &then.replace("received 900 40000", "received 1900 100")), "healthy");
    // An upload, of which the other end takes something now and then.
    let then_up = then.replace("read tcp", "write tcp");
    let now = then_up.replace("sent 300 40000", "sent 9300 40000 unsent 100");
    assert_eq!(changed(&then_up, &now), "healthy");
    // One that moves is enough: its slot comes back.
    assert_eq!(changed(&then, &then.replacen("received 900 40000", "received 1900 100", 1)), "healthy");
}

#[test]
fn what_is_not_acknowledged_is_sent_again_and_is_no_sign_of_life() {
    let told = after_two_seconds(&silent(40).replace("sent 300 40000", "sent 300 50 unsent 90"));
    assert!(told.contains("pool-exhausted (error, proven)"), "{told}");
}

#[test]
fn without_the_kernels_word_it_is_a_suspicion() {
    for wait in
        [FIRST, "read unix 7", "read pipe 7", "await future grpc.aio.Future", "wait child 99 ffmpeg sleeping"]
    {
        let told = after_two_seconds(&downloads(wait, wait));
        assert!(told.contains("pool-exhausted (error, suspected)"), "{wait}: {told}");
    }
}

#[test]
fn a_child_that_computes_moves() {
    let at = |cpu: u32| downloads(&format!("wait child 99 ffmpeg sleeping cpu {cpu}"), "read pipe 9");
    assert_eq!(changed(&at(10_000), &at(1_910_000)), "healthy");
    assert!(changed(&at(10_000), &at(10_000)).contains("pool-exhausted (error, suspected)"));
    assert_eq!(after_two_seconds(&at(1).replace("sleeping", "running")), "healthy");
}

#[test]
fn threads_move_by_their_cpu_time_and_their_connections() {
    let with = |thread: &str| {
        format!(
            "executor pool 2/2\n{}thread 4712 worker_0 job crunch on pool {thread}\n  crunch load.py:5\n",
            downloads(
                "call job crunch thread 4712 on pool",
                &format!("{SECOND} received 0 40000 sent 9 40000")
            )
        )
    };
    let blocked = "sleeping cpu 5 syscall recvfrom tcp 9 10.0.0.1:50000 10.0.0.2:443 ESTABLISHED";
    let traffic = |s: u32| format!("{blocked} received 0 {s}000 sent 90 {s}000");
    assert_eq!(changed(&with("sleeping cpu 5"), &with("sleeping cpu 6")), "healthy");
    assert_eq!(after_two_seconds(&with("running cpu 5")), "healthy");
    assert_eq!(after_two_seconds(&with("sleeping cpu 5 syscall clock_nanosleep")), "healthy");
    assert_eq!(after_two_seconds(&with(&traffic(3))), "healthy");
    assert!(after_two_seconds(&with(&traffic(40))).contains("pool-exhausted (error, proven)"));
    assert!(after_two_seconds(&with(blocked)).contains("pool-exhausted (error, suspected)"));
}

#[test]
fn a_program_that_talks_to_itself_is_asked_at_the_other_end() {
    let served = |wait: &str| {
        format!(
            "{}task handler connected tcp 11 10.0.0.2:443 10.0.0.1:40000\n  handle load.py:40\n  waits {wait}\n",
            silent(3)
        )
    };
    assert_eq!(after_two_seconds(&served("sleep timer 20")), "healthy");
    // Each waits for the other to say something: that is not known to be for ever.
    assert_eq!(after_two_seconds(&served("read tcp 11 10.0.0.2:443 10.0.0.1:40000")), "healthy");
    let both = served("sleep timer 3600").replace("sent 300 3000", "sent 300 40000");
    let both = both.replace("received 900 3000", "received 900 40000");
    assert!(after_two_seconds(&both).contains("pool-exhausted (error, proven)"));
}

#[test]
fn a_lock_is_held_while_something_arrives() {
    let lock = |traffic: &str| {
        format!(
            "lock a\ntask holder\n  refresh app.py:12\n  holds a taken 11\n  waits {FIRST} {traffic}\n\
             task request x5\n  show app.py:30\n  waits acquire a\n"
        )
    };
    let told = after_two_seconds(&lock("received 10 3000 sent 10 3000"));
    assert!(told.contains("stuck-task (warning, suspected)"), "{told}");
    assert!(told.contains("the answer may still come"), "{told}");
    let moved = changed(&lock("received 10 9000 sent 10 9000"), &lock("received 20 100 sent 10 9000"));
    assert_eq!(moved, "healthy");
    let told = after_two_seconds(
        &lock("received 10 40000 sent 70000 31000 unsent 2600000").replace("read", "write"),
    );
    assert!(told.contains("stuck-task (warning, proven)"), "{told}");
    assert!(
        told.contains(
            "(fd 7), whose other end does not read: 2,600,000 bytes unsent, nothing taken for 31 s"
        ),
        "{told}"
    );
}
