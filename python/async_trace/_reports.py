"""Coroutines that were never awaited, said through Python's own warning.

Python calls ``warnings._warn_unawaited_coroutine`` when such a coroutine dies. That is usually in the
statement that made it: the caller's line is then where it was made. (What dies pending, and exceptions
that nobody retrieves, are reported by asyncio itself, which shows the task's ``_source_traceback``.)
"""

from __future__ import annotations

import os
import sys
import warnings
from types import FrameType
from typing import Any

from . import _core

# What Python looks up and calls.
_NAME = "_warn_unawaited_coroutine"
_original: Any = None


def install() -> None:
    """Let the warning say where the coroutine was dropped."""
    global _original
    if _original is None and hasattr(warnings, _NAME):
        _original = getattr(warnings, _NAME)
        setattr(warnings, _NAME, _warn)


def remove() -> None:
    """Put Python's own function back, unless somebody has replaced ours."""
    global _original
    if _original is not None and getattr(warnings, _NAME) is _warn:
        setattr(warnings, _NAME, _original)
    _original = None


def _warn(coroutine: Any) -> None:
    origin = getattr(coroutine, "cr_origin", None)
    frame = sys._getframe(1)
    text = f"coroutine '{coroutine.__qualname__}' was never awaited\n"
    text += "\n".join(_lines(coroutine, origin, frame))
    warnings.warn(text, category=RuntimeWarning, stacklevel=2, source=coroutine)


def _lines(coroutine: Any, origin: Any, frame: FrameType) -> list[str]:
    lines = [f"↑ {coroutine.__name__}() coroutine never awaited"]
    if origin:
        # Origin tracking is on (asyncio's debug mode): Python knows it exactly, innermost first.
        places = [(name, line, filename) for filename, line, name in origin]
        return lines + [_line(depth, *place) for depth, place in enumerate(places, 1)]
    frames = [entry for entry in _core.collect()["frames"] if entry["line"] is not None]
    for depth, entry in enumerate(frames, 1):
        line = _line(depth, entry["name"], entry["line"], entry["filename"])
        if entry["task"] is not None:
            name = os.path.basename(entry["filename"])
            line = "  " * depth + f"↑ {entry['task'].get_name()} created at line {entry['line']} [{name}]"
        lines.append(line)
    if frames and not _dropped_at_once(frame):
        lines[1] += " (lost here; made before)"
    return lines


def _line(depth: int, name: str, line: int, filename: str) -> str:
    return "  " * depth + f"↑ {name}() at line {line} [{os.path.basename(filename)}]"


def _dropped_at_once(frame: FrameType) -> bool:
    """Whether the frame is throwing away a value that it has just got."""
    import dis

    code, at = frame.f_code.co_code, frame.f_lasti
    return 0 <= at < len(code) and dis.opname[code[at]].startswith("POP_TOP")
