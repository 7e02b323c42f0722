"""A poller catches the cancellation that should end it: the group waits for it for ever. (3.11+)"""

import asyncio

import _stage


async def poll(answer):
    while True:
        try:
            await asyncio.shield(answer)
        except BaseException as error:
            print("poll failed, once more:", type(error).__name__)


async def broken_job():
    await asyncio.sleep(0)
    raise RuntimeError("the job failed, the group must stop")


async def main():
    answer = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        poller = group.create_task(poll(answer), name="poller")
        group.create_task(broken_job(), name="job")
        _stage.ready_when_parked(also=lambda: poller.cancelling() == 1)


_stage.run(main)
