"""A loop at work: tasks that pass messages, some that come and go, and many that wait. It counts what it gets done.

    target.py TASKS ACTIVE COUNTER_FILE

Of all tasks ACTIVE are at work at any moment: the loop never rests. The count of finished requests is a 64-bit number
at the beginning of the file, so that reading it costs the target nothing.
"""

import asyncio
import mmap
import os
import struct
import sys


async def query(n):
    """A step that has to wait its turn, as for a database that answers at once."""
    await asyncio.sleep(0)
    return sum(range(50)) + n


async def handle(inbox, outbox, count):
    while True:
        n = await inbox.get()
        result = await query(n)
        if n % 10 == 0:
            # Some work has a task of its own.
            result = await asyncio.create_task(query(n))
        count()
        outbox.put_nowait(result % 1000)


async def idle(event):
    await event.wait()


async def main(tasks, active, path):
    with open(path, "wb") as file:
        file.write(bytes(8))
    with open(path, "r+b") as file:
        page = mmap.mmap(file.fileno(), 8)
    done = 0

    def count():
        nonlocal done
        done += 1
        struct.pack_into("q", page, 0, done)

    inboxes = [asyncio.Queue() for _ in range(active)]
    everything = [
        asyncio.create_task(handle(inboxes[n], inboxes[(n + 1) % active], count), name=f"handler-{n}")
        for n in range(active)
    ]
    forever = asyncio.Event()
    everything += [asyncio.create_task(idle(forever), name=f"idle-{n}") for n in range(tasks - active)]
    for n in range(0, active, 2):
        inboxes[n].put_nowait(n)
    print(f"READY {os.getpid()}", flush=True)
    await asyncio.gather(*everything)


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
