"""Which task waits for the work that the calling thread does."""

import functools
import gc
import sys
from concurrent.futures import Future as _ThreadFuture

# How many futures may lie between a thread's work and the task: gather, shield, wait_for, ...
_MAX_HOPS = 6


def waiting_task(frame):
    """The task that waits for this thread's job, and its await chain, innermost first.

    ``frame`` is any frame of the thread. The chain is a list of (code object, ``f_lasti``). Returns
    None when the thread does not work for a task.
    """
    future = _job(frame)
    if future is None:
        return None
    task = _task_behind(future)
    if task is None:
        return None
    return task, await_chain(task)


def _job(frame):
    """The future that the thread's work will complete."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "run":
            if code.co_filename.endswith("concurrent/futures/thread.py"):
                return getattr(_local(frame, "self"), "future", None)
            if code.co_filename.endswith("anyio/_backends/_asyncio.py"):
                return _local(frame, "future")
        frame = frame.f_back
    return None


def _local(frame, name):
    variables = frame.f_locals
    value = variables.get(name)
    if sys.version_info < (3, 13):
        # A copy that the frame keeps: it would keep alive what the function lets go.
        variables.clear()
    return value


def _task_behind(future):
    """The task that is woken when ``future`` is done, through the futures between them."""
    import asyncio

    seen, todo = set(), [future]
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


def _callbacks(future):
    if isinstance(future, _ThreadFuture):
        return list(future._done_callbacks)
    return [entry[0] for entry in getattr(future, "_callbacks", None) or ()]


def _targets(callback):
    """What a done callback will complete or wake."""
    if isinstance(callback, functools.partial):
        return list(callback.args)
    owner = getattr(callback, "__self__", None)
    if owner is not None:
        return [owner]
    cells = getattr(callback, "__closure__", None)
    if cells is not None:
        names = callback.__code__.co_freevars
        return [_content(cell) for name, cell in zip(names, cells) if name not in ("source", "children", "fs")]
    # 3.9: a wrapper that does not tell its task in any other way.
    return gc.get_referents(callback) if type(callback).__name__ == "TaskWakeupMethWrapper" else []


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return None


def await_chain(task):
    """Where a suspended task is: (code object, ``f_lasti``) of its coroutines, innermost first."""
    chain, awaited = [], task.get_coro()
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
