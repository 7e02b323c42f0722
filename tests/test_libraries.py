"""What `check` says of pools and threads that are libraries' own, in programs that really use them.

A comment `# @role` marks the line that a role of the finding has to name.
"""

import json

import pytest
from rig import interpreters, target, tool
from test_examples import STAGED

PROGRAMS = interpreters.ROOT / "tests" / "libraries"
LIBRARIES = ["aiohttp", "aiosqlite", "anyio", "asgiref", "greenlet", "redis>=5", "sqlalchemy>=2"]
# The check, what waits and how many of it, what it waits for, and who has that: a role of the evidence with its count.
EXPECTED = {
    "sqlalchemy_pool": ("pool-exhausted", "show", 4, "AsyncAdaptedQueuePool", ("holds", "checkout", 2)),
    "aiohttp_connector": ("pool-exhausted", "fetch", 4, "TCPConnector", ("holds", "fetch", 2)),
    "anyio_threads": ("pool-exhausted", "show_price", 3, "CapacityLimiter", ("holds", "show_price", 2)),
    "aiosqlite_thread": ("executor-starved", "show_user", None, "_connection_worker_thread", ("works", "report", None)),
    "redis_lock": ("stuck-task", "query", 3, "redis Lock `index`", ("holds", "rebuild", None)),
    "asgiref_thread": ("executor-starved", "show_user", None, "executor", ("works", "load_report", None)),
}
# Where nobody has it: it is looked for in variables only, and so is suspected.
ABANDONED = {"anyio_stream": ("queue-stuck", "produce", "memory object stream")}
HEALTHY = ["anyio_pipeline"]
# Nobody tells when something came over a pair of Unix sockets last.
SUSPECTED = {"anyio_threads"}


def line_of(path, role):
    """The number of the line that is marked with a role."""
    lines = path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if f"@{role}" in line)


def check(interpreter, name):
    python = interpreters.with_packages(interpreter, "libraries", LIBRARIES)
    with target.Target([python, PROGRAMS / f"{name}.py"], env=STAGED) as program:
        result = tool.run("check", program.pid, "--json")
    assert result.returncode in (0, 1), result.stdout + result.stderr
    return json.loads(result.stdout)["findings"]


@pytest.mark.minors("3.11", "3.13")
@pytest.mark.parametrize("name", ABANDONED)
def test_nobody_is_left(interpreter, name):
    kind, waiting, what = ABANDONED[name]
    (finding,) = check(interpreter, name)
    assert (finding["check"], finding["certainty"]) == (kind, "suspected"), finding
    assert what in finding["summary"], finding["summary"]
    waits = finding["evidence"][0]
    assert (waits["function"], waits["line"]) == (waiting, line_of(PROGRAMS / f"{name}.py", "waits"))


@pytest.mark.minors("3.11", "3.13")
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_programs(interpreter, name):
    assert check(interpreter, name) == []


@pytest.mark.minors("3.11", "3.13")
@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_known_who_has_it(interpreter, name):
    path = PROGRAMS / f"{name}.py"
    kind, waiting, count, what, (role, function, holders) = EXPECTED[name]
    (finding,) = check(interpreter, name)
    certainty = "suspected" if name in SUSPECTED else "proven"
    assert (finding["check"], finding["certainty"]) == (kind, certainty), finding
    assert what in finding["summary"], finding["summary"]
    waits = next(line for line in finding["evidence"] if line["role"] == "waits" and line["function"] == waiting)
    assert (waits["function"], waits["line"], waits.get("count")) == (waiting, line_of(path, "waits"), count)
    has = next(line for line in finding["evidence"] if line["role"] == role)
    assert (has["function"], has.get("count")) == (function, holders)
    assert has["line"] == line_of(path, "holds" if role == "holds" else "busy")
