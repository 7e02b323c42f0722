"""A page of memory that a target and the benchmark share, so that asking costs the target nothing.

The target writes who it is, how many tasks it has and the longest gap between two turns of its loop; the
benchmark reads, and asks for a new gap count by raising `asked` until the target echoes it in `answered`.
"""
import asyncio
import mmap
import os
import struct
import time

FIELDS = ("pid", "tasks", "standing", "gap_ns", "ticks", "asked", "answered", "finished")
_WORD = struct.Struct("Q")


class Board:
    """Named 64-bit numbers in a shared page; each is written by one side only."""

    def __init__(self, path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(fd, mmap.PAGESIZE)
            self._page = mmap.mmap(fd, mmap.PAGESIZE)
        finally:
            os.close(fd)

    def get(self, field):
        return _WORD.unpack_from(self._page, 8 * FIELDS.index(field))[0]

    def set(self, field, value):
        _WORD.pack_into(self._page, 8 * FIELDS.index(field), value)


def announce(board, tasks, standing):
    """Tells the benchmark that everything is in place: how many tasks there are, and how many of them are
    waiting chains that a dump must show whole."""
    board.set("pid", os.getpid())
    board.set("tasks", tasks)
    board.set("standing", standing)
    print("READY", os.getpid(), flush=True)


async def tick(board, kind):
    """Turns with the loop for ever and notes the longest time between two turns.

    `busy` turns as fast as the loop does, so that a gap is a pause of the process; `idle` wakes once a
    millisecond, which is taken off the gap.
    """
    delay, expected = (0, 0) if kind == "busy" else (0.001, 1_000_000)
    now = time.perf_counter_ns
    longest = ticks = answered = 0
    last = now()
    while True:
        await asyncio.sleep(delay)
        turn = now()
        longest = max(longest, turn - last - expected)
        last = turn
        ticks += 1
        asked = board.get("asked")
        if asked != answered:
            answered, longest, last = asked, 0, now()
        board.set("gap_ns", longest)
        board.set("ticks", ticks)
        board.set("answered", answered)
