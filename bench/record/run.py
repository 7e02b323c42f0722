#!/usr/bin/env python3
"""What `async-trace record` costs: the target's throughput with and without it, and the recorder's own CPU time.

Blocks with and without the recorder alternate in one run (without, with, with, without, …), and what is compared
is neighbours. See bench/README.md.

    cargo build --release -p async-trace
    python3 bench/record/run.py                    # 1,000 tasks, 100 samples a second
    python3 bench/record/run.py --check            # exit 1 when a promise is missed
"""

import argparse
import json
import os
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# The target may lose at most this share of its throughput, the recorder may use at most this share of a core.
MOST_LOSS = 0.01
MOST_CPU = 0.25


def binary():
    given = os.environ.get("ASYNC_TRACE_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return given or str(target / "release" / "async-trace")


class Counter:
    """The number of requests that the target has finished."""

    def __init__(self, path):
        self.file = open(path, "rb", buffering=0)

    def read(self):
        self.file.seek(0)
        return struct.unpack("q", self.file.read(8))[0]


def cpu_of(pid):
    """The CPU time that a process of one thread has used, in seconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


class Recorder:
    """One recording, from its first samples on."""

    def __init__(self, arguments, pid, path):
        path.unlink(missing_ok=True)
        self.path = path
        command = [binary(), "record", str(pid), "--rate", str(arguments.rate), "-o", str(path), *arguments.record]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while not path.exists() or path.stat().st_size < 1000:
            if self.process.poll() is not None:
                sys.exit(f"the recorder ended: {self.process.stderr.read()}")
            time.sleep(0.01)

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        """What it said: samples and missed."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        if self.process.returncode != 0:
            sys.exit(f"the recorder failed: {said}")
        number = lambda pattern: int((re.search(pattern, said) or ["", "0"])[1].replace(",", ""))
        return number(r"([\d,]+) samples? of"), number(r"([\d,]+) samples? (?:was|were) missed")


def block(arguments, counter, pid, path, with_recorder):
    """One block: requests a second, and a second of the target's CPU time; with the recorder its share of a core, samples,
    missed, bytes."""
    recorder = Recorder(arguments, pid, path) if with_recorder else None
    time.sleep(0.3)  # the caches of the target are its own again
    cpu = recorder.cpu_s() if recorder else 0.0
    begin, first, used = time.perf_counter(), counter.read(), cpu_of(pid)
    time.sleep(arguments.seconds)
    end, last, used = time.perf_counter(), counter.read(), cpu_of(pid) - used
    result = {"requests_s": (last - first) / (end - begin), "requests_cpu_s": (last - first) / used}
    if recorder:
        result["cpu"] = (recorder.cpu_s() - cpu) / (end - begin)
        result["samples"], result["missed"] = recorder.end()
        result["bytes"] = path.stat().st_size
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="the target's interpreter")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--active", type=int, default=100, help="so many of them never rest, or move within 10 ms (default 100)")
    parser.add_argument("--shape", choices=["saturated", "server"], default="saturated", help="as fast as it can, or with pauses")
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=4, help="of each block")
    parser.add_argument("--pairs", type=int, default=10, help="blocks with the recorder")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a promise is missed")
    parser.add_argument("record", nargs="*", help="further options of `record`, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "count"
        command = [arguments.python, HERE / "target.py", str(arguments.tasks), str(arguments.active), str(path), arguments.shape]
        target = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            pid = int(target.stdout.readline().split()[1])
            counter, recording = Counter(path), Path(folder) / "bench.recording"
            block(arguments, counter, pid, recording, True)  # warms the caches, and is thrown away
            without, with_it = [], []
            for pair in range(arguments.pairs):
                order = (False, True) if pair % 2 == 0 else (True, False)
                for with_recorder in order:
                    result = block(arguments, counter, pid, recording, with_recorder)
                    (with_it if with_recorder else without).append(result)
        finally:
            target.kill()
            target.wait()
    # A loop that is never done gets less done in a second; one that rests needs more CPU time for the same.
    done = "requests_s" if arguments.shape == "saturated" else "requests_cpu_s"
    losses = [1 - b[done] / a[done] for a, b in zip(without, with_it)]
    loss, cpu = statistics.median(losses), statistics.median(b["cpu"] for b in with_it)
    samples, missed = sum(b["samples"] for b in with_it), sum(b["missed"] for b in with_it)
    spread = statistics.stdev(losses) / len(losses) ** 0.5 if len(losses) > 1 else float("nan")
    # How much two blocks without a recorder differ: less than this cannot be told.
    rates = [a[done] for a in without]
    noise = statistics.stdev(rates) / statistics.mean(rates) if len(rates) > 1 else float("nan")
    per = "second" if done == "requests_s" else "second of CPU time"
    print(f"{arguments.tasks} tasks, {arguments.active} of them at work ({arguments.shape}), {arguments.rate:g} samples a second, {arguments.pairs} pairs of {arguments.seconds:g} s")
    print(f"  without  {statistics.median(rates):10,.0f} requests a {per} (blocks differ by {noise:.1%})")
    print(f"  with     {statistics.median(b[done] for b in with_it):10,.0f} requests a {per}")
    print(f"  loss     {loss:10.2%} +- {spread:.2%} (promise: less than {MOST_LOSS:.0%})")
    print(f"  recorder {cpu:10.1%} of a core (promise: less than {MOST_CPU:.0%})")
    print(f"  samples  {samples:10,} taken, {missed:,} missed; {statistics.mean(b['bytes'] / max(1, b['samples']) for b in with_it):,.0f} bytes each")
    figures = {"loss": loss, "loss_error": spread, "noise": noise, "cpu": cpu, "samples": samples, "missed": missed,
               "without": without, "with": with_it}  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    if arguments.check and (loss >= MOST_LOSS or cpu >= MOST_CPU or missed > samples):
        sys.exit(1)


main()
