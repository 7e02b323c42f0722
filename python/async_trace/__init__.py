"""The traceback for async code: the call path of a task, across the tasks that led to it.

    from async_trace import print_trace

    async def worker():
        print_trace()

Importing this package, or using one of its functions, switches tracing on. Importing only
``async_trace.debug`` does not: then the flag ``--async-trace`` or ``ASYNC_TRACE=1`` decides.
``ASYNC_TRACE=0`` keeps tracing off until ``enable_tracing()`` is called.
"""

from __future__ import annotations

import os as _os
import sys as _sys
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from . import _activate, _tracing
from . import _trace as _implementation
from ._own import check, dump, snapshot
from ._tracing import is_tracing

if _TYPE_CHECKING:
    from ._trace import collect_async_trace, print_async_trace, print_trace
    from ._tracing import disable_tracing, enable_tracing

__version__ = "0.2.0"

__all__ = [
    "collect_async_trace",
    "print_async_trace",
    "print_trace",
    "enable_tracing",
    "disable_tracing",
    "is_tracing",
    "check",
    "dump",
    "snapshot",
]

_HOMES: dict[str, _Any] = {
    "collect_async_trace": _implementation,
    "print_async_trace": _implementation,
    "print_trace": _implementation,
    "enable_tracing": _tracing,
    "disable_tracing": _tracing,
}


def _switch_on() -> None:
    globals().update({name: getattr(home, name) for name, home in _HOMES.items()})
    if _activate.wanted_by_environment() is not False:
        _activate.enable_or_warn()


def __getattr__(name: str) -> _Any:
    # Only reached while nothing but a submodule has been asked for.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _switch_on()
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))


_LOADER_OF_PYTEST = _os.path.join("_pytest", "assertion", "rewrite.py")


def _only_for_submodule() -> bool:
    """Whether the import system loads this package because somebody imports a module inside of it."""
    frame = _sys._getframe(1) if hasattr(_sys, "_getframe") else None
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
        file = frame.f_code.co_filename
        # pytest loads its plugins with a loader of its own.
        if not file.startswith("<frozen importlib") and not file.endswith(_LOADER_OF_PYTEST):
            return False
        if frame.f_code.co_name == "_find_and_load" and frame.f_locals.get("name", "").startswith(
            __name__ + "."
        ):
            return True
    return False


if not _only_for_submodule():
    _switch_on()
