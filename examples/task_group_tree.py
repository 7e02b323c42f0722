"""Task groups in task groups: who waits for whom, down to the one that nobody feeds. (3.11+)"""

import asyncio

import _stage


async def fetch(part):
    return await part


async def assemble(name, parts):
    async with asyncio.TaskGroup() as group:
        for n, part in enumerate(parts):
            group.create_task(fetch(part), name=f"{name}-part-{n}")


async def supervise(parts, stop):
    async with asyncio.TaskGroup() as group:
        group.create_task(assemble("wheel", parts[:2]), name="wheel")
        group.create_task(assemble("frame", parts[2:]), name="frame")
        await stop.wait()


async def main():
    loop = asyncio.get_running_loop()
    parts = [loop.create_future() for _ in range(3)]
    factory = asyncio.create_task(supervise(parts, asyncio.Event()), name="factory")
    _stage.ready_when_parked(also=lambda: len(asyncio.all_tasks()) == 7)
    await factory


_stage.run(main)
