"""Tasks that wait for a condition, an event and a barrier that nobody serves."""

import asyncio
import sys

import _stage


class Depot:
    def __init__(self):
        self.changed = asyncio.Condition()
        self.open = asyncio.Event()
        self.goods = 0

    async def take(self):
        async with self.changed:
            await self.changed.wait_for(lambda: self.goods > 0)
            self.goods -= 1

    async def visit(self):
        await self.open.wait()


async def race(start):
    await start.wait()


async def main():
    depot = Depot()
    tasks = [
        asyncio.create_task(depot.take(), name="customer-1"),
        asyncio.create_task(depot.take(), name="customer-2"),
        asyncio.create_task(depot.visit(), name="visitor"),
    ]
    if sys.version_info >= (3, 11):
        start = asyncio.Barrier(3)
        tasks += [asyncio.create_task(race(start), name=f"runner-{n}") for n in range(2)]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)


_stage.run(main)
