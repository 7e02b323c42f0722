#!/usr/bin/env python3
"""Sets up everything and runs all tests: the one door, for people, `just` and CI.

    python3 tools/setup_and_test.py             all of it
    python3 tools/setup_and_test.py --setup     only what is needed for the tests: .venv, interpreters, the build
    python3 tools/setup_and_test.py --no-live   without the tests on live processes

It needs Rust and Python 3.9 or newer, and puts what it makes below `.venv`, `.cache` and `target`. Debian
packages that some tests want (gcc, tmux, Chromium, PostgreSQL, Redis) are installed where CI=true or with --system;
without them those tests are skipped, and say so.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv" / "bin" / "python"
PACKAGES = ["pytest>=8", "jsonschema>=4", "mypy>=1.11", "maturin>=1.9,<2"]
CI = os.environ.get("CI") == "true"
CASES = Path(os.environ.get("ASYNC_TRACE_CASES") or ROOT.parent / "shared" / "cases")

# A program that shows whether it is there, and the package that has it.
SYSTEM = {"gcc": "gcc", "tmux": "tmux", "unshare": "util-linux", "xz": "xz-utils", "dot": "graphviz", "chromium": "chromium",
          "redis-server": "redis-server"}
SYSTEM_FOR_CASES = {"psql": "postgresql"}


failed = []


def step(title, *command, go_on=False, **kwargs):
    """Runs a command. Where it fails, all ends; or, with `go_on`, that is remembered for the end."""
    print(f"\n== {title}", flush=True)
    start = time.monotonic()
    done = subprocess.run([str(word) for word in command], cwd=ROOT, **kwargs)
    print(f"== {title}: {'ok' if done.returncode == 0 else 'FAILED'} ({time.monotonic() - start:.0f} s)", flush=True)
    if done.returncode:
        failed.append(title)
        if not go_on:
            finish()


def finish():
    if failed:
        sys.exit(f"FAILED: {', '.join(failed)}")


def system_packages():
    wanted = dict(SYSTEM, **(SYSTEM_FOR_CASES if CASES.is_dir() else {}))
    missing = [package for program, package in wanted.items() if not shutil.which(program)]
    if not missing or not shutil.which("apt-get"):
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    step("package lists", *sudo, "apt-get", "update", "-qq", env=environment)
    step("Debian packages", *sudo, "apt-get", "install", "-y", "-qq", *missing, env=environment, stdout=subprocess.DEVNULL)


def set_up():
    if sys.version_info < (3, 9):
        sys.exit("error: Python 3.9 or newer is needed to run the tests")
    if not shutil.which("cargo"):
        sys.exit("error: Rust is needed (cargo was not found)")
    if not PYTHON.exists():
        venv.create(PYTHON.parents[1], with_pip=True)
    pip = [PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    step("test environment", *pip, *PACKAGES)
    step("interpreters", PYTHON, "tests/rig/interpreters.py")
    step("build", "cargo", "build", "--release", "--locked", "-p", "async-trace")


def run_tests(live):
    clippy = ["cargo", "clippy", "--locked", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]
    step("format", "cargo", "fmt", "--all", "--check", go_on=True)
    step("lints", *clippy, go_on=True)
    step("notices", PYTHON, "tools/notices.py", "--check", go_on=True)
    step("tests of the crates", "cargo", "test", "--locked", "--workspace", "--no-fail-fast", go_on=True)
    if live:
        step("live tests", PYTHON, "-m", "pytest", "tests", "-q", "--durations=10", go_on=True)
    finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setup", action="store_true", help="set up, run no tests")
    parser.add_argument("--no-live", action="store_true", help="leave out the tests on live processes")
    parser.add_argument("--system", action="store_true", help="install missing Debian packages (CI=true does)")
    args = parser.parse_args()
    if CI or args.system:
        system_packages()
    set_up()
    if not args.setup:
        run_tests(live=not args.no_live)


if __name__ == "__main__":
    main()
