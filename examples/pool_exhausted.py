"""Each request takes a connection, then asks the pool for a second one: all of them wait for ever."""

import asyncio
from contextlib import asynccontextmanager

import _stage


class Pool:
    def __init__(self, size):
        self._free = asyncio.Queue()
        for number in range(size):
            self._free.put_nowait(f"connection-{number}")

    @asynccontextmanager
    async def acquire(self):
        connection = await self._free.get()
        try:
            yield connection
        finally:
            self._free.put_nowait(connection)


async def load_lines(pool, order):
    async with pool.acquire() as connection:
        return f"lines of {order} by {connection}"


async def load_order(pool, order, everyone_has_one):
    async with pool.acquire():
        await everyone_has_one()
        return await load_lines(pool, order)


async def main():
    pool = Pool(2)

    async def everyone_has_one():
        while not pool._free.empty():
            await asyncio.sleep(0)

    requests = [asyncio.create_task(load_order(pool, n, everyone_has_one), name=f"request-{n}") for n in range(3)]
    _stage.ready_when_parked(also=pool._free.empty)
    await asyncio.gather(*requests)


_stage.run(main)
