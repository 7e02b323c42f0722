"""Tasks that start at once, before their creator goes on (3.12+)."""

import asyncio

import _stage


async def cached(value):
    return value


async def fetch(answer):
    return await answer


def eager(coro):
    return asyncio.Task(coro, loop=asyncio.get_running_loop(), eager_start=True)


async def page(answers):
    return await asyncio.gather(eager(cached("header")), *(eager(fetch(answer)) for answer in answers))


async def main():
    loop = asyncio.get_running_loop()
    request = loop.create_task(page([loop.create_future() for _ in range(2)]), name="page")
    _stage.ready_when_parked()
    await request


_stage.run(main)
