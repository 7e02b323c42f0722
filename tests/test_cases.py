"""Real bugs on real libraries, where that collection lies beside the project: ASYNC_TRACE_CASES or ../shared/cases.

Each case says in `# EXPECT` lines what a perfect tool reports; here the facts among them (frames,
resource, holder, threads) must be in the dump.
"""

import fnmatch
import json
import os
import re
import shlex
from pathlib import Path

import pytest

from rig import interpreters, target, tool

CASES = Path(os.environ.get("ASYNC_TRACE_CASES") or interpreters.ROOT.parent / "shared" / "cases")
FILES = sorted(CASES.glob("[0-9]*.py"))


@pytest.fixture(scope="session")
def cases_python(interpreter):
    """A Python of that version that has the libraries."""
    lines = (CASES / "requirements.txt").read_text().splitlines()
    return interpreters.with_packages(interpreter, "cases", [line for line in lines if line])


def expectations(path):
    """The `# EXPECT key=value …` lines, one dictionary each; words without `=` stand under their first key."""
    found = []
    for line in path.read_text().splitlines():
        if line.startswith("# EXPECT "):
            words = [word.partition("=") for word in shlex.split(line.removeprefix("# EXPECT "))]
            found.append({key: value for key, equals, value in words if equals})
    return found


PLACE = re.compile(r"(?P<function>[\w.]+)@(?P<line>\d+)\[\w+\](?::(?P<name>\w+))?")


def places(text):
    """`f@12[label],g@15[label]:name` as (function, line, name)."""
    return [(found["function"], int(found["line"]), found["name"]) for found in PLACE.finditer(text)]


class Dump:
    """A snapshot, and whether it contains a fact."""

    def __init__(self, snapshot, path):
        self.snapshot = snapshot
        self.path = str(path)

    def is_at(self, frame, function, line):
        names = (frame["function"], frame["function"].split(".")[-1])
        return frame["file"] == self.path and frame["line"] == line and function in names

    def innermost_own(self, frames):
        own = [frame for frame in frames if frame["origin"] == "own"]
        return own[-1:]

    def stacks(self):
        yield from (task["chain"] for task in self.snapshot["tasks"])
        yield from (thread["stack"] for thread in self.snapshot["threads"])

    def stuck_at(self, function, line):
        return any(self.is_at(frame, function, line) for stack in self.stacks() for frame in self.innermost_own(stack))

    def has_frame(self, function, line):
        return any(self.is_at(frame, function, line) for stack in self.stacks() for frame in stack)

    def holders(self, name=None):
        for resource in self.snapshot["resources"]:
            if name is None or (resource.get("name") or "").split(".")[-1] == name:
                yield from (holder["at"] for holder in resource.get("holders", []) if holder.get("at"))

    def threads_at(self, function, line):
        stacks = (thread["stack"] for thread in self.snapshot["threads"])
        return sum(any(self.is_at(f, function, line) for f in self.innermost_own(stack)) for stack in stacks)

    def resources(self, type_name):
        last = type_name.split(".")[-1]
        return [each for each in self.snapshot["resources"] if each["type"].split(".")[-1] == last]


# How the words of the cases are called in the snapshot.
STATE = {"maxsize": "capacity", "qsize": "size", "getters": "getters", "putters": "putters", "max_workers": "capacity",
         "busy": "busy", "queued": "unfinished", "set": "set"}  # fmt: skip


def missing_of_resource(dump, facts):
    """What the dump does not say about the resource of an EXPECT line."""
    type_name = facts["resource"]
    if type_name.split(".")[-1].islower():  # a method that polls: it is a frame
        called = ".".join(type_name.split(".")[-2:])
        return [] if any(f["function"] == called for s in dump.stacks() for f in s) else [f"a frame {called}"]
    kind = {"threading.Lock": "lock"}.get(type_name, type_name)
    found = dump.resources(kind)
    if not found:
        return [f"a resource {type_name}"]
    missing = []
    for name in facts.get("names", facts.get("name", "")).split(","):
        if name and not any((each.get("name") or "").split(".")[-1] == name for each in found):
            missing.append(f"{type_name} named {name}")
    for key, value in facts.items():
        if key in ("resource", "name", "names", "loop"):
            continue
        if key == "loop_ready_handles":
            said = [loop.get("ready") for loop in dump.snapshot["loops"]]
        elif key == "waiters":
            said = [len(each.get("waiters", [])) for each in found]
        elif kind.startswith(("asyncio.", "ThreadPool")):
            said = [each["state"].get(STATE[key]) for each in found]
        else:  # a library's own words: a number of its state, of its details, or of its holders
            said = [number for each in found for number in numbers(each)]
        if value not in map(str, said):
            missing.append(f"{type_name} {key}={value} (said: {said})")
    if facts.get("loop") == "asleep-in-select" and [loop["state"] for loop in dump.snapshot["loops"]] != ["idle"]:
        missing.append("a loop that sleeps")
    return missing


def numbers(resource):
    yield from resource["state"].values()
    yield from (detail["value"] for detail in resource["state"].get("details", []))
    yield len(resource.get("holders", []))
    yield len(resource.get("waiters", []))


def missing_facts(dump, expected):
    """Every fact that should be in the dump and is not, in words."""
    missing = []
    owned = any("resource" in facts for facts in expected)
    for facts in expected:
        for function, line, _ in places(facts.get("frames", "")):
            if not dump.stuck_at(function, line):
                missing.append(f"frame {function}:{line}")
        for function, line, name in places(facts.get("holder", "")):
            there = any(dump.is_at(frame, function, line) for frame in dump.holders(name))
            if not (there if owned else dump.has_frame(function, line)):
                missing.append(f"holder {function}:{line} {name or ''}")
        for function, line, _ in places(facts.get("threadframes", "")):
            if dump.threads_at(function, line) != int(facts["threads"]):
                missing.append(f"{facts['threads']} threads at {function}:{line}, not {dump.threads_at(function, line)}")
        if "thread" in facts:
            names = [thread["name"] for thread in dump.snapshot["threads"]]
            if not fnmatch.filter(names, facts["thread"] + "*"):
                missing.append(f"thread {facts['thread']} among {names}")
        if "resource" in facts:
            missing += missing_of_resource(dump, facts)
    return missing


@pytest.mark.skipif(not FILES, reason=f"no cases beside the project ({CASES})")
@pytest.mark.minors("3.11", "3.13")
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_dump_contains_the_facts_of_the_case(path, cases_python):
    expected = expectations(path)
    (kind,) = [facts["kind"] for facts in expected if "kind" in facts]
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    with target.Target([cases_python, path], cwd=CASES, env=environment) as program:
        if kind == "loop-blocked":
            target.wait_blocked(program)
        snapshot = tool.snapshot(program.pid)
        program.process.kill()
    assert missing_facts(Dump(snapshot, path), expected) == []


# By which check each kind of case is found.
CHECKS = {
    "deadlock-cycle": {"deadlock"},
    "resource-leak": {"pool-exhausted"},
    "shutdown-hang": {"shutdown-hang"},
    "loop-blocked": {"blocked-loop", "deadlock"},
    "cancellation-swallowed": {"swallowed-cancel"},
    "orphan-task": {"stuck-task", "pool-exhausted"},
    "executor-starvation": {"executor-starved"},
    "coroutine-never-awaited": {"never-awaited"},
    "task-leak": {"task-leak", "task-flood"},
    "lost-wakeup": {"lost-wakeup"},
    "slow-await": {"slow-call"},
}


@pytest.mark.skipif(not FILES, reason=f"no cases beside the project ({CASES})")
@pytest.mark.minors("3.11", "3.13")
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_check_says_what_is_wrong_with_the_case(path, cases_python):
    expected = expectations(path)
    (kind,) = [facts["kind"] for facts in expected if "kind" in facts]
    with target.Target([cases_python, path], cwd=CASES, env={"PYTHONDONTWRITEBYTECODE": "1"}) as program:
        if kind == "loop-blocked":
            target.wait_blocked(program)
        result = tool.run("check", program.pid, "--json")
        program.process.kill()
    findings = json.loads(result.stdout)["findings"]
    if kind == "healthy":
        assert (findings, result.returncode) == ([], 0)
        return
    assert result.returncode == 1
    # One root cause is one finding; a loop that is blocked by a deadlock has both names, and two functions
    # whose coroutines are forgotten are two.
    causes = sum(len(places(facts.get("created_at", ""))) for facts in expected)
    assert {finding["check"] for finding in findings} <= CHECKS[kind], findings
    assert len(findings) <= max(len(CHECKS[kind]), causes), findings
    said = {
        (line["function"].split(".")[-1], line["line"])
        for finding in findings
        for line in finding["evidence"]
        if line.get("file") == str(path)
    }
    for facts in expected:
        keys = ["created_at"] if kind == "coroutine-never-awaited" else ["frames", "holder"]
        for key in keys:
            for function, line, _ in places(facts.get(key, "")):
                assert (function, line) in said, f"{key} {function}:{line} is not among {said}"
