"""A task for each message, without a limit, into a sink that takes one at a time."""

import asyncio

import _stage


class Sink:
    def __init__(self):
        self.lock = asyncio.Lock()

    async def store(self, message):
        async with self.lock:
            await asyncio.sleep(0.01)


async def on_message(sink, number):
    await sink.store(number)


async def consume(sink, tasks):
    for number in range(3000):
        tasks.add(asyncio.create_task(on_message(sink, number)))
        await asyncio.sleep(0)
    _stage.ready()
    while True:
        tasks.add(asyncio.create_task(on_message(sink, -1)))
        await asyncio.sleep(0.01)


async def main():
    await consume(Sink(), set())


_stage.run(main)
