"""Each of two tasks waits for the signal that the other is to give after it has gone on."""

import asyncio

import _stage


class Shop:
    def __init__(self):
        self.stocked = asyncio.Event()
        self.open = asyncio.Event()

    async def deliver(self):
        await self.open.wait()
        self.stocked.set()

    async def unlock(self):
        await self.stocked.wait()
        self.open.set()


async def main():
    shop = Shop()
    work = [asyncio.create_task(shop.deliver(), name="supplier"), asyncio.create_task(shop.unlock(), name="keeper")]
    del shop
    _stage.ready_when_parked()
    await asyncio.wait(work)


_stage.run(main)
