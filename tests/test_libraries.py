"""What `check` says of pools and threads that are libraries' own, in programs that really use them.

A comment `# @role` marks the line that a role of the finding has to name.
"""

import json

import pytest
from rig import interpreters, target, tool
from test_examples import STAGED

PROGRAMS = interpreters.ROOT / "tests" / "libraries"
LIBRARIES = ["aiohttp", "aiosqlite", "anyio", "asgiref", "greenlet", "sqlalchemy>=2"]
# The check, what waits and how many of it, what it waits for, and who has that: a role of the evidence with its count.
EXPECTED = {
    "sqlalchemy_pool": ("pool-exhausted", "show", 4, "AsyncAdaptedQueuePool", ("holds", "checkout", 2)),
    "aiohttp_connector": ("pool-exhausted", "fetch", 4, "TCPConnector", ("holds", "fetch", 2)),
    "anyio_threads": ("pool-exhausted", "show_price", 3, "CapacityLimiter", ("holds", "show_price", 2)),
    "aiosqlite_thread": ("executor-starved", "show_user", None, "_connection_worker_thread", ("works", "report", None)),
    "asgiref_thread": ("executor-starved", "show_user", None, "executor", ("works", "load_report", None)),
}
# Nobody tells when something came over a pair of Unix sockets last.
SUSPECTED = {"anyio_threads"}


def line_of(path, role):
    """The number of the line that is marked with a role."""
    lines = path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if f"@{role}" in line)


@pytest.mark.minors("3.11", "3.13")
@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_known_who_has_it(interpreter, name):
    python = interpreters.with_packages(interpreter, "libraries", LIBRARIES)
    path = PROGRAMS / f"{name}.py"
    check, waiting, count, what, (role, function, holders) = EXPECTED[name]
    with target.Target([python, path], env=STAGED) as program:
        result = tool.run("check", program.pid, "--json")
    assert result.returncode == 1, result.stdout + result.stderr
    (finding,) = json.loads(result.stdout)["findings"]
    certainty = "suspected" if name in SUSPECTED else "proven"
    assert (finding["check"], finding["certainty"]) == (check, certainty), finding
    assert what in finding["summary"], finding["summary"]
    waits = next(line for line in finding["evidence"] if line["role"] == "waits")
    assert (waits["function"], waits["line"], waits.get("count")) == (waiting, line_of(path, "waits"), count)
    has = next(line for line in finding["evidence"] if line["role"] == role)
    assert (has["function"], has.get("count")) == (function, holders)
    assert has["line"] == line_of(path, "holds" if role == "holds" else "busy")
