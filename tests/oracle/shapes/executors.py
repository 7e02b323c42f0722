"""Functions in threads, seen from the tasks that wait for them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from truth import shape

never = threading.Event()


def blocking():
    never.wait()


def quick():
    pass


def job(t, executor, number, **facts):
    """The job of that number, as something to wait for."""
    t.resource(executor, "executor")
    return {"kind": "job", "future": t.jobs[executor][number], "executor": executor, **facts}


def running(executor, count):
    """Whether that many of its threads are inside of `blocking`."""
    return lambda: len(never._cond._waiters) >= count


@shape
async def executor_that_is_full(t):
    async def render(executor, function):
        await asyncio.get_running_loop().run_in_executor(executor, function)

    executor = ThreadPoolExecutor(1, thread_name_prefix="printer")
    t.record_jobs(executor)
    functions = (blocking, blocking, quick)
    tasks = [t.task(render(executor, function)) for function in functions]
    await t.settle(lambda: len(t.jobs[executor]) == 3)
    (thread,) = executor._threads
    t.waits(tasks[0], job(t, executor, 0, thread=thread.native_id, function="blocking"), "call")
    t.waits(tasks[1], job(t, executor, 1, queued_behind=0, function="blocking"), "call")
    t.waits(tasks[2], job(t, executor, 2, queued_behind=1, function="quick"), "call")
    t.resource(executor, "executor", size=1, capacity=1, busy=1, unfinished=2)
    t.threads_in_blocking = 1


@shape
async def default_executor(t):
    async def export():
        await asyncio.to_thread(blocking)

    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(3, thread_name_prefix="default")
    t.record_jobs(executor)
    loop.set_default_executor(executor)
    task = t.task(export())
    await t.settle(lambda: t.jobs[executor])
    (thread,) = executor._threads
    t.waits(task, job(t, executor, 0, thread=thread.native_id, function="blocking"), "call")
    t.resource(executor, "executor", size=1, capacity=3, busy=1, unfinished=0)


@shape
async def future_of_another_world(t):
    async def wrapped(future):
        await asyncio.wrap_future(future)

    executor = ThreadPoolExecutor(1, thread_name_prefix="wrapped")
    t.record_jobs(executor)
    future = executor.submit(blocking)
    task = t.task(wrapped(future))
    await t.settle(future.running)
    (thread,) = executor._threads
    t.waits(task, job(t, executor, 0, thread=thread.native_id, function="blocking"), "call")
    t.resource(executor, "executor", size=1, capacity=1, busy=1, unfinished=0)
    await t.settle(running(executor, 3))
