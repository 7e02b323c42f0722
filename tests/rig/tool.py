"""The tool under test: the native `async-trace`."""

import functools
import json
import os
import re
import subprocess

from .interpreters import ROOT


@functools.cache
def binary():
    """The path of a fresh release build; ASYNC_TRACE_BIN names another one."""
    given = os.environ.get("ASYNC_TRACE_BIN")
    if given:
        return os.path.abspath(given)
    build = subprocess.run(
        ["cargo", "build", "--release", "--locked", "-p", "async-trace", "--bin", "async-trace",
         "--message-format=json-render-diagnostics"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in build.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "async-trace":
            return message["executable"]
    raise AssertionError("cargo built no executable async-trace")


def run(*args, env=None, timeout=60, **popen):
    """Runs the tool as a script would: no terminal, 80 columns, no colours asked for."""
    environment = {**os.environ, "COLUMNS": "80"}
    for variable in ("NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "RUST_BACKTRACE"):
        environment.pop(variable, None)
    environment.update(env or {})
    return subprocess.run(
        [binary(), *map(str, args)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
        **popen,
    )


# Generous, because what is tested is what is read; the churn test keeps to the ordinary budget.
UNHURRIED = ("--pause-budget", "2s")


def snapshot(pid, *args):
    """The parsed `dump PID --json`; anything but a clean success fails the test."""
    result = run("dump", pid, "--json", *(args or UNHURRIED))
    assert result.returncode == 0, f"exit {result.returncode}: {result.stderr}"
    assert result.stderr == ""
    return json.loads(result.stdout)


def dump(pid, *args, columns=80):
    """The text of `dump PID`; anything but a clean success fails the test."""
    result = run("dump", pid, "--color", "never", *UNHURRIED, *args, env={"COLUMNS": str(columns)})
    assert result.returncode == 0, f"exit {result.returncode}: {result.stderr}"
    assert result.stderr == ""
    return result.stdout


ERROR = re.compile(r"\Aerror: (?P<error>[^\n]+) \[(?P<code>[a-z-]+)\]\nhint: (?P<hint>[^\n]+)\n\Z")


def failure(*args, **kwargs):
    """Runs the tool where it cannot do its work: returns the code and the whole text of its error."""
    result = run(*args, **kwargs)
    assert result.returncode == 2, f"exit {result.returncode}: {result.stderr or result.stdout}"
    assert result.stdout == ""
    parsed = ERROR.match(result.stderr)
    assert parsed, f"not of the form error/hint/[code]: {result.stderr!r}"
    return parsed["code"], result.stderr
