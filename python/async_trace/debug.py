"""The helpers of the integration guide.

They print while tracing is on (``--async-trace``, ``ASYNC_TRACE=1``, ``enable_tracing()``) and cost
next to nothing while it is off. ``configure`` chooses where they print, and how often.
"""

from __future__ import annotations

from typing import Any

from . import _activate, _helpers
from ._core import (
    debug_after_await,
    debug_async_trace,
    debug_before_await,
    debug_database_call,
    debug_http_request,
    debug_task_creation,
    log_task_info,
)
from ._operations import operation
from ._output import configure
from ._trace import collect_async_trace

__all__ = [
    "configure",
    "debug_after_await",
    "debug_async_trace",
    "debug_before_await",
    "debug_database_call",
    "debug_http_request",
    "debug_task_creation",
    "get_async_trace_data",
    "log_task_info",
    "operation",
]


def get_async_trace_data() -> dict[str, Any]:
    """The call path of the running task as data: see ``async_trace.collect_async_trace``."""
    return collect_async_trace()


_helpers.implement()
_activate.from_arguments()
