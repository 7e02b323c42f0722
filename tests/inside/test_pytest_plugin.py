"""The pytest plugin says what hangs when a test exceeds its time, and nothing else."""

import re
import subprocess

import pytest
from conftest import clean_environment

TESTS = '''
import asyncio
import os
import time

import async_trace


async def transfer(source, target):
    async with source:
        await asyncio.sleep(0)
        async with target:
            pass


async def two_transfers():
    a, b = asyncio.Lock(), asyncio.Lock()
    both = asyncio.gather(transfer(a, b), transfer(b, a))
    try:
        await asyncio.wait_for(both, float(os.environ["WAIT"]))
    except asyncio.TimeoutError:
        pass


def test_deadlock():
    asyncio.run(two_transfers())


async def blocked():
    time.sleep(3)


def test_blocked():
    asyncio.run(blocked())


def test_without_a_loop():
    time.sleep(2)


def test_is_off():
    assert not async_trace._tracing.is_tracing()
'''


@pytest.fixture
def run_pytest(package, libraries, tmp_path):
    def run(*arguments, wait=4):
        # The package itself switches tracing on when it is imported.
        (tmp_path / "test_bank.py").write_text(TESTS.replace("import async_trace\n", "import async_trace.debug\n"))
        return subprocess.run(
            [libraries, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            timeout=120,
            env=clean_environment(package, WAIT=str(wait)),
        )

    return run


def test_reports_before_pytest_timeout_ends_the_test(run_pytest):
    done = run_pytest("--timeout", "8", "test_bank.py::test_deadlock", wait=12)
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stderr
    assert "= async-trace: test_bank.py::test_deadlock has been running for 5.0 s =" in said
    assert "ERROR deadlock (proven)" in said
    assert re.search(r"transfer +test_bank.py:12", said), said
    assert "thread async-trace" not in said
    report = said[: said.rindex("=" * 80)]
    assert max(map(len, report.splitlines())) <= 80
    # By either way, the test is ended by pytest-timeout, after the report.
    assert "Timeout (>8.0s) from pytest-timeout" in done.stdout


def test_reports_on_its_own_and_leaves_the_test_alone(run_pytest):
    done = run_pytest("-p", "no:timeout", "--async-trace-timeout", "1", "test_bank.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    titles = re.findall(r"async-trace: test_bank.py::(\w+) has been running", done.stderr)
    assert titles == ["test_deadlock", "test_blocked"]
    assert "ERROR blocked-loop" in done.stderr or "blocks the loop" in done.stderr, done.stderr


def test_pytests_own_time_for_faulthandler_is_a_limit_too(run_pytest):
    done = run_pytest("-p", "no:timeout", "-o", "faulthandler_timeout=1", "test_bank.py::test_deadlock")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.count("has been running for 1.0 s") == 1


def test_is_silent_without_a_limit(run_pytest):
    done = run_pytest("test_bank.py::test_is_off", "test_bank.py::test_without_a_loop")
    assert (done.returncode, done.stderr) == (0, "")
