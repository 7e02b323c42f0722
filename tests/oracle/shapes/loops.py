"""Other loops in other threads: one that sleeps, one that is blocked."""

import asyncio
import threading
import time

import truth as oracle
from truth import shape

from .chains import leaf, pending


def in_thread(t, main, name):
    """Runs `main` in a loop of its own, of the same kind as this one."""
    kind = type(asyncio.get_running_loop())

    def run():
        loop = kind()
        loop.run_until_complete(main(loop))

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


@shape
async def second_loop(t):
    started = threading.Event()

    async def metrics(loop):
        t.loops.append(loop)
        oracle.note_loop(loop)
        quiet = asyncio.Event()
        myself = t.know(asyncio.current_task())
        t.waits(myself, t.resource(quiet, "event", set=False), "wait", name="quiet")
        future, target = pending(t)
        t.waits(t.task(leaf(future)), target)
        await asyncio.sleep(0)
        started.set()
        await quiet.wait()

    in_thread(t, metrics, "second-loop")
    started.wait()


def parse():
    started.set()
    time.sleep(1000)


started = threading.Event()


@shape
async def blocked_loop(t):
    async def handler():
        await compute()

    async def compute():
        parse()

    async def beat():
        await asyncio.sleep(0)

    async def main(loop):
        t.loops.append(loop)
        t.unread_loops.append(loop)
        oracle.note_loop(loop)
        loop.slow_callback_duration = 10000
        done = asyncio.Event()
        myself = t.know(asyncio.current_task())
        t.waits(myself, t.resource(done, "event", set=False), "wait", name="done")
        running = t.know(loop.create_task(handler(), name="blocked-handler"))
        t.tasks[running].state = "running"
        ready = t.task(beat(), name="ready")
        t.tasks[ready].state = "ready"
        await done.wait()

    in_thread(t, main, "blocked-loop")
    started.wait()
