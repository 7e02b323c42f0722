"""This process, seen with the engine that reads other processes."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from . import _core
from ._trace import write


def snapshot() -> dict[str, Any]:
    """All tasks, threads, loops and resources of this process, as ``async-trace dump --json`` gives them.

    Returns a dict (``schema`` 1). Takes some milliseconds, in which no Python code runs.

    Raises RuntimeError where the process cannot be read.
    """
    found: dict[str, Any] = json.loads(_core.dump_json())
    return found


def dump(file: TextIO | None = None, *, all_frames: bool = False, threads: bool = False) -> None:
    """Print what every task of this process does and waits for, to standard error or ``file``.

    ``all_frames`` adds the frames of libraries, ``threads`` the idle threads.

    Raises RuntimeError where the process cannot be read.
    """
    write(_core.dump_text(all_frames, threads).rstrip("\n"), sys.stderr if file is None else file)


class Findings(list["dict[str, Any]"]):
    """Findings as dicts (see ``async-trace check --json``); printed, they read as the command's text."""

    def __init__(self, findings: list[dict[str, Any]], text: str) -> None:
        super().__init__(findings)
        self._text = text

    def __str__(self) -> str:
        return self._text


def check(seconds: float = 0.0) -> Findings:
    """Say what is wrong in this process: deadlocks, leaks, blocked loops and more.

    ``seconds`` is how long to look. It blocks the calling thread: in a program that runs, call it in a
    thread of its own (``await asyncio.to_thread(check, 2)``). One look (0) cannot know what time shows.

    Returns a list of findings, empty when nothing was found; each is a dict with ``check``,
    ``severity``, ``certainty``, ``summary``, ``evidence`` and ``try``.

    Raises RuntimeError where the process cannot be read, ValueError for a negative time.
    """
    report, text = _core.check(seconds)
    return Findings(json.loads(report)["findings"], text.rstrip("\n"))
