"""The traceback for async code: the call path of a task, across the tasks that led to it.

Importing the package switches tracing on; ``async_trace.debug`` has the helpers.

    from async_trace import print_trace

    async def worker():
        print_trace()
"""

from ._trace import collect_async_trace, print_async_trace, print_trace
from ._tracing import disable_tracing, enable_tracing

__version__ = "0.2.0"

__all__ = [
    "collect_async_trace",
    "print_async_trace",
    "print_trace",
    "enable_tracing",
    "disable_tracing",
]

enable_tracing()
