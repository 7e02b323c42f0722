"""All threads that anyio's limiter lets run are at a call without a timeout: synchronous endpoints of FastAPI do this."""
import asyncio
import socket

import _stage
import anyio.to_thread

ends = socket.socketpair()


def fetch_price():
    return ends[0].recv(1)


async def show_price(limiter):
    return await anyio.to_thread.run_sync(fetch_price, limiter=limiter)  # @waits @holds


async def main():
    limiter = anyio.CapacityLimiter(2)
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(show_price(limiter), name=f"price-{n}") for n in range(5)]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)


_stage.run(main)
