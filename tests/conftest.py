"""Every live test runs on every CPython 3.9 to 3.15, and with uvloop on each.

A version that is not installed is a visible skip; with `CI=true` or `ASYNC_TRACE_REQUIRE_ALL=1` it
is an error.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig import interpreters, tool  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--update", action="store_true", help="write the expected outputs anew")
    parser.addoption("--healthy-runs", type=int, help="look so often at each healthy program; default once")
    parser.addoption("--pythons", help="test on these minor versions only, 3.9,3.13")


def chosen_minors(config):
    """The minor versions asked for on the command line, else all."""
    given = config.getoption("--pythons")
    return tuple(given.split(",")) if given else interpreters.MINORS


def pytest_generate_tests(metafunc):
    if "interpreter" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("minors")
        minors = [m for m in chosen_minors(metafunc.config) if only is None or m in only.args]
        metafunc.parametrize("interpreter", minors, indirect=True, scope="session")
    if "loop" in metafunc.fixturenames:
        metafunc.parametrize("loop", ["asyncio", "uvloop"], scope="session")


def pytest_configure(config):
    config.addinivalue_line("markers", "minors(*versions): run on these minor versions only")


@pytest.fixture(scope="session")
def interpreter(request):
    """An interpreter of the minor version the test is run for."""
    found = interpreters.find().get(request.param)
    if found is None:
        if interpreters.required():
            pytest.fail(f"CPython {request.param} was not found, and all versions are required here")
        pytest.skip(f"CPython {request.param} was not found")
    return found


@pytest.fixture(scope="session")
def python(interpreter, loop):
    """The path of that interpreter; with uvloop, the one of an environment that has it."""
    return interpreters.with_uvloop(interpreter) if loop == "uvloop" else interpreter.path


@pytest.fixture(scope="session", autouse=True)
def async_trace_is_built():
    """Builds the tool before the first test, so that no test's deadline pays for the compiler."""
    tool.binary()


@pytest.fixture(scope="session")
def some_interpreter():
    """Any interpreter, for what does not depend on its version."""
    found = interpreters.find()
    if not found:
        pytest.fail("no CPython 3.9 to 3.15 was found")
    return found.get("3.13") or next(iter(found.values()))
