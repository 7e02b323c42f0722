"""A program whose tasks are of a class of its own."""

import asyncio

import _stage


class RequestTask(asyncio.Task):
    def __init__(self, coro, *, request, **kwargs):
        self.request = request
        super().__init__(coro, **kwargs)


async def handle(answer):
    return await answer


async def main():
    loop = asyncio.get_running_loop()
    tasks = [
        RequestTask(handle(loop.create_future()), request=f"GET /{n}", loop=loop, name=f"request-{n}")
        for n in range(2)
    ]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)


_stage.run(main)
