"""What the debug helpers do when they are switched on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from types import FrameType, TracebackType
from typing import Any

from . import _core, _operations, _tasks
from ._output import chosen, emit, settings
from ._trace import collect_async_trace


def debug_async_trace(label: object = "", *, sample: float | None = None) -> None:
    if chosen(sample):
        _trace(label)


def debug_database_call(name: object) -> None:
    if chosen():
        _trace(f"database call: {name}")


def debug_http_request(name: object) -> None:
    if chosen():
        _trace(f"HTTP request: {name}")


def _trace(label: object) -> None:
    trace = collect_async_trace(settings.all_frames)
    frames = trace["frames"]
    lines = [f"🔍 {label}", *format_path(frames)]
    facts: dict[str, Any] = {
        "label": label,
        "task": task_name(trace["current_task"]),
        "frames": plain(frames),
    }
    cut = cut_off(sys.exc_info()[1])
    if cut:
        lines += ["⏱ the await was cut off here:", *format_path(cut)]
        facts["cut_off"] = plain(cut)
    emit("trace", lines, **facts)


def debug_before_await(name: object) -> None:
    frame = sys._getframe(1)
    _operations.begin(name, frame)
    if chosen():
        place = _place(frame)
        emit("before_await", [f"⏳ before await: {name}, {place}"], name=name, **_facts(frame))


def debug_after_await(name: object) -> None:
    frame = sys._getframe(1)
    elapsed = _operations.end(name)
    if not chosen():
        return
    if elapsed is None:
        took = "begin not seen"
    else:
        took = f"took {duration(elapsed)}"
    emit(
        "after_await",
        [f"⌛ after await: {name}, {took}, {_place(frame)}"],
        name=name,
        elapsed_s=elapsed,
        **_facts(frame),
    )


def debug_task_creation() -> None:
    if not chosen():
        return
    sites = _tasks.creation_sites()
    emit("task_creation", ["🔍 tasks by place of creation", *_tasks.format_sites(sites)], sites=sites)


def implement() -> None:
    """Hand these functions to the native switches of ``async_trace.debug``."""
    for function in (
        debug_async_trace,
        debug_before_await,
        debug_after_await,
        debug_database_call,
        debug_http_request,
        debug_task_creation,
        _tasks.log_task_info,
    ):
        _core.implement(function.__name__, function)


def format_path(frames: Iterable[dict[str, Any]]) -> list[str]:
    """The lines of a call path, innermost first, in the form of the integration guide."""
    lines = []
    shown = list(frames)
    # The task at the root has no place and is said by its first line already.
    if len(shown) > 1 and shown[-1]["line"] is None:
        shown.pop()
    for indent, frame in enumerate(shown):
        start = "  " * indent + "↑ "
        mark = " [EXECUTOR]" if frame["is_executor"] else ""
        if frame["line"] is None:
            lines.append(start + frame["name"] + mark)
            continue
        where = f"at line {frame['line']} [{os.path.basename(frame['filename'] or '?')}]{mark}"
        if frame["task"] is None:
            lines.append(f"{start}{frame['name']}() {where}")
        else:
            lines.append(f"{start}{task_name(frame['task'])} created {where}")
    return lines


def plain(frames: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Frames for JSON: tasks by their names."""
    return [
        {
            "name": frame["name"],
            "line": frame["line"],
            "filename": frame["filename"],
            "task": task_name(frame["task"]),
            "is_executor": frame["is_executor"],
        }
        for frame in frames
    ]


def task_name(task: Any) -> str | None:
    return None if task is None else str(task.get_name())


def duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _place(frame: FrameType) -> str:
    name = os.path.basename(frame.f_code.co_filename)
    text = f"{frame.f_code.co_name}() at line {frame.f_lineno} [{name}]"
    task = _tasks.current_task()
    return text if task is None else f"{text}, {task.get_name()}"


def _facts(frame: FrameType) -> dict[str, Any]:
    return {
        "task": task_name(_tasks.current_task()),
        "function": frame.f_code.co_name,
        "line": frame.f_lineno,
        "filename": frame.f_code.co_filename,
    }


def cut_off(exception: BaseException | None) -> list[dict[str, Any]]:
    """Where an await was when a timeout or cancellation cut it off: frames, innermost first.

    ``exception`` is the TimeoutError or CancelledError that is being handled. The place is in the
    traceback of the CancelledError behind it.
    """
    if not isinstance(exception, (asyncio.TimeoutError, TimeoutError, asyncio.CancelledError)):
        return []
    best: list[dict[str, Any]] = []
    seen: set[int] = set()
    todo: list[BaseException | None] = [exception]
    cancelled = False
    while todo and len(seen) < 50:
        error = todo.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        todo += [error.__cause__, error.__context__]
        if isinstance(error, asyncio.CancelledError):
            cancelled = True
            frames = _traceback_frames(error.__traceback__)
            if len(frames) > len(best):
                best = frames
    # What ran in a task of its own (wait_for, until 3.11) was awaited by the code that catches.
    caught = _traceback_frames(exception.__traceback__)
    if cancelled and caught and (not best or best[-1]["name"] != caught[-1]["name"]):
        best += [dict(frame, indent=len(best) + depth) for depth, frame in enumerate(caught)]
    return best


def _traceback_frames(traceback: TracebackType | None) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if settings.all_frames or _core.is_own(code):
            frames.append(
                {
                    "name": code.co_name,
                    "line": traceback.tb_lineno,
                    "filename": code.co_filename,
                    "indent": 0,
                    "task": None,
                    "is_executor": False,
                }
            )
        traceback = traceback.tb_next
    frames.reverse()
    for indent, frame in enumerate(frames):
        frame["indent"] = indent
    return frames
