"""A second event loop in a thread of its own, and a task of the first that waits for its answer."""

import asyncio
import threading

import _stage

loops = []
started = threading.Event()


async def metrics():
    loops.append(asyncio.get_running_loop())
    started.set()
    await asyncio.Event().wait()


async def collect():
    await asyncio.sleep(3600)


async def dashboard():
    future = asyncio.run_coroutine_threadsafe(collect(), loops[0])
    await asyncio.wrap_future(future)


async def main():
    threading.Thread(target=asyncio.run, args=(metrics(),), name="metrics", daemon=True).start()
    started.wait()
    page = asyncio.create_task(dashboard(), name="dashboard")
    _stage.ready_when_parked(also=lambda: len(asyncio.all_tasks(loops[0])) == 2)
    await page


_stage.run(main)
