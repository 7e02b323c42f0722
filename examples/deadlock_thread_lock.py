"""A threading.Lock is held across an await; the next task that wants it stops the whole loop."""

import asyncio
import threading

import _stage


class TokenCache:
    def __init__(self, answered):
        self._lock = threading.Lock()
        self._answered = answered

    async def token(self):
        with self._lock:
            return await self.fetch()

    async def fetch(self):
        return await self._answered


async def call_api(cache):
    return {"Authorization": await cache.token()}


async def heartbeat():
    while True:
        await asyncio.sleep(1)


async def main():
    cache = TokenCache(asyncio.get_running_loop().create_future())
    beat = asyncio.create_task(heartbeat(), name="heartbeat")
    first = asyncio.create_task(call_api(cache), name="first")
    while not cache._lock.locked():
        await asyncio.sleep(0)
    second = asyncio.create_task(call_api(cache), name="second")
    _stage.ready()
    await asyncio.gather(beat, first, second)


_stage.run(main)
