"""Queues that are full for a long time, because those who take from them are slow, busy elsewhere, or begin late."""

import asyncio

import _stage

orders = None


async def put_for_ever(queue):
    while True:
        await queue.put(1)


async def slow(queue):
    while True:
        await queue.get()
        # It is counted as done before it is.
        queue.task_done()
        await asyncio.sleep(9)


async def late(queue):
    await asyncio.sleep(100)
    await slow(queue)


class Pipeline:
    def __init__(self):
        self.jobs = asyncio.Queue(2)

    async def run(self):
        await asyncio.gather(self.feed(), self.feed(), self.work())

    async def feed(self):
        while True:
            await self.jobs.put(1)

    async def work(self):
        while True:
            await self.handle(await self.jobs.get())

    async def handle(self, job):
        self.jobs.task_done()
        await asyncio.sleep(9)


async def order():
    while True:
        await orders.put(1)


async def deliver():
    while True:
        await orders.get()
        orders.task_done()
        await asyncio.sleep(9)


async def main():
    global orders
    orders, first, second = asyncio.Queue(2), asyncio.Queue(2), asyncio.Queue(2)
    running = [put_for_ever(first), slow(first), put_for_ever(second), late(second), Pipeline().run(), order(), deliver()]
    tasks = [asyncio.ensure_future(each) for each in running]
    await asyncio.sleep(0.1)
    _stage.ready()
    await asyncio.wait(tasks)


_stage.run(main)
