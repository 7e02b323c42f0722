"""Nobody says "ready": the task that was to do so has failed, and nobody asked how it ended."""

import asyncio

import _stage


async def load_prices(loaded):
    prices = dict(line.split() for line in ["tea 3", "coffee"])  # a line is broken
    loaded.set()
    return prices


async def show_shop():
    loaded = asyncio.Event()
    prices = asyncio.create_task(load_prices(loaded))
    await loaded.wait()
    return prices.result()


async def open_shop():
    return await show_shop()


async def main():
    shop = asyncio.create_task(open_shop(), name="open-shop")
    _stage.ready_when_parked()
    while not shop.done():
        await asyncio.sleep(60)


_stage.run(main)
