"""Tasks in numbers: how many, created where, waiting where."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from . import _core, _operations
from ._executor import await_chain
from ._output import emit

_Place = tuple[str, str, int]


def current_task() -> asyncio.Task[Any] | None:
    """The running task of this thread, None without one."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def all_tasks() -> list[asyncio.Task[Any]]:
    """The tasks of this thread's running loop."""
    try:
        return list(asyncio.all_tasks())
    except RuntimeError:
        return []


def creation_sites() -> list[dict[str, Any]]:
    """Places that create tasks, busiest first: dicts with place, ``created`` and ``alive``."""
    sites: dict[_Place, list[int]] = {}
    for place, created, alive in _core.creation_sites():
        site = sites.setdefault(place, [0, 0])
        site[0] += created
        site[1] += alive
    rows: list[dict[str, Any]] = [
        {"function": function, "filename": filename, "line": line, "created": created, "alive": alive}
        for (function, filename, line), (created, alive) in sites.items()
    ]
    rows.sort(key=lambda row: (-row["alive"], -row["created"], row["filename"], row["line"]))
    return rows


def format_sites(sites: list[dict[str, Any]]) -> list[str]:
    """Creation places, a line each."""
    return [
        f"↑ {site['function']}() at line {site['line']} [{os.path.basename(site['filename'])}]: "
        f"{site['created']} created, {site['alive']} alive"
        for site in sites
    ]


def _site_of(task: asyncio.Task[Any]) -> _Place | None:
    """Where a task was created: (function, file, line), or None."""
    frames = _core.collect_creation(task)
    if not frames or frames[0]["line"] is None:
        return None
    return frames[0]["name"], frames[0]["filename"], frames[0]["line"]


def _waits_at(task: asyncio.Task[Any]) -> _Place | None:
    """The user's innermost line in a task's await chain: (function, file, line), or None."""
    chain = await_chain(task)
    for code, lasti in chain:
        if _core.is_own(code):
            return _core.line_of(code, lasti)
    return _core.line_of(*chain[0]) if chain else None


def log_task_info() -> None:
    groups: dict[tuple[_Place | None, _Place | str | None], list[str]] = {}
    current = current_task()
    tasks = all_tasks()
    for task in tasks:
        key = (_site_of(task), "running" if task is current else _waits_at(task))
        groups.setdefault(key, []).append(task.get_name())
    rows: list[dict[str, Any]] = [
        {"count": len(names), "names": sorted(names)[:3], "created": created, "waits": waits}
        for (created, waits), names in groups.items()
    ]
    rows.sort(key=lambda row: (-row["count"], row["names"]))
    operations = _operations.pending()
    lines = [f"🔍 {len(tasks)} task{'' if len(tasks) == 1 else 's'}"]
    lines += [_describe(row) for row in rows]
    if operations:
        lines.append(f"⏳ {len(operations)} pending operation{'' if len(operations) == 1 else 's'}")
        lines += ["↑ " + _operations.describe(operation) for operation in operations]
    emit(
        "tasks",
        lines,
        tasks=len(tasks),
        groups=rows,
        sites=creation_sites(),
        pending=[_operations.facts(operation) for operation in operations],
    )


def _describe(row: dict[str, Any]) -> str:
    if row["count"] == 1:
        who = row["names"][0]
    else:
        who = f"{row['count']} tasks ({', '.join(row['names'])}{', …' if row['count'] > 3 else ''})"
    parts = [f"↑ {who}"]
    if row["created"] is not None:
        parts.append("created " + _where(row["created"], function=False))
    if row["waits"] == "running":
        parts.append("running")
    elif row["waits"] is not None:
        parts.append("waiting in " + _where(row["waits"]))
    return ", ".join(parts).replace(", created", " created", 1)


def _where(place: _Place, function: bool = True) -> str:
    name, filename, line = place
    text = f"at line {line} [{os.path.basename(filename)}]"
    return f"{name}() {text}" if function else text
