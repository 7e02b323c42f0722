"""A handler calls time.sleep: the loop, and every other task, stands still."""

import asyncio
import time

import _stage


def charge_card(order):
    time.sleep(110)
    return f"{order} paid"


async def checkout(order):
    return charge_card(order)


async def heartbeat():
    while True:
        await asyncio.sleep(1)


async def main():
    beat = asyncio.create_task(heartbeat(), name="heartbeat")
    await asyncio.sleep(0)
    order = asyncio.create_task(checkout("order-7"), name="checkout-7")
    _stage.ready()
    await asyncio.gather(beat, order)


_stage.run(main)
