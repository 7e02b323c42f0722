#!/usr/bin/env python3
"""One interleaved run of async-trace and its peers on the same processes; prints ratios.

    bench/outside/run.py --quick          a minute or two: 10 to 10,000 tasks, two Pythons
    bench/outside/run.py --json out.json  everything
    bench/outside/run.py --check          exit 1 when a promise of thresholds.py is missed

Method and how to read it: bench/README.md.
"""
import argparse
import json
import os
import platform
import sys
from pathlib import Path

import interpreters
import tables
import tools
from thresholds import THRESHOLDS, verdicts
from workload import Stopwatch, Target, in_turns, measure, new_row

VERSIONS = ("3.11", "3.13", "3.14", "3.15")
SIZES = (10, 1_000, 10_000, 100_000)
BLOCKED_TASKS = 5


def size_phase(stopwatch, interpreter, applicable, args):
    for size in args.sizes:
        say("%s: %s parked tasks" % (interpreter.minor, "{:,}".format(size)))
        with Target(interpreter.path, "parked.py", "--tasks", size, "--shape", args.shape) as target:
            rows = {t.name: new_row("size", interpreter.version, t, target, size) for t in applicable}
            # Large targets are slow to look at for everyone, and vary less.
            rounds = args.rounds if size < 100_000 else max(2, args.rounds // 3)
            in_turns(stopwatch, applicable, target, rows, rounds)
            yield from rows.values()


def pause_phase(stopwatch, interpreter, applicable, args):
    say("%s: pause of a busy target" % interpreter.minor)
    with Target(interpreter.path, "parked.py", "--tasks", args.pause_tasks, "--shape", args.shape, "--ticker", "busy") as target:
        rows = {t.name: new_row("pause", interpreter.version, t, target, args.pause_tasks) for t in applicable}
        in_turns(stopwatch, applicable, target, rows, args.rounds, gaps=True)
        yield from rows.values()


def churn_phase(stopwatch, interpreter, applicable, args):
    say("%s: a target in motion" % interpreter.minor)
    with Target(interpreter.path, "churn.py") as target:
        counting = [t for t in applicable if t.count]
        rows = {t.name: new_row("churn", interpreter.version, t, target, 0) for t in counting}
        in_turns(stopwatch, counting, target, rows, args.churn_runs, gaps=True, patient=True)
        yield from rows.values()


def blocked_phase(stopwatch, interpreter, applicable, args):
    for how in args.blocked:
        say("%s: a loop blocked in %s" % (interpreter.minor, how))
        with Target(interpreter.path, "blocked.py", "--how", how, "--tasks", BLOCKED_TASKS) as target:
            for tool in applicable:
                row = new_row("blocked", interpreter.version, tool, target, 0)
                out = measure(stopwatch, tool, target, row) or ""
                frames = "blocked_call" in out and "handler" in out
                tasks = all("idle-%d" % i in out for i in range(BLOCKED_TASKS))
                row.update(how=how, frames_seen=int(frames), tasks_seen=int(tasks), both=int(frames and tasks))
                yield row


def check_phase(stopwatch, interpreter, applicable, args):
    ours = [t for t in applicable if t.ours]
    if not ours:
        return
    say("%s: what is wrong with %s tasks" % (interpreter.minor, "{:,}".format(args.pause_tasks)))
    with Target(interpreter.path, "parked.py", "--tasks", args.pause_tasks, "--shape", args.shape) as target:
        both = [ours[0], tools.check(args.binary)]
        rows = {t.name: new_row("check", interpreter.version, t, target, args.pause_tasks) for t in both}
        in_turns(stopwatch, both, target, rows, args.rounds)
        yield from rows.values()


PHASES = {"size": size_phase, "check": check_phase, "pause": pause_phase, "churn": churn_phase, "blocked": blocked_phase}


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return "%s, %d CPUs, Linux %s" % (model, os.cpu_count(), platform.release())


def parse(argv):
    target = Path(os.environ.get("CARGO_TARGET_DIR", interpreters.ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=target / "release" / "async-trace", help="the binary to measure")
    parser.add_argument("--peers-only", action="store_true", help="leave async-trace out")
    parser.add_argument("--no-peers", action="store_true", help="measure async-trace alone; no promise about ratios")
    parser.add_argument("--no-install", action="store_true", help="do without py-spy and pystack (no package index)")
    parser.add_argument("--versions", type=lambda s: s.split(","), help="default: " + ",".join(VERSIONS))
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")], help="numbers of parked tasks")
    parser.add_argument("--shape", default="chain", help="shape of the parked tasks; see targets/parked.py")
    parser.add_argument("--phases", type=lambda s: s.split(","), default=list(PHASES), help="default: " + ",".join(PHASES))
    parser.add_argument("--rounds", type=int, help="runs per tool and size (default 11)")
    parser.add_argument("--churn-runs", type=int, help="runs per tool on the target in motion (default 20)")
    parser.add_argument("--quick", action="store_true", help="fewer sizes, versions and rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure to FILE")
    parser.add_argument("--check", action="store_true", help="exit 1 when a promise is missed")
    args = parser.parse_args(argv)
    args.versions = args.versions or (["3.11", "3.15"] if args.quick else list(VERSIONS))
    args.sizes = args.sizes or list(SIZES[:3] if args.quick else SIZES)
    args.rounds = args.rounds or (3 if args.quick else 11)
    args.churn_runs = args.churn_runs or (5 if args.quick else 20)
    args.blocked = ["sleep", "spin"] if args.quick else ["sleep", "regex", "spin", "lock"]
    args.pause_tasks = 10_000
    unknown = set(args.phases) - set(PHASES)
    if unknown:
        parser.error("unknown phase: " + ", ".join(sorted(unknown)))
    if not args.peers_only and not os.access(args.binary, os.X_OK):
        parser.error("%s is not there; build it with `cargo build --release -p async-trace`" % args.binary)
    return args


def main(argv=None):
    args = parse(argv)
    found = interpreters.find(args.versions)
    for minor in set(args.versions) - {interpreter.minor for interpreter in found}:
        say("skipped: no CPython %s found (ASYNC_TRACE_PYTHONS takes paths)" % minor)
    bin_dir = None if args.no_peers or args.no_install else interpreters.install_peers()
    rows = []
    with Stopwatch() as stopwatch:
        floor = stopwatch.run(["/bin/true"])["rss_kb"]
        for interpreter in found:
            applicable = [] if args.peers_only else tools.ours(args.binary)
            applicable += [] if args.no_peers else tools.peers(interpreter.minor, interpreter.path, bin_dir)
            for phase in args.phases:
                rows.extend(PHASES[phase](stopwatch, interpreter, applicable, args))
    result = {"machine": machine(), "rss_floor_kb": floor, "pause_tasks": args.pause_tasks, "rows": rows}
    print(tables.everything(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    missed = [(key, where, measured) for key, where, measured, holds in verdicts(rows) if not holds]
    for key, where, measured in missed:
        say("missed: %s (%s): %.3g, limit %.3g" % (THRESHOLDS[key].row, where, measured, THRESHOLDS[key].limit))
    return 1 if args.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
