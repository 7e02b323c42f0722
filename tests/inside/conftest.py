"""Tests of the Python package: small programs, run on every interpreter with the wheel's files."""

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
from rig.interpreters import CACHE, ROOT, with_packages

HERE = Path(__file__).parent
# What the tests need beside the package, for the interpreters that have wheels of it.
LIBRARIES = ["aiohttp", "anyio", "aiosqlite", "async_timeout", "click", "gunicorn", "uvicorn", "uvloop==0.23.0"]
LIBRARIES += ["pytest", "pytest-asyncio", "pytest-timeout"]
# Theirs, which pip leaves out when it runs on a Python that does not need them.
LIBRARIES += ["exceptiongroup", "h11", "packaging", "typing_extensions"]


@pytest.fixture(scope="session")
def package():
    """The directory that holds the unpacked wheel; ASYNC_TRACE_PACKAGE names another one."""
    given = os.environ.get("ASYNC_TRACE_PACKAGE")
    if given:
        return given
    CACHE.mkdir(exist_ok=True)
    wheels = CACHE / "wheel"
    wheels.mkdir(exist_ok=True)
    for old in wheels.glob("*.whl"):
        old.unlink()
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps",
         "-w", str(wheels), str(ROOT)],
        check=True,
    )  # fmt: skip
    (wheel,) = wheels.glob("*.whl")
    unpacked = CACHE / "package"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    return str(unpacked)


@pytest.fixture(scope="session")
def libraries(interpreter):
    """A Python of that version with aiohttp, anyio, uvloop and others."""
    return with_packages(interpreter, "inside", LIBRARIES)


@pytest.fixture
def execute(package, tmp_path):
    """Runs a program (source text) with a Python; returns what it printed, its own path as `app.py`."""

    def run(python, source, *args, check=True, name="app.py", command=(), timeout=120, **environment):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        done = subprocess.run(
            [python, *command, str(path), *args],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout,
            cwd=tmp_path,
            env=clean_environment(package, **environment),
        )
        if check:
            assert done.returncode == 0, done.stderr
        done.stdout = done.stdout.replace(str(path), name)
        done.stderr = done.stderr.replace(str(path), name)
        return done

    return run


def clean_environment(package, **changes):
    """This environment with the package, and without what would switch it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ASYNC_TRACE", "PYTHON"))}
    environment["PYTHONPATH"] = package
    environment["PYTHONIOENCODING"] = "utf-8"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    environment.update(changes)
    return {k: v for k, v in environment.items() if v is not None}
