"""Operations that were announced and are not over, and the watch that reports old ones by itself."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Callable, TypeVar

from . import _core
from ._output import emit, settings

_Function = TypeVar("_Function", bound=Callable[..., Any])

_lock = threading.Lock()
_watching = False


def begin(name: object, frame: FrameType) -> tuple[int | None, int]:
    """Note that the operation ``name`` begins in ``frame``; returns what ``_core.end_operation`` wants."""
    started = time.monotonic_ns()
    entry = _core.begin_operation(str(name), frame.f_code, frame.f_lasti, started, threading.get_native_id())
    if not _watching and settings.pending_after:
        _watch()
    return entry, started


def end(name: object) -> float | None:
    """End the newest operation of that name in this task; returns its seconds, None if there is none."""
    found = _core.find_operation(str(name), threading.get_native_id())
    if found is None:
        return None
    entry, started = found
    _core.end_operation(entry, started)
    return (time.monotonic_ns() - started) / 1e9


def pending(older_than: float = 0.0) -> list[dict[str, Any]]:
    """Operations that are not over, oldest first: dicts with ``name``, ``age_s``, ``task`` and place."""
    now = time.monotonic_ns()
    found = []
    for entry, task, started, name, (function, filename, line) in _core.operations(
        now - int(older_than * 1e9)
    ):
        if task is not None and task.done():
            continue
        found.append(
            {
                "entry": entry,
                "started_ns": started,
                "name": name,
                "age_s": (now - started) / 1e9,
                "task": task,
                "function": function,
                "filename": filename,
                "line": line,
            }
        )
    found.sort(key=_begin_of)
    return found


def _begin_of(operation: dict[str, Any]) -> int:
    began: int = operation["started_ns"]
    return began


def describe(operation: dict[str, Any]) -> str:
    """A pending operation in a line."""
    name = os.path.basename(operation["filename"])
    text = (
        f"{operation['name']}: pending for {operation['age_s']:.1f} s, "
        f"{operation['function']}() at line {operation['line']} [{name}]"
    )
    task = operation["task"]
    return text if task is None else f"{text}, {task.get_name()}"


def facts(operation: dict[str, Any]) -> dict[str, Any]:
    """A pending operation for JSON."""
    task = operation["task"]
    return {
        "name": operation["name"],
        "age_s": operation["age_s"],
        "task": None if task is None else task.get_name(),
        "function": operation["function"],
        "filename": operation["filename"],
        "line": operation["line"],
    }


def _watch() -> None:
    """Start the thread that reports old operations; it ends when none is pending."""
    global _watching
    with _lock:
        if _watching:
            return
        _watching = True
    threading.Thread(target=_report_old, name="async-trace", daemon=True).start()


def _report_old() -> None:
    global _watching
    reported: set[tuple[int, int]] = set()
    idle = 0
    while True:
        threshold = settings.pending_after
        time.sleep(min(max(threshold / 5, 0.02), 1.0))
        found = pending()
        known = {(operation["entry"], operation["started_ns"]) for operation in found}
        reported &= known
        # A while without any, so that a program of many short operations does not start many threads.
        idle = 0 if found else idle + 1
        if not threshold or idle > 20:
            with _lock:
                _watching = False
            return
        for operation in found:
            key = (operation["entry"], operation["started_ns"])
            if operation["age_s"] >= threshold and key not in reported:
                reported.add(key)
                emit("pending_operation", [f"⏳ {describe(operation)}"], **facts(operation))


def _after_fork() -> None:
    # Threads do not come along.
    global _watching, _lock
    _lock = threading.Lock()
    _watching = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class operation:
    """An operation with a name, pending while it runs: a context manager and a decorator.

        async with operation("user lookup"):
            ...

        @operation("user lookup")
        async def find(user_id): ...

    Does nothing while tracing is off. Prints nothing by itself; what stays pending too long is
    reported, and seen by ``log_task_info()`` and from outside.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._begun: list[tuple[int | None, int] | None] = []

    def __enter__(self) -> operation:
        self._enter(sys._getframe(1))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        begun = self._begun.pop()
        if begun is not None:
            entry, started = begun
            if entry is not None:
                _core.end_operation(entry, started)

    async def __aenter__(self) -> operation:
        self._enter(sys._getframe(1))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _enter(self, frame: FrameType) -> None:
        self._begun.append(begin(self.name, frame) if _core.helpers_on() else None)

    def __call__(self, function: _Function) -> _Function:
        wrapper: Any
        name = self.name
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                async with operation(name):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with operation(name):
                    return function(*args, **kwargs)

        traced: _Function = wrapper
        return traced
