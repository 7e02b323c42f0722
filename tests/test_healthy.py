"""No false alarms: `check` finds nothing in healthy programs, however often it looks.

Each is looked at once; `--healthy-runs 50` (or ASYNC_TRACE_HEALTHY_RUNS=50) looks as often as the promise says. A program is
started anew before its time is over, so that other moments of it are seen.
"""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from rig import interpreters, target, tool
from test_cases import CASES, cases_python  # noqa: F401
from test_checks import SICK, UNDECIDED
from test_examples import NAMES, SINCE, STAGED, start

PROGRAMS = interpreters.ROOT / "tests" / "healthy"
LIBRARIES = ["aiohttp", "anyio", "async_timeout", "websockets", "uvloop==0.23.0", "exceptiongroup", "typing_extensions"]
# They run for two minutes, and a look takes two seconds or, on a machine with much to do, several.
LOOKS_EACH = 10


@pytest.fixture(scope="session")
def runs(request):
    """How often each program is looked at."""
    return int(request.config.getoption("--healthy-runs") or os.environ.get("ASYNC_TRACE_HEALTHY_RUNS") or 1)


def look(program):
    """What `check` says with its own settings, where it is more than nothing."""
    result = tool.run("check", program.pid, "--json")
    assert result.returncode in (0, 1), result.stderr
    return json.loads(result.stdout)["findings"]


def findings(started, runs):
    """All that is found in programs, `{name: function that starts it}`, by so many looks at each."""
    found = {}
    for done in range(0, runs, LOOKS_EACH):
        with ExitStack() as programs, ThreadPoolExecutor(6) as threads:
            running = {name: programs.enter_context(begin()) for name, begin in started.items()}
            for _ in range(min(LOOKS_EACH, runs - done)):
                for name, result in zip(running, threads.map(look, running.values())):
                    found.setdefault(name, []).extend(result)
    return {name: result for name, result in found.items() if result}


def test_examples(interpreter, loop, runs):
    healthy = [n for n in NAMES if n not in SICK and n not in UNDECIDED and interpreter.at_least >= SINCE.get(n, (3, 9))]
    assert findings({name: lambda name=name: start(name, interpreter, loop) for name in healthy}, runs) == {}


def test_services(interpreter, loop, runs):
    python = interpreters.with_packages(interpreter, "healthy", LIBRARIES)
    flags = ["--uvloop"] if loop == "uvloop" else []

    def begin(path):
        return lambda: target.Target([python, path, *flags], env=STAGED)

    assert findings({path.stem: begin(path) for path in sorted(PROGRAMS.glob("*.py"))}, runs) == {}


@pytest.mark.skipif(not CASES.is_dir() or not shutil.which("psql"), reason=f"no cases beside the project ({CASES}), or no PostgreSQL")
@pytest.mark.minors("3.11", "3.13")
def test_the_control_of_the_cases(cases_python, runs):  # noqa: F811
    (path,) = CASES.glob("*_healthy_control.py")
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    assert findings({path.stem: lambda: target.Target([cases_python, path], cwd=CASES, env=environment)}, runs) == {}
