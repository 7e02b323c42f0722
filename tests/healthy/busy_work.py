"""Everything is in use and moves: a small pool, threads that are all busy, a queue that is full most of the time, timeouts
that fire, tasks that clean up after they were cancelled, coroutines that wait in a queue for a worker."""

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor

import _stage

done = 0


async def use(pool):
    connection = await pool.get()
    try:
        await asyncio.sleep(0.03)
    finally:
        pool.put_nowait(connection)


async def requests(pool, lock):
    global done
    while True:
        await asyncio.gather(use(pool), use(pool))
        async with lock:
            await asyncio.sleep(0.01)
        done += 1


async def produce(jobs):
    while True:
        await jobs.put(random.random() / 20)


async def work(jobs):
    while True:
        await asyncio.sleep(await jobs.get())
        jobs.task_done()


async def in_batches(threads):
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.gather(*[loop.run_in_executor(threads, time.sleep, 0.05) for _ in range(30)])


async def impatient():
    while True:
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.sleep(0.2)), 0.1)
        except asyncio.TimeoutError:
            pass


async def careful():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(1.5)


async def replaces():
    while True:
        task = asyncio.create_task(careful())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])


async def step(n):
    await asyncio.sleep(0.2)


async def short_step(n):
    await asyncio.sleep(0.02)


async def feed(steps, kind, at_once):
    while True:
        for n in range(at_once):
            steps.put_nowait(kind(n))
        await steps.join()


async def run_steps(steps):
    while True:
        await (await steps.get())
        steps.task_done()


async def main():
    pool, jobs, steps, lock = asyncio.Queue(), asyncio.Queue(3), asyncio.Queue(), asyncio.Lock()
    short_steps = asyncio.Queue()
    for connection in range(2):
        pool.put_nowait(connection)
    threads = ThreadPoolExecutor(2)
    tasks = [requests(pool, lock) for _ in range(6)] + [produce(jobs) for _ in range(3)] + [work(jobs), work(jobs)]
    tasks += [in_batches(threads), impatient(), replaces(), feed(steps, step, 60), run_steps(steps)]
    tasks += [feed(short_steps, short_step, 20), run_steps(short_steps)]
    running = [asyncio.ensure_future(task) for task in tasks]
    while done < 10:
        await asyncio.sleep(0.01)
    _stage.ready()
    await asyncio.wait(running)


_stage.run(main)
