"""Where the debug helpers write, and how often."""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from ._trace import write

_logger = logging.getLogger("async_trace")
# The program's own random numbers must come out as without us.
_random = random.Random()
_lock = threading.Lock()

_KINDS = ("stdout", "stderr", "logging", "json")


class _Settings:
    output = "stdout"
    stream: TextIO | None = None
    sample = 1.0
    pending_after = 10.0
    all_frames = False


settings = _Settings()


def configure(
    *,
    output: str | None = None,
    stream: TextIO | None = None,
    sample: float | None = None,
    pending_after: float | None = None,
    all_frames: bool | None = None,
) -> None:
    """Choose where the debug helpers write, how often, and what they show.

    ``output``
        ``"stdout"`` (the default), ``"stderr"``, ``"logging"`` (logger ``async_trace``, level INFO) or
        ``"json"`` (one JSON object a line).
    ``stream``
        a text stream to write to instead of standard output or error.
    ``sample``
        the share of helper calls that print, 0 to 1. Pending operations are recorded always.
    ``pending_after``
        seconds after which a pending operation is reported by itself; 0 for never.
    ``all_frames``
        show the frames of libraries and of asyncio too.

    What is not given stays. Raises ValueError for a value that is not allowed.
    """
    if output is not None and output not in _KINDS:
        raise ValueError(f"output must be one of {', '.join(_KINDS)}, not {output!r}")
    if sample is not None and not 0 <= sample <= 1:
        raise ValueError("sample must be between 0 and 1")
    if pending_after is not None and pending_after < 0:
        raise ValueError("pending_after must not be negative")
    if output is not None:
        settings.output = output
        settings.stream = None
    if stream is not None:
        settings.stream = stream
    if sample is not None:
        settings.sample = float(sample)
    if pending_after is not None:
        settings.pending_after = float(pending_after)
    if all_frames is not None:
        settings.all_frames = bool(all_frames)


def configure_from_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Take over ASYNC_TRACE_OUTPUT, ASYNC_TRACE_SAMPLE, ASYNC_TRACE_PENDING and ASYNC_TRACE_ALL_FRAMES."""

    def number(name: str) -> float | None:
        value = environ.get(name)
        if not value:
            return None
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"{name} must be a number, not {value!r}") from None

    configure(
        output=environ.get("ASYNC_TRACE_OUTPUT") or None,
        sample=number("ASYNC_TRACE_SAMPLE"),
        pending_after=number("ASYNC_TRACE_PENDING"),
        all_frames=environ.get("ASYNC_TRACE_ALL_FRAMES", "") not in ("", "0") or None,
    )


def chosen(sample: float | None = None) -> bool:
    """Whether this call is one of those to print."""
    share = settings.sample if sample is None else sample
    return share >= 1 or _random.random() < share


def emit(event: str, lines: list[str], **facts: Any) -> None:
    """Write one event: its lines, or its facts as JSON."""
    output = settings.output
    if output == "logging":
        _logger.info("%s", "\n".join(lines), extra={"async_trace": dict(event=event, **facts)})
        return
    if output == "json":
        record = {"schema": 1, "event": event, "time": time.time(), "pid": os.getpid(), **facts}
        text = json.dumps(record, ensure_ascii=False, default=str)
    else:
        text = "\n".join(lines)
    stream = settings.stream or (sys.stderr if output == "stderr" else sys.stdout)
    if stream is not None:
        with _lock:
            write(text, stream)
            if output != "stdout":
                stream.flush()
