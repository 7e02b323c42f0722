"""A retry loop swallows the cancellation by which its timeout should have ended it. (3.11+)"""

import asyncio

import _stage


async def read_sensor(answer):
    while True:
        try:
            return await asyncio.shield(answer)
        except BaseException as error:
            print("no answer, once more:", type(error).__name__)
            _stage.ready()


async def measure(answer):
    async with asyncio.timeout(0.01):
        return await read_sensor(answer)


async def main():
    await measure(asyncio.get_running_loop().create_future())


_stage.run(main)
