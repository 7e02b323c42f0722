"""How tracing is switched on without a call: the flag ``--async-trace`` and ``ASYNC_TRACE``."""

from __future__ import annotations

import os
import sys
import warnings

from . import _output, _tracing

FLAG = "--async-trace"
_OFF = ("0", "off", "no", "false")


def wanted_by_environment() -> bool | None:
    """True or False as ASYNC_TRACE says, None where it says nothing."""
    value = os.environ.get("ASYNC_TRACE", "").strip().lower()
    return None if not value else value not in _OFF


def from_arguments() -> None:
    """Switch tracing on if the command line has ``--async-trace``, which is taken out, or ASYNC_TRACE says so."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if FLAG in arguments[:end]:
        sys.argv[1:] = [word for word in arguments[:end] if word != FLAG] + arguments[end:]
        switch_on()
    elif wanted_by_environment():
        enable_or_warn()


def switch_on() -> None:
    """Switch tracing on in this process and in those that it will start."""
    os.environ["ASYNC_TRACE"] = "1"
    enable_or_warn()


def enable_or_warn() -> None:
    """Switch tracing on; a program must not fail because it cannot be traced."""
    try:
        _output.configure_from_environment()
        _tracing.enable_tracing()
    except (RuntimeError, ValueError) as error:
        warnings.warn(str(error), RuntimeWarning, stacklevel=3)
