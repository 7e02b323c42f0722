//! Programs in which nobody may be accused.

use super::{after_two_seconds, at_once, changed};

/// Everything that looks suspicious and is not.
const SERVICE: &str = "
pool db 2/2
lock flush
queue jobs 0/0
condition changed
event stop unset
executor pool 1/4 busy 1
loop main idle next 0.2 fds 12 executor pool
thread 4711 MainThread loop main sleeping syscall epoll_wait
  std EpollSelector.select selectors.py:468
thread 4712 worker-0 job sleep for consumer on pool
  std _worker concurrent/futures/thread.py:81
task Task-1
  lib Server.serve uvicorn/server.py:70
  lib Server.main_loop uvicorn/server.py:230
  waits sleep timer 0.1
task Task-2
  lib LifespanOn.main uvicorn/lifespan/on.py:86
  waits get jobs
task consumer
  consume app.py:28
  waits call job sleep thread 4712 on pool
task flush
  flush_loop app.py:33
  holds flush
  waits sleep timer 0.03
task Task-20
  lib RequestResponseCycle.run_asgi uvicorn/h11_impl.py:403
  query app.py:50
  holds db
  lib Connection.execute asyncpg/connection.py:350
  waits await unknown asyncpg.protocol.BaseProtocol
task Task-21
  lib RequestResponseCycle.run_asgi uvicorn/h11_impl.py:403
  query app.py:50
  holds db
  lib Connection.execute asyncpg/connection.py:350
  waits await unknown asyncpg.protocol.BaseProtocol
task Task-22
  lib RequestResponseCycle.run_asgi uvicorn/h11_impl.py:403
  query app.py:50
  waits acquire db
task Task-23
  lib RequestResponseCycle.run_asgi uvicorn/h11_impl.py:403
  query app.py:52
  waits acquire flush
task Task-24 connected
  lib RequestResponseCycle.run_asgi uvicorn/h11_impl.py:403
  long_poll app.py:60
  waits wait changed
task Task-25 connected
  lib run_asgi uvicorn/ws.py:9
  chat app.py:70
  lib WebSocket.receive starlette/websockets.py:40
  waits get jobs
task cron
  nightly app.py:80
  waits sleep timer 40000
task sentinel
  wait_for_stop app.py:90
  waits wait stop
task background
  main app.py:95
  waits gather tasks consumer flush cron sentinel
";

/// The same two seconds earlier: other requests, other jobs, other naps.
fn earlier() -> String {
    let mut text =
        SERVICE.replace("timer 40000", "timer 40002").replace("flush_loop app.py:33", "flush_loop app.py:34");
    for n in 20..24 {
        text = text.replace(&format!("task Task-{n}\n"), &format!("task Task-1{n}\n"));
    }
    text
}

#[test]
fn a_busy_service() {
    assert_eq!(at_once(SERVICE), "healthy");
    assert_eq!(changed(&earlier(), SERVICE), "healthy");
}

#[test]
fn long_polls_consumers_and_sleepers_do_not_move_for_hours() {
    let mut idle = String::new();
    let mut skip = false;
    for line in SERVICE.lines() {
        if !line.starts_with(' ') {
            skip = ["task Task-20", "task Task-21", "task Task-22", "task Task-23", "task flush"]
                .contains(&line);
        }
        if !skip {
            idle.push_str(line);
            idle.push('\n');
        }
    }
    assert_eq!(after_two_seconds(&idle.replace("consumer flush cron", "consumer cron")), "healthy");
}

#[test]
fn a_program_that_starts_up() {
    assert_eq!(
        changed(
            "task main running\n  main app.py:3",
            "
lock ready
task main
  main app.py:9
  holds ready
  lib connect asyncpg/connection.py:2000
  waits connect tcp 7
task worker x4
  worker app.py:30
  waits acquire ready
"
        ),
        "healthy"
    );
}

#[test]
fn barriers_conditions_and_first_completed() {
    assert_eq!(
        after_two_seconds(
            "
barrier start 2/3
condition changed
task runner x2
  run app.py:3
  waits wait start
task watcher
  watch app.py:9
  waits wait changed
task racer
  race app.py:15
  waits wait tasks runner-1 watcher any
task reader
  lines app.py:20
  waits as_completed tasks runner-2 watcher
task server
  serve app.py:30
  waits accept tcp 5 0.0.0.0:80 - LISTEN
task shielded
  guard app.py:40
  waits shield task watcher
"
        ),
        "healthy"
    );
}

#[test]
fn a_contended_lock_whose_holder_works() {
    assert_eq!(
        at_once(
            "
lock a
task h running
  work app.py:3
  holds a
task w x200
  work app.py:2
  waits acquire a
"
        ),
        "healthy"
    );
}
