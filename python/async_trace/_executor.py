"""Which task waits for the work that the calling thread does."""

from __future__ import annotations

import functools
import gc
import sys
from concurrent.futures import Future as _ThreadFuture
from concurrent.futures import thread as _thread
from types import CodeType, FrameType
from typing import Any

from . import _core

# How many futures may lie between a thread's work and the task: gather, shield, wait_for, ...
_MAX_HOPS = 6

_Chain = list[tuple[CodeType, int]]

_original: Any = None


def install() -> None:
    """Note with each job for a thread pool which code hands it over."""
    global _original
    if _original is not None:
        return
    _original = original = _thread._WorkItem

    class _WorkItem(original):  # type: ignore[valid-type,misc]
        def __init__(self, future: Any, *job: Any) -> None:
            original.__init__(self, future, *job)
            self._async_trace = _core.here()

    _WorkItem.__module__ = original.__module__
    _WorkItem.__qualname__ = original.__qualname__
    _thread._WorkItem = _WorkItem  # type: ignore[misc,assignment]


def remove() -> None:
    """Put the pool's own class back, unless somebody has replaced ours."""
    global _original
    if _original is not None and _original in _thread._WorkItem.__bases__:
        _thread._WorkItem = _original  # type: ignore[misc]
    _original = None


def calling_code(frame: FrameType | None) -> Any:
    """The code that handed its job to the thread of ``frame``, as ``_core.collect`` wants it.

    That is the note that was made when a thread pool got the job, or else (anyio's threads, jobs from
    before tracing) the task that waits for it with its await chain, innermost first. Returns None when
    the thread does not work for a task.
    """
    while frame is not None:
        code = frame.f_code
        if code.co_name == "run":
            if code.co_filename.endswith("concurrent/futures/thread.py"):
                item = _local(frame, "self")
                note = getattr(item, "_async_trace", None)
                if note is not None:
                    return note
                if hasattr(item, "future"):
                    return _waiting(item.future)
            if code.co_filename.endswith("anyio/_backends/_asyncio.py"):
                scope = _local(frame, "cancel_scope")
                return _waiting(_local(frame, "future"), getattr(scope, "_host_task", None))
        frame = frame.f_back
    return None


def _waiting(future: Any, task: Any = None) -> tuple[Any, _Chain] | None:
    """The task behind a future, and its await chain."""
    if task is None and future is not None:
        task = _task_behind(future)
    return None if task is None else (task, await_chain(task))


def _local(frame: FrameType, name: str) -> Any:
    variables = frame.f_locals
    value = variables.get(name)
    if sys.version_info < (3, 13):
        # A copy that the frame keeps: it would keep alive what the function lets go.
        variables.clear()
    return value


def _task_behind(future: Any) -> Any:
    """The task that is woken when ``future`` is done, through the futures between them."""
    import asyncio

    seen: set[int] = set()
    todo = [future]
    for _ in range(_MAX_HOPS):
        found = []
        for item in todo:
            for callback in _callbacks(item):
                for thing in _targets(callback):
                    if isinstance(thing, asyncio.Task):
                        return thing
                    if asyncio.isfuture(thing) and id(thing) not in seen:
                        seen.add(id(thing))
                        found.append(thing)
        todo = found
    return None


def _callbacks(future: Any) -> list[Any]:
    if isinstance(future, _ThreadFuture):
        return list(vars(future)["_done_callbacks"])
    return [entry[0] for entry in getattr(future, "_callbacks", None) or ()]


def _targets(callback: Any) -> list[Any]:
    """What a done callback will complete or wake."""
    if isinstance(callback, functools.partial):
        return list(callback.args)
    owner = getattr(callback, "__self__", None)
    if owner is not None:
        return [owner]
    cells = getattr(callback, "__closure__", None)
    if cells is not None:
        names = callback.__code__.co_freevars
        return [
            _content(cell) for name, cell in zip(names, cells) if name not in ("source", "children", "fs")
        ]
    # 3.9: a wrapper that does not tell its task in any other way.
    return gc.get_referents(callback) if type(callback).__name__ == "TaskWakeupMethWrapper" else []


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def await_chain(task: Any) -> _Chain:
    """Where a task is: (code object, ``f_lasti``) of its coroutines, innermost first."""
    chain: _Chain = []
    awaited = task.get_coro()
    if getattr(awaited, "cr_running", False):
        return _running_chain(awaited.cr_frame)
    while awaited is not None and len(chain) < 1000:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaited, kind + "_frame", None)
            if frame is not None:
                chain.append((frame.f_code, frame.f_lasti))
                awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else kind + "_await", None)
                break
        else:
            break
    chain.reverse()
    return chain


def _running_chain(outermost: FrameType | None) -> _Chain:
    """The frames of the thread that runs the coroutine of the frame ``outermost``."""
    frame: FrameType | None
    for frame in sys._current_frames().values():
        chain: _Chain = []
        while frame is not None:
            chain.append((frame.f_code, frame.f_lasti))
            if frame is outermost:
                return chain
            frame = frame.f_back
    return []
