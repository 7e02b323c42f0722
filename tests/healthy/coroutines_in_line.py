"""Coroutines that are made in advance and run one after the other, or a few at a time: none of them is forgotten, though most
are not started for a while."""

import asyncio
import collections

import _stage


async def fetch(n):
    await asyncio.sleep(8)


async def parse(n):
    await asyncio.sleep(8)


async def one_by_one():
    steps = [fetch(n) for n in range(4)]
    for step in steps:
        await step


async def without_a_name():
    for step in [fetch(1), parse(2), fetch(3)]:
        await step


async def numbered():
    for n, step in enumerate([parse(1), fetch(2)]):
        await step


async def in_sequence(*steps):
    for step in steps:
        await step


async def all_in_sequence():
    await in_sequence(parse(1), fetch(2), parse(3))


async def backwards():
    steps = [parse(1), fetch(2)]
    while steps:
        await steps.pop()


async def limited(semaphore, step):
    async with semaphore:
        await step


async def a_few_at_a_time():
    semaphore = asyncio.Semaphore(2)
    await asyncio.gather(*[limited(semaphore, step) for step in [fetch(1), fetch(2), parse(3), parse(4)]])


async def after_a_lock(lock):
    step = parse(1)
    async with lock:
        await step


async def hold(lock):
    async with lock:
        await asyncio.sleep(8)


async def with_a_lock():
    lock = asyncio.Lock()
    await asyncio.gather(hold(lock), after_a_lock(lock))


class Job:
    def __init__(self, step):
        self.step = step


class Workers:
    def __init__(self):
        self.jobs = asyncio.Queue()

    async def run(self):
        await asyncio.gather(self.feed(), self.work(), self.work())

    async def feed(self):
        while True:
            for n in range(3):
                self.jobs.put_nowait(Job(fetch(n)))
                self.jobs.put_nowait(Job(parse(n)))
            await self.jobs.join()

    async def work(self):
        while True:
            job = await self.jobs.get()
            await asyncio.wait_for(job.step, 20)
            self.jobs.task_done()


class Pool:
    def __init__(self):
        self.pending = collections.deque()

    async def run(self):
        self.pending += [fetch(1), parse(2), parse(3)]
        await asyncio.gather(self.work(), self.work())

    async def work(self):
        while self.pending:
            await self.pending.popleft()


async def again(kind):
    while True:
        await kind()


async def main():
    kinds = [one_by_one, without_a_name, numbered, all_in_sequence, backwards, a_few_at_a_time, with_a_lock, Pool().run]
    tasks = [asyncio.ensure_future(again(kind)) for kind in kinds] + [asyncio.ensure_future(Workers().run())]
    await asyncio.sleep(0.1)
    _stage.ready()
    await asyncio.wait(tasks)


_stage.run(main)
