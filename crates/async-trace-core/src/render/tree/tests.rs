//! What people see, letter by letter.

use super::{Options, tree};
use crate::fixture::snapshot;

fn shown(text: &str, options: &Options) -> String {
    let mut out = String::new();
    tree(&snapshot(text), options, &mut out);
    out
}

fn narrow() -> Options {
    Options { width: Some(80), ..Options::default() }
}

const ABBA: &str = "
lock connect as self._connect_lock
lock token as self._token_refresh_lock
task main
  main app.py:66
  std TaskGroup.__aexit__ asyncio/taskgroups.py:136
  std TaskGroup._aexit asyncio/taskgroups.py:147
  waits task_group tasks refresh-loop reconnect publish-1 publish-2
task refresh-loop
  Stream.refresh_loop app.py:38
  holds token
  Stream._do_refresh app.py:32
  std _ContextManagerMixin.__aenter__ asyncio/locks.py:15
  std Lock.acquire asyncio/locks.py:114
  waits acquire connect
task reconnect
  Stream.reconnect app.py:44
  holds connect
  std _ContextManagerMixin.__aenter__ asyncio/locks.py:15
  std Lock.acquire asyncio/locks.py:114
  waits acquire token
task publish x2
  Stream.publish app.py:49
  std _ContextManagerMixin.__aenter__ asyncio/locks.py:15
  std Lock.acquire asyncio/locks.py:114
  waits acquire connect
";

#[test]
#[allow(clippy::print_stdout)]
fn look() {
    let blocked = "
process 4711 python 3.12.1 paused 1.2
command python3 -m shop --port 8080
loop main busy ready 14 timers 2 next -4.2
thread 4711 MainThread loop main task handler-7 sleeping syscall recvfrom tcp 17 10.0.0.1:40112 10.0.0.2:443 ESTABLISHED
  <module> shop/__main__.py:12
  std run asyncio/runners.py:194
  std Runner.run asyncio/runners.py:118
  std BaseEventLoop.run_forever asyncio/base_events.py:641
  std Handle._run asyncio/events.py:88
  handle shop/web.py:31
  price shop/prices.py:14
  lib get requests/api.py:73
  lib Session.request requests/sessions.py:589
  std SSLSocket.read ssl.py:1106
executor pool 5/8 busy 1
thread 4712 asyncio_0 running job render for report on pool
  std _worker concurrent/futures/thread.py:92
  std _WorkItem.run concurrent/futures/thread.py:58
  render shop/report.py:88
thread 4713 asyncio_1
  std _worker concurrent/futures/thread.py:83
thread 4714 asyncio_2
  std _worker concurrent/futures/thread.py:83
task handler-7 running
  handle shop/web.py:31
task handler-8 ready
  handle shop/web.py:29
  waits await turn
task report cancelling 1
  report shop/report.py:70
  std to_thread asyncio/threads.py:25
  waits call job render thread 4712 on pool timeout 3.5
task ws x10000
  echo shop/ws.py:12
  lib WebSocket.receive aiohttp/web_ws.py:503
  lib DataQueue.read aiohttp/streams.py:680
  waits read tcp 30 a:1 b:2 ESTABLISHED timeout 20
problem task_unreadable 12 \"a task's memory changed while it was read\"
problem pause_refused 1 \"ptrace is not permitted, so the process was not paused\"
";
    println!("{}", shown(ABBA, &narrow()));
    println!("=========\n{}", shown(blocked, &narrow()));
    println!(
        "=========\n{}",
        shown(blocked, &Options { all_frames: true, threads: true, ascii: true, ..narrow() })
    );
    println!("=========\n{}", shown(ABBA, &Options { task: Some("reconnect".into()), ..narrow() }));
    println!("=========\n{}", shown(ABBA, &Options { filter: Some("publ".into()), ..narrow() }));
}
