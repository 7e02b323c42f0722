"""Finds CPython 3.9 to 3.15, and makes virtual environments with uvloop for them.

Run as a program it prepares all that can be prepared ahead of the tests:
`python tests/rig/interpreters.py`.
"""

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
MINORS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
UVLOOP = "uvloop==0.23.0"


@dataclass(frozen=True)
class Interpreter:
    """A CPython of one minor version."""

    minor: str
    version: str
    path: str

    @property
    def at_least(self):
        """The version as a tuple that compares, `(3, 11)`."""
        return tuple(int(part) for part in self.minor.split("."))


def required():
    """Whether a missing interpreter is an error rather than a skip."""
    return os.environ.get("CI") == "true" or os.environ.get("ASYNC_TRACE_REQUIRE_ALL") == "1"


def _candidates():
    yield from filter(None, os.environ.get("ASYNC_TRACE_PYTHONS", "").split(os.pathsep))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    by_patch = sorted(pyenv.glob("3.*"), key=lambda p: [int(n) for n in re.findall(r"\d+", p.name)], reverse=True)
    for home in by_patch:
        yield from (str(home / "bin" / f"python{minor}") for minor in MINORS)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for minor in MINORS:
        yield str(cache / "async-pythons/usr/bin" / f"python{minor}")
    for minor in MINORS:
        found = shutil.which(f"python{minor}")
        if found and "/shims/" not in found:
            yield found


_PROBE = """
import json, platform, sys, sysconfig
print(json.dumps([platform.python_implementation(), platform.python_version(),
                  bool(sysconfig.get_config_var("Py_GIL_DISABLED"))]))
"""


@functools.cache
def find():
    """The first interpreter of each minor version, as `{minor: Interpreter}`."""
    found = {}
    for path in _candidates():
        if not os.access(path, os.X_OK):
            continue
        probe = subprocess.run([path, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=60)
        if probe.returncode:
            continue
        implementation, version, free_threaded = json.loads(probe.stdout)
        minor = ".".join(version.split(".")[:2])
        if implementation == "CPython" and not free_threaded and minor in MINORS:
            found.setdefault(minor, Interpreter(minor, version, path))
    return found


def with_packages(interpreter, name, requirements):
    """The Python of a virtual environment that has `requirements`; made once, kept in the cache."""
    CACHE.mkdir(exist_ok=True)
    home = CACHE / f"{name}-{interpreter.version}"
    stamp = home / "complete"
    wanted = json.dumps([interpreter.path, requirements])
    with open(CACHE / f"{home.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            shutil.rmtree(home, ignore_errors=True)
            subprocess.run([interpreter.path, "-m", "venv", "--without-pip", str(home)], check=True)
            packages = home / "lib" / f"python{interpreter.minor}" / "site-packages"
            # pip of the test environment resolves for the other version: the old ones run no new pip.
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                 "--root-user-action=ignore", "--target", str(packages), "--only-binary=:all:",
                 "--python-version", interpreter.minor, *requirements],
                check=True,
            )  # fmt: skip
            stamp.write_text(wanted)
    return str(home / "bin" / "python")


def with_uvloop(interpreter):
    """A Python of that version that can `import uvloop`."""
    return with_packages(interpreter, "uvloop", [UVLOOP])


if __name__ == "__main__":
    for wanted in MINORS:
        got = find().get(wanted)
        if got is None:
            print(f"CPython {wanted}: not found")
        else:
            print(f"CPython {got.version}: {got.path}, with uvloop: {with_uvloop(got)}")
