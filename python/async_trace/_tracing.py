"""Tracing on and off: the hook in the task types, and what comes and goes with it."""

from __future__ import annotations

import os
import sys
import threading

_lock = threading.RLock()
_enabled = False
_refused: str | None = None
learned = False


def _task_types(base: type) -> list[type]:
    """``base`` and all its subclasses that exist."""
    found: list[type] = []
    todo = [base]
    while todo:
        kind = todo.pop()
        if kind not in found:
            found.append(kind)
            todo.extend(type.__subclasses__(kind))
    return found


def learn() -> str | None:
    """Let the native half learn this interpreter's layout; returns why it cannot, or None."""
    global _refused, learned
    with _lock:
        if _refused is None:
            _refused = _learn()
            learned = not _refused
        return _refused or None


def _learn() -> str:
    # asyncio first: imported the other way round, _asyncio ends up there twice.
    import asyncio.tasks

    try:
        import _asyncio
    except ImportError:
        return "this Python has no _asyncio module"
    if getattr(asyncio.tasks, "_CTask", None) is not _asyncio.Task:
        return "asyncio does not use the tasks of its _asyncio module"
    if sys.implementation.name != "cpython":
        return "this is not CPython"
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "free-threaded builds of Python are not supported"
    from . import _probe

    try:
        _probe.learn()
    except RuntimeError as error:
        return str(error)
    return ""


def enable_tracing() -> None:
    """Note from now on where tasks are created (importing ``async_trace`` has done it already).

    Safe to call again, and from any thread.

    Raises RuntimeError, with the reason, on an interpreter whose layout is not known.
    """
    global _enabled
    with _lock:
        if _enabled:
            return
        reason = learn()
        if reason is not None:
            raise RuntimeError("async-trace cannot trace this interpreter: " + reason)
        import _asyncio

        from . import _core, _executor, _probe, _reports

        kinds = _task_types(_asyncio.Task)
        _core.install(kinds[0], _asyncio.Task.__init__, kinds[1:])
        reason = _probe.verify()
        if reason:
            _core.remove(kinds[0], _asyncio.Task.__init__, kinds[1:])
            raise RuntimeError("async-trace cannot trace this interpreter: " + reason)
        _executor.install()
        _reports.install()
        _core.set_helpers(True)
        _enabled = True


def disable_tracing() -> None:
    """Put everything back as it was before ``enable_tracing``; the debug helpers become no-ops.

    Tasks that exist keep what is known of them. Safe to call again, and from any thread.
    """
    global _enabled
    with _lock:
        if not _enabled:
            return
        import _asyncio

        from . import _core, _executor, _reports

        kinds = _task_types(_asyncio.Task)
        _core.remove(kinds[0], _asyncio.Task.__init__, kinds[1:])
        _executor.remove()
        _reports.remove()
        _core.set_helpers(False)
        _enabled = False


def is_tracing() -> bool:
    """Whether tracing is on."""
    return _enabled


def _after_fork() -> None:
    # The child has one thread, and it may have forked while another one held the lock.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
