"""Makes the objects from which the native hook learns how this interpreter lays out its memory."""

from __future__ import annotations

import asyncio
import sys
import types
from importlib import import_module
from types import FrameType
from typing import Any, Callable

from . import _core

# Only after asyncio: the other way round it ends up there twice.
_asyncio: Any = import_module("_asyncio")


class _Loop:
    """All that a future and a task ask of their loop when they are made."""

    def __init__(self, debug: bool) -> None:
        self._debug = debug

    def get_debug(self) -> bool:
        return self._debug

    def call_soon(self, callback: object, *args: object, context: object = None) -> None:
        pass

    def call_exception_handler(self, context: object) -> None:
        return None

    def is_running(self) -> bool:
        return False

    def is_closed(self) -> bool:
        return False


async def _nothing() -> None:
    return None


def make_task(task_type: Any = _asyncio.Task) -> tuple[Any, Any]:
    """A task that nobody will run or miss, and its coroutine."""
    coroutine = _nothing()
    # A name of its own: the numbers of the program's tasks stay as they are.
    task = task_type(coroutine, loop=_Loop(debug=False), name="async-trace probe")
    task._log_destroy_pending = False
    return task, coroutine


def verify() -> str:
    """Why the hook does not do what it should, now that it is in place; empty when it does."""
    task, coroutine = make_task()
    try:
        kept = task._source_traceback  # false, as outside of debug mode
        stack = [] if kept is None else list(kept)
        if not stack or stack[-1][0] != make_task.__code__.co_filename or stack[-1][2] != make_task.__name__:
            return "the hook is not called when a task is created"
        caller = stack[-2]
        if caller[1:3] != (verify.__code__.co_firstlineno + 2, verify.__name__):
            return "the hook sees other frames than Python does"
        return ""
    finally:
        forget_task(coroutine)


def forget_task(coroutine: Any) -> None:
    """Ends the coroutine of a task of ``make_task`` before Python can complain about it."""
    coroutine.close()


def _stack() -> list[tuple[int, int]]:
    """Code object (its address) and instruction of each frame, the caller's first."""
    frame: FrameType | None = sys._getframe(1)
    stack = []
    while frame is not None:
        stack.append((id(frame.f_code), frame.f_lasti))
        frame = frame.f_back
    return stack


async def _learn(objects: dict[str, Any]) -> None:
    objects["running"] = objects.pop("self")[0]
    objects["stack"] = _stack()
    _core.learn(objects)


def learn() -> None:
    """Teach the native hook this interpreter's layout.

    Raises RuntimeError, with the reason, when the layout is not one that the hook knows.
    """
    future = _asyncio.Future(loop=_Loop(debug=True))
    task, coroutine = make_task()
    objects: dict[str, Any] = {
        "task_type": _asyncio.Task,
        "init": _asyncio.Task.__init__,
        "name": task.get_name(),
        "future": future,
        "traceback": future._source_traceback,
        "task": task,
        "coroutine": coroutine,
        "coroutine_type": types.CoroutineType,
        "generator_type": types.GeneratorType,
        # Until 3.13 the running tasks are in a dict; since 3.14 in the state of their thread.
        "current_tasks": getattr(_asyncio, "_current_tasks", None),
        "running_loop": _asyncio._get_running_loop,
        "current": task,
    }
    # The coroutine that runs is compared with the frame that runs it.
    learning = _learn(objects)
    objects["self"] = [learning]
    leave = None
    try:
        if objects["current_tasks"] is None:
            leave = _enter(objects)
        learning.send(None)
    except StopIteration:
        pass
    finally:
        if leave is not None:
            leave()
        learning.close()
        objects.clear()
        forget_task(coroutine)


def _enter(objects: dict[str, Any]) -> Callable[[], None] | None:
    """Make a task the running one of this thread, if none is; returns what undoes it."""
    running = _asyncio._get_running_loop()
    if running is not None:
        current = asyncio.current_task()
        if current is not None:
            objects["current"] = current
            return None
    loop = _Loop(debug=False)
    task = objects["current"]
    _asyncio._set_running_loop(loop)
    _asyncio._enter_task(loop, task)

    def leave() -> None:
        _asyncio._leave_task(loop, task)
        _asyncio._set_running_loop(running)

    return leave
