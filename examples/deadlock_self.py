"""A method takes a lock that its caller holds already: asyncio's Lock is not re-entrant."""

import asyncio

import _stage


class Cache:
    def __init__(self):
        self._lock = asyncio.Lock()
        self._items = {}

    async def get(self, key):
        async with self._lock:
            if key not in self._items:
                await self.put(key, key.upper())
            return self._items[key]

    async def put(self, key, value):
        async with self._lock:
            self._items[key] = value


async def request(cache, key):
    return await cache.get(key)


async def main():
    cache = Cache()
    requests = [asyncio.create_task(request(cache, key), name=f"request-{key}") for key in ("a", "b")]
    _stage.ready_when_parked()
    await asyncio.gather(*requests)


_stage.run(main)
