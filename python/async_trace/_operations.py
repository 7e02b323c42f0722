"""Operations that were announced and are not over, and the watch that reports old ones by itself."""

import functools
import inspect
import os
import sys
import threading
import time

from . import _core
from ._output import emit, settings

_lock = threading.Lock()
_watching = False


def begin(name, frame):
    """Note that the operation ``name`` begins in ``frame``; returns what ``_core.end_operation`` wants."""
    started = time.monotonic_ns()
    entry = _core.begin_operation(str(name), frame.f_code, frame.f_lasti, started, threading.get_native_id())
    if not _watching and settings.pending_after:
        _watch()
    return entry, started


def end(name):
    """End the newest operation of that name in this task; returns its seconds, None if there is none."""
    found = _core.find_operation(str(name), threading.get_native_id())
    if found is None:
        return None
    entry, started = found
    _core.end_operation(entry, started)
    return (time.monotonic_ns() - started) / 1e9


def pending(older_than=0.0):
    """Operations that are not over, oldest first: dicts with ``name``, ``age_s``, ``task`` and place."""
    now = time.monotonic_ns()
    found = []
    for entry, task, started, name, (function, filename, line) in _core.operations(now - int(older_than * 1e9)):
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
    found.sort(key=lambda operation: operation["started_ns"])
    return found


def describe(operation):
    """A pending operation in a line."""
    name = os.path.basename(operation["filename"])
    text = (
        f"{operation['name']}: pending for {operation['age_s']:.1f} s, "
        f"{operation['function']}() at line {operation['line']} [{name}]"
    )
    task = operation["task"]
    return text if task is None else f"{text}, {task.get_name()}"


def facts(operation):
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


def _watch():
    """Start the thread that reports old operations; it ends when none is pending."""
    global _watching
    with _lock:
        if _watching:
            return
        _watching = True
    threading.Thread(target=_report_old, name="async-trace", daemon=True).start()


def _report_old():
    global _watching
    reported = set()
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


def _after_fork():
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

    def __init__(self, name):
        self.name = name
        self._begun = []

    def __enter__(self):
        self._enter(sys._getframe(1))
        return self

    def __exit__(self, *exc_info):
        begun = self._begun.pop()
        if begun is not None:
            entry, started = begun
            if entry is not None:
                _core.end_operation(entry, started)
        return False

    async def __aenter__(self):
        self._enter(sys._getframe(1))
        return self

    async def __aexit__(self, *exc_info):
        return self.__exit__(*exc_info)

    def _enter(self, frame):
        self._begun.append(begin(self.name, frame) if _core.helpers_on() else None)

    def __call__(self, function):
        name = self.name
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                async with operation(name):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                with operation(name):
                    return function(*args, **kwargs)

        return wrapper
