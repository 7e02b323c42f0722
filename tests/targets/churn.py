"""A program that changes all the time: parked tasks, spinning ones, and spawners at full speed.

churn.py STATUS: the mapped file STATUS holds the longest gaps that its ticker has seen, as doubles in
seconds: [0] of the clock, [1] without the time in which it was runnable but had no CPU. Whoever
writes zeros there begins a new measurement.
"""

import asyncio
import json
import mmap
import os
import signal
import struct
import sys
import time

PARKED, SPINNING, SPAWNERS = 1000, 20, 5


async def parked(door):
    await outer(door)


async def outer(door):
    return await inner(door)


async def inner(door):
    await door.wait()


async def spin():
    while True:
        await asyncio.sleep(0)


async def spawn():
    while True:
        await asyncio.get_running_loop().create_task(child(), name="child")


async def child():
    await step()
    await asyncio.gather(step(), step())


async def step():
    await asyncio.sleep(0)


async def tick(gaps):
    waited = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    last, last_wait = time.monotonic_ns(), 0
    while True:
        await asyncio.sleep(0)
        now, wait = time.monotonic_ns(), int(os.pread(waited, 64, 0).split()[1])
        gap = now - last
        longest, longest_own = struct.unpack_from("dd", gaps)
        own = (gap - (wait - last_wait)) / 1e9
        if gap / 1e9 > longest or own > longest_own:
            struct.pack_into("dd", gaps, 0, max(longest, gap / 1e9), max(longest_own, own))
        last, last_wait = now, wait


def lines(task):
    """The chain of a suspended task as it says itself."""
    chain, coro = [], task.get_coro()
    while hasattr(coro, "cr_frame"):
        chain.append([coro.__qualname__, coro.cr_frame.f_code.co_filename, coro.cr_frame.f_lineno])
        coro = coro.cr_await
    return chain


async def main(gaps):
    door = asyncio.Event()
    loop = asyncio.get_running_loop()
    keep = [loop.create_task(parked(door), name=f"parked-{n}") for n in range(PARKED)]
    while any(task._fut_waiter is None for task in keep):
        await asyncio.sleep(0)
    print(json.dumps(lines(keep[0])))
    keep += [loop.create_task(spin(), name=f"spin-{n}") for n in range(SPINNING)]
    keep += [loop.create_task(spawn(), name=f"spawn-{n}") for n in range(SPAWNERS)]
    keep += [loop.create_task(tick(gaps), name="tick")]
    for _ in range(10):
        await asyncio.sleep(0)
    print(f"READY {os.getpid()}")
    await asyncio.wait(keep)


if __name__ == "__main__":
    signal.alarm(600)
    file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(file, 4096)
    asyncio.run(main(mmap.mmap(file, 4096)))
