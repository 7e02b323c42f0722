"""A service between two requests: consumers of empty queues, cron-like sleepers, a rate limiter, threads that wait for work,
and a main task that waits for the signal to stop."""

import asyncio
import queue
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import _stage


async def consume(jobs):
    while True:
        job = await jobs.get()
        await job
        jobs.task_done()


async def every(seconds, stop):
    """Wakes up now and then, or when all is over."""
    while True:
        try:
            await asyncio.wait_for(stop.wait(), seconds)
            return
        except asyncio.TimeoutError:
            pass


async def nightly():
    while True:
        await asyncio.sleep(6 * 3600)


async def limited(lock, pause):
    """One call at a time, and so many seconds between two."""
    while True:
        async with lock:
            await asyncio.sleep(pause)


async def wait_for_work(changed, work):
    while True:
        async with changed:
            await changed.wait_for(lambda: work)
            work.pop()


async def lead(leadership):
    async with leadership:
        await asyncio.sleep(7 * 24 * 3600)


async def from_a_thread(loop, threads, orders):
    """A blocking client of a broker: one thread waits for messages all its life."""
    while True:
        await loop.run_in_executor(threads, orders.get)


async def read_lines(path):
    process = await asyncio.create_subprocess_exec("tail", "-f", path, stdout=asyncio.subprocess.PIPE)
    async for _ in process.stdout:
        pass


async def main():
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    jobs, urgent = asyncio.Queue(100), asyncio.PriorityQueue()
    threads = ThreadPoolExecutor(1, thread_name_prefix="broker")
    orders = queue.Queue()
    threading.Thread(target=orders.join, daemon=True, name="statistics").start()
    lock, slow_lock, leadership, changed = asyncio.Lock(), asyncio.Lock(), asyncio.Lock(), asyncio.Condition()
    tasks = [consume(jobs) for _ in range(12)] + [consume(urgent), nightly(), every(30, stop), every(0.05, stop)]
    tasks += [limited(lock, 0.4) for _ in range(4)] + [limited(slow_lock, 5) for _ in range(3)]
    tasks += [wait_for_work(changed, []), lead(leadership), from_a_thread(loop, threads, orders), read_lines("/dev/null")]
    background = [asyncio.ensure_future(task) for task in tasks]
    loop.call_later(0.3, _stage.ready)
    await stop.wait()
    for task in background:
        task.cancel()
    await asyncio.wait(background)


_stage.run(main)
