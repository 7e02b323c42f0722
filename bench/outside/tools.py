"""The tools of the comparison: how each is called, and how its output is counted."""
import json
import re
from dataclasses import dataclass
from typing import Callable, List, Optional

# For how long a check looks.
CHECK_S = 2.0
# What a task of `targets/parked.py` and `targets/churn.py` that stands still looks like.
STANDING = ["chain", "chain", "chain", "chain", "leaf"]


@dataclass(frozen=True)
class Count:
    """What an output contains."""

    tasks: int  # different tasks
    standing: int  # of those, with their whole chain
    pause_us: Optional[int] = None  # how long the tool says it stopped the target


@dataclass(frozen=True)
class Tool:
    """One way to look at a process."""

    name: str
    argv: Callable[[int], List[str]]
    count: Optional[Callable[[str], Count]] = None  # None: knows threads only, or groups its tasks
    ours: bool = False


def count_json(text):
    snapshot = json.loads(text)
    tasks = [task for task in snapshot["tasks"] if task["state"] != "done"]
    own = lambda task: [frame["function"] for frame in task["chain"] if frame["origin"] == "own"]  # noqa: E731
    standing = sum(own(task) == STANDING for task in tasks)
    return Count(len(tasks), standing, snapshot["capture"].get("pause_us"))


def count_ps(text):
    """`python -m asyncio ps`: a row per task and awaiter, the chain innermost first."""
    chain = " -> ".join(reversed(STANDING))
    tasks, standing = set(), set()
    for row in text.splitlines():
        cells = re.match(r"\d+\s+(0x[0-9a-f]+)\s", row)
        if cells:
            tasks.add(cells.group(1))
            if chain in row:
                standing.add(cells.group(1))
    return Count(len(tasks), len(standing))


def count_sampling(text):
    """`python -m profiling.sampling dump`: a block per task, outermost frame first."""
    tasks, standing = set(), set()
    for block in text.split("\n\n"):
        task = re.match(r"Stack dump.*\(task (\d+)", block)
        if task:
            tasks.add(task.group(1))
            own = [name for name in re.findall(r'line \d+, in (\S+)', block) if name in STANDING]
            if own == STANDING:
                standing.add(task.group(1))
    return Count(len(tasks), len(standing))


def ours(binary):
    base = [str(binary), "dump"]
    return [
        Tool("async-trace", lambda pid: base + [str(pid)], ours=True),
        Tool("async-trace --json", lambda pid: base + ["--json", str(pid)], count_json, ours=True),
        Tool("async-trace --json --no-pause", lambda pid: base + ["--json", "--no-pause", str(pid)], count_json, ours=True),
    ]


def check(binary):
    """The verdict. Of its time, CHECK_S pass between its looks."""
    return Tool("async-trace check", lambda pid: [str(binary), "check", "--for", "%gs" % CHECK_S, str(pid)], ours=True)


def peers(minor, python, bin_dir):
    """What else can look at a process of this version. CPython's own tools need the target's own version."""
    tools = []
    if minor in ("3.14", "3.15"):
        tools.append(Tool("asyncio ps", lambda pid: [python, "-m", "asyncio", "ps", str(pid)], count_ps))
    if minor == "3.15":
        dump = [python, "-m", "profiling.sampling", "dump", "--async-aware", "--blocking"]
        tools.append(Tool("sampling dump --blocking", lambda pid: dump + [str(pid)], count_sampling))
    if bin_dir:
        tools.append(Tool("py-spy dump", lambda pid: [str(bin_dir / "py-spy"), "dump", "--pid", str(pid)]))
        tools.append(Tool("pystack remote", lambda pid: [str(bin_dir / "pystack"), "remote", str(pid)]))
    return tools
