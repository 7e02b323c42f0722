"""The ``async-trace`` command, and ``python -m async_trace script.py``.

``async-trace run`` starts a program with tracing on, without any change to it; everything else is the
command line in Rust. ``python -m async_trace`` takes a script (or ``-m module``) as ``python`` does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping


def main() -> int:
    """Run the command line with ``sys.argv`` and return its exit status."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and not _asks_for_help(arguments[1:]):
        return _run(arguments[1:])
    from . import _core

    # Python only notes a Ctrl-C and acts on it between bytecodes, of which there are none here.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _core.run_cli(["async-trace", *arguments])


def _asks_for_help(arguments: list[str]) -> bool:
    return arguments[:1] in (["--help"], ["-h"])


def _run(command: list[str]) -> int:
    """Replace this process by ``command``, with tracing in it and in all Python processes it starts."""
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        return _fail("there is no command to run", "no-command")
    environment = traced_environment(os.environ)
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        return _fail(f"{command[0]} cannot be started: {error.strerror}", "command-not-started")


def _fail(what: str, code: str) -> int:
    print(f"error: {what} [{code}]", file=sys.stderr)
    print("hint: give the command as in a shell: async-trace run -- python server.py", file=sys.stderr)
    return 2


def traced_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` such that every Python process started with it has tracing on."""
    changed = dict(environment)
    start = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_start")
    others = [part for part in changed.get("PYTHONPATH", "").split(os.pathsep) if part and part != start]
    changed["PYTHONPATH"] = os.pathsep.join([start, *others])
    changed["ASYNC_TRACE"] = "1"
    return changed


def run_program(arguments: list[str]) -> None:
    """Run a script, or with ``-m`` a module, in this process with tracing on."""
    import runpy

    from . import _activate

    # Children that are started afresh (workers of a server) get it, too.
    os.environ.update(traced_environment(os.environ))
    _activate.enable_or_warn()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(arguments)
        sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")


def _is_program(arguments: list[str]) -> bool:
    if not arguments:
        return False
    if arguments[0] == "-m":
        return len(arguments) > 1
    return (
        arguments[0].endswith((".py", ".pyz")) or os.path.isfile(arguments[0]) or os.path.isdir(arguments[0])
    )


if __name__ == "__main__":
    if _is_program(sys.argv[1:]):
        run_program(sys.argv[1:])
    else:
        sys.exit(main())
