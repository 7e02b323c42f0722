"""wait_for, timeout, shield and as_completed around things that do not come."""

import asyncio
import sys

import _stage


async def answer(future):
    return await future


async def with_wait_for(future):
    return await asyncio.wait_for(answer(future), timeout=3600)


async def with_timeout(future):
    async with asyncio.timeout(3600):
        return await answer(future)


async def with_shield(future):
    return await asyncio.shield(asyncio.create_task(answer(future), name="shielded"))


async def with_as_completed(futures):
    requests = [asyncio.create_task(answer(f), name=f"mirror-{n}") for n, f in enumerate(futures)]
    for first in asyncio.as_completed(requests):
        return await first


async def main():
    future = asyncio.get_running_loop().create_future
    tasks = [
        asyncio.create_task(with_wait_for(future()), name="wait-for"),
        asyncio.create_task(with_shield(future()), name="shield"),
        asyncio.create_task(with_as_completed([future(), future()]), name="as-completed"),
    ]
    if sys.version_info >= (3, 11):
        tasks.append(asyncio.create_task(with_timeout(future()), name="timeout"))
    _stage.ready_when_parked()
    await asyncio.wait(tasks)


_stage.run(main)
