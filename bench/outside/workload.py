"""Starts a target, waits until it stands, measures tools on it in turns."""
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "targets"), str(HERE.parents[1] / "tests")]
from board import Board  # noqa: E402  (the targets' own module: one definition for both sides)
from rig import target as rig  # noqa: E402

READY_WITHIN_S = 120
TOOL_WITHIN_S = 120
GIVE_UP_AFTER_S = 2  # a peer that fails after longer than this is not asked again at that size


class Target(rig.Target):
    """A running program of `targets/` with its board, ended on leaving the `with` block."""

    def __init__(self, python, program, *args):
        self._dir = tempfile.TemporaryDirectory(prefix="async-trace-bench-")
        path = os.path.join(self._dir.name, "board")
        self.board = Board(path)
        try:
            super().__init__([python, HERE / "targets" / program, "--board", path, *args])
        except BaseException:
            self._dir.cleanup()
            raise

    def wait_ready(self):
        return super().wait_ready(READY_WITHIN_S)  # 100,000 tasks take a while to build

    def stop(self):
        # There is nothing to be kind to, and 100,000 tasks would take seconds to cancel.
        self.process.kill()
        super().stop()
        self._dir.cleanup()

    def reset_gap(self):
        asked = self.board.get("asked") + 1
        self.board.set("asked", asked)
        rig.wait_until(lambda: self.board.get("answered") == asked, "the ticker answers")

    def gap_ns(self):
        """The longest gap since the reset, the one that may have just ended included."""
        seen = self.board.get("ticks")
        rig.wait_until(lambda: self.board.get("ticks") >= seen + 2, "the ticker turns")
        return self.board.get("gap_ns")


class Stopwatch:
    """The small process that starts the tools; see `stopwatch.py`."""

    def __init__(self):
        argv = [sys.executable, "-I", "-S", str(HERE / "stopwatch.py")]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # Outputs of 100,000 tasks are large: keep the disk out of the measurement where we can.
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._dir = tempfile.TemporaryDirectory(prefix="async-trace-bench-", dir=shm)
        self._out, self._err = (os.path.join(self._dir.name, name) for name in ("out", "err"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._dir.cleanup()

    def run(self, argv):
        job = {"argv": argv, "out": self._out, "err": self._err, "timeout_s": TOOL_WITHIN_S}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        result = json.loads(self._process.stdout.readline())
        for key, path in (("out", self._out), ("err", self._err)):
            with open(path, encoding="utf-8", errors="replace") as file:
                result[key] = file.read()
        return result


def new_row(phase, version, tool, target, size):
    return {
        "phase": phase,
        "python": version,
        "size": size,
        "tool": tool.name,
        "ours": tool.ours,
        "expected": {"tasks": target.board.get("tasks"), "standing": target.board.get("standing")},
        "runs": 0,
        "failures": 0,
        "why": None,
        "wall_s": [],
        "cpu_s": [],
        "rss_kb": [],
        "tasks": [],
        "standing": [],
        "gap_ns": [],
        "baseline_ns": [],
        "pause_us": [],
    }


def measure(stopwatch, tool, target, row, gaps=False):
    """One run of one tool; its cost and what it found go into `row`. Returns its output."""
    if gaps:
        # The target's own gaps in a window as long as this tool takes, right before it runs.
        target.reset_gap()
        time.sleep(min(1.0, row["wall_s"][-1] if row["wall_s"] else 0.1))
        row["baseline_ns"].append(target.gap_ns())
        target.reset_gap()
    result = stopwatch.run(tool.argv(target.pid))
    gap = target.gap_ns() if gaps else None
    row["runs"] += 1
    if result["code"] != 0 or not result["out"].strip():
        row["failures"] += 1
        row["why"] = row["why"] or reason(result)
        row["given_up"] = result["wall_s"] > GIVE_UP_AFTER_S
        return None
    row["wall_s"].append(result["wall_s"])
    row["cpu_s"].append(result["cpu_s"])
    row["rss_kb"].append(result["rss_kb"])
    if gaps:
        row["gap_ns"].append(gap)
    if tool.count:
        count = tool.count(result["out"])
        row["tasks"].append(count.tasks)
        row["standing"].append(count.standing)
        if count.pause_us is not None:
            row["pause_us"].append(count.pause_us)
    return result["out"]


def reason(result):
    if result["timed_out"]:
        return "not done after %d s" % TOOL_WITHIN_S
    # CPython 3.14's tool prints its errors on stdout.
    lines = [line.strip() for line in (result["err"] or result["out"]).splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line]
    return (errors or lines or ["exit %d without a word" % result["code"]])[-1][:160]


def in_turns(stopwatch, tools, target, rows, rounds, gaps=False, patient=False):
    """Every tool once per round, each round in another order, the same ones in every run. The first round warms up.

    Who comes before a tool matters: a large program that has just ended leaves cold memory and caches behind.
    """
    order = random.Random(len(tools))
    for turn in range(rounds + 1):
        for tool in order.sample(tools, len(tools)):
            row = rows[tool.name]
            if row.get("given_up") and not patient:
                continue
            if turn == 0:
                measure(stopwatch, tool, target, new_row("", "", tool, target, 0))
            else:
                measure(stopwatch, tool, target, row, gaps)
