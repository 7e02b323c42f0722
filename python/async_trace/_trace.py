"""The call path of the running task, across the tasks and threads that led to it."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, TextIO

from . import _core, _tracing
from ._executor import calling_code


class FinishedTask:
    """Stands in a trace for a task that is gone: only its name is left."""

    __slots__ = ("_name",)

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    def get_name(self) -> str:
        """The name that the task had, or a description."""
        return "a finished task" if self._name is None else self._name

    def done(self) -> bool:
        """True: it is not there any more."""
        return True

    def cancelled(self) -> bool:
        """False: how it ended is not known."""
        return False

    def __repr__(self) -> str:
        return f"<FinishedTask {self.get_name()!r}>"


def collect_async_trace(all_frames: bool = False) -> dict[str, Any]:
    """Collect the call path of the running task, innermost frame first.

    Returns a dict:

    ``frames``
        a list of dicts with ``name`` (function, or task where no place is known), ``line`` and
        ``filename`` (None for a task without a place), ``indent`` (0 is innermost), ``task`` (the task
        that this line created, else None) and ``is_executor`` (this line handed work to a thread).
        A task that is gone is a stand-in with ``get_name()`` and ``done()``.
    ``current_task``
        the running task; in an executor's thread the task that waits for it; else None.
    ``in_executor``
        whether this is an executor's thread that a task waits for.

    Only the user's frames are listed; ``all_frames`` adds those of libraries and of asyncio.
    """
    if not _tracing.learned and _tracing.learn() is not None:
        return _without_hook(sys._getframe(1))
    trace = _core.collect(all_frames)
    if trace["current_task"] is None:
        caller = calling_code(sys._getframe(1))
        if caller is not None:
            return _core.collect(all_frames, caller)
    return trace


def _without_hook(start: FrameType) -> dict[str, Any]:
    """What can be said where the hook refuses: the stack, and the running task's name."""
    import asyncio

    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    frame: FrameType | None = start
    frames = []
    runners = ("asyncio/base_events.py", "asyncio/events.py", "asyncio/runners.py")
    while frame is not None:
        code = frame.f_code
        if code.co_filename == __file__:
            pass
        elif not code.co_filename.endswith(runners):
            frames.append(_frame(code.co_name, frame.f_lineno, code.co_filename, None))
        elif task is not None:
            break
        frame = frame.f_back
    if task is not None:
        frames.append(_frame(task.get_name(), None, None, task))
    for indent, entry in enumerate(frames):
        entry["indent"] = indent
    return {"frames": frames, "current_task": task, "in_executor": False}


def _frame(name: str, line: int | None, filename: str | None, task: Any) -> dict[str, Any]:
    return {
        "name": name,
        "line": line,
        "filename": filename,
        "indent": 0,
        "task": task,
        "is_executor": False,
    }


def print_async_trace(trace_data: dict[str, Any]) -> None:
    """Print what ``collect_async_trace`` returned to standard output, innermost frame first."""
    write("\n".join(format_trace(trace_data)))


def format_trace(trace_data: dict[str, Any]) -> list[str]:
    """The lines that ``print_async_trace`` prints."""
    lines = []
    for frame in trace_data["frames"]:
        mark = " [EXECUTOR]" if frame.get("is_executor", False) else ""
        start = "  " * frame["indent"] + "↑ " + frame["name"]
        if frame["line"] is None:
            lines.append(start + mark)
        else:
            place = f" [{frame['filename']}]" if frame.get("filename") else ""
            lines.append(f"{start}() at line {frame['line']}{place}{mark}")
    return lines


def print_trace(all_frames: bool = False) -> None:
    """Print the call path of the running task to standard output, innermost frame first.

    ``all_frames`` adds the frames of libraries and of asyncio.
    """
    print_async_trace(collect_async_trace(all_frames))


def write(text: str, stream: TextIO | None = None) -> None:
    """Print lines at once, in any encoding."""
    if not text:
        return
    if stream is None:
        stream = sys.stdout
        if stream is None:
            return
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
