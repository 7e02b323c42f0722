#!/usr/bin/env python3
"""Where the time of one dump goes: runs the binary with ASYNC_TRACE_TIMINGS=1 on parked tasks.

    bench/outside/phases.py --tasks 10000 --python python3.13

The binary then writes `timing: PHASE MICROSECONDS` lines on stderr; this prints their medians.
"""
import argparse
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from interpreters import ROOT
from workload import Target


def main():
    target_dir = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=target_dir / "release" / "async-trace")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--shape", default="chain")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("dump_args", nargs="*", help="more arguments for `dump`, after `--`")
    args = parser.parse_args()
    env = dict(os.environ, ASYNC_TRACE_TIMINGS="1")
    phases = defaultdict(list)
    with Target(args.python, "parked.py", "--tasks", args.tasks, "--shape", args.shape) as target:
        argv = [str(args.binary), "dump", *args.dump_args, str(target.pid)]
        for _ in range(args.rounds):
            done = subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
            for phase, spent in re.findall(r"^timing: (.+?) (\d+)$", done.stderr, re.M):
                phases[phase].append(int(spent))
    if not phases:
        sys.exit("the binary wrote no timings")
    for phase, spent in phases.items():
        print("%-24s %9.2f ms" % (phase, median(spent) / 1e3))


if __name__ == "__main__":
    main()
