"""A loop at work: tasks that pass messages, some that come and go, and many that wait. It counts what it gets done.

    target.py TASKS ACTIVE COUNTER_FILE           of all tasks ACTIVE are at work at any moment: the loop never rests
    target.py TASKS ACTIVE COUNTER_FILE server    so many move in a hundredth of a second, and then wait for a while

The count of finished requests is a 64-bit number at the beginning of the file, so that reading it costs the target
nothing.
"""

import asyncio
import mmap
import os
import random
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


async def client(inbox, replies, pause):
    """Asks, and thinks for a while before it asks again."""
    n = 0
    while True:
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        n += 1
        inbox.put_nowait(n)
        await replies.get()


def saturated(tasks, active, count):
    """ACTIVE tasks hand messages around as fast as they can; the others wait for good."""
    inboxes = [asyncio.Queue() for _ in range(active)]
    everything = [
        asyncio.create_task(handle(inboxes[n], inboxes[(n + 1) % active], count), name=f"handler-{n}")
        for n in range(active)
    ]
    forever = asyncio.Event()
    everything += [asyncio.create_task(idle(forever), name=f"idle-{n}") for n in range(tasks - active)]
    for n in range(0, active, 2):
        inboxes[n].put_nowait(n)
    return everything


def server(tasks, active, count):
    """Handlers, each with a client. Both move once for each request, so that about ACTIVE do in a hundredth of a second."""
    everything = []
    for n in range(tasks // 2):
        inbox, replies = asyncio.Queue(), asyncio.Queue()
        everything += [
            asyncio.create_task(handle(inbox, replies, count), name=f"handler-{n}"),
            asyncio.create_task(client(inbox, replies, 0.01 * tasks / active), name=f"client-{n}"),
        ]
    return everything


async def main(tasks, active, path, shape):
    with open(path, "wb") as file:
        file.write(bytes(8))
    with open(path, "r+b") as file:
        page = mmap.mmap(file.fileno(), 8)
    done = 0

    def count():
        nonlocal done
        done += 1
        struct.pack_into("q", page, 0, done)

    everything = shape(tasks, active, count)
    print(f"READY {os.getpid()}", flush=True)
    await asyncio.gather(*everything)


shape = {"saturated": saturated, "server": server}[sys.argv[4] if len(sys.argv) > 4 else "saturated"]
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], shape))
