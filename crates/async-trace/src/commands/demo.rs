//! `async-trace demo`: a small server that really hangs, and a walk through what can be seen of it.
//!
//! The server is `examples/demo/shop.py`. It is read with the same code as any other process.

mod shop;

use crate::args::DemoArguments;
use crate::output::{Output, Paper};
use crate::{Error, Outcome, Result};
use async_trace_core::render::{self, Canvas, Role};
use async_trace_core::snapshot::{Snapshot, Target, Verb};
use shop::Shop;
use std::time::{Duration, Instant};

/// How long a customer waits before we believe that no answer will come.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long the two handlers may take to run into each other on a very busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn run(arguments: &DemoArguments, output: &mut Output) -> Result<Outcome> {
    let shop = Shop::open(&arguments.python)?;
    output.draw(|paper| {
        say(paper, &[(Role::Plain, "A small shop has opened: "), (Role::Heading, "shop.py")]);
        say(
            paper,
            &[(
                Role::Plain,
                &format!("It is process {}, and serves HTTP on port {}.", shop.pid(), shop.port),
            )],
        );
        paper.end_line();
    })?;

    let first = shop.visit("GET /stock")?.answer(DEADLINE);
    output.draw(|paper| visit(paper, "GET /stock", first.as_deref(), "it works"))?;

    let mut customers = vec![shop.visit("POST /checkout")?, shop.visit("POST /refund")?];
    let stuck = customers[0].answer(PATIENCE);
    output.draw(|paper| {
        visit(paper, "POST /checkout", stuck.as_deref(), "two customers come at the same moment,");
        visit(paper, "POST /refund", None, "and neither is served;");
    })?;
    for _ in 0..5 {
        customers.push(shop.visit("GET /stock")?);
    }
    let snapshot = read_when_stuck(shop.pid(), customers.len())?;
    output.draw(|paper| {
        visit(paper, "GET /stock (5 times)", None, "nor is anybody who comes later");
        paper.end_line();
        say(paper, &[(Role::Plain, "No error, nothing in a log, no CPU used. So what is it doing?")]);
        paper.end_line();
        say(paper, &[(Role::Library, "$ "), (Role::Heading, &format!("async-trace dump {}", shop.pid()))]);
    })?;

    let options =
        render::Options { width: output.width(), ascii: output.ascii(), ..render::Options::default() };
    output.draw(|paper| {
        render::tree(&snapshot, &options, paper);
        paper.end_line();
        for line in EXPLANATION.lines() {
            say(paper, &[(Role::Plain, line)]);
        }
    })?;
    drop(customers);
    Ok(Outcome::Done)
}

const EXPLANATION: &str = "\
What this says:
- checkout has the stock lock and waits for the till lock; refund has the till
  lock and waits for the stock lock. Neither will ever go on. Both lines that
  wait, and both that hold, are named.
- The five later visitors are only victims: they wait behind that ring, and are
  one group, because they all stand in the same place.
- The loop itself is idle. That is why no CPU is used, and why a profiler would
  see nothing.
- The cure: take both locks in the same order everywhere.

Nothing was prepared in the shop, and it was not changed. Try it on yours:
  async-trace ps          lists the processes that can be read
  async-trace dump PID    looks into one";

fn say(paper: &mut Paper<'_>, words: &[(Role, &str)]) {
    for (role, text) in words {
        paper.span(*role, text);
    }
    paper.end_line();
}

/// `  GET /stock             200 OK       it works`.
fn visit(paper: &mut Paper<'_>, request: &str, answer: Option<&str>, remark: &str) {
    paper.span(Role::Task, &format!("  {request:<22}"));
    match answer {
        Some(answer) => paper.span(Role::Plain, &format!("{answer:<12}")),
        None => paper.span(Role::Alarm, &format!("{:<12}", "no answer")),
    }
    paper.span(Role::Library, remark);
    paper.end_line();
}

/// Reads the shop once all its customers wait for a lock. They come to that by themselves, but on a
/// busy machine it may take a moment.
fn read_when_stuck(pid: u32, customers: usize) -> Result<Snapshot> {
    let begin = Instant::now();
    // The shop is ours: it may stand still a little longer on a slow machine.
    let options = async_trace_remote::Options {
        pause_budget: Duration::from_millis(200),
        ..async_trace_remote::Options::default()
    };
    loop {
        let snapshot = async_trace_remote::capture(pid, &options)?;
        let waits = |t: &&async_trace_core::snapshot::Task| {
            let wait = t.waits_for.as_ref();
            wait.is_some_and(|w| w.verb == Verb::Acquire && matches!(w.target, Target::Resource { .. }))
        };
        let stuck = snapshot.tasks.iter().filter(waits).count();
        if stuck >= customers {
            return Ok(snapshot);
        }
        if begin.elapsed() > DEADLINE {
            return Err(Error::DemoFailed {
                reason: format!("only {stuck} of its {customers} requests hang"),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
