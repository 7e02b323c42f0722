"""The task that empties the queue has died of a bad item; those who fill it wait for room for ever."""

import asyncio

import _stage


async def consume(jobs):
    while True:
        amount = await jobs.get()
        print(100 / amount)
        jobs.task_done()


async def produce(jobs, amounts):
    for amount in amounts:
        await jobs.put(amount)


async def main():
    jobs = asyncio.Queue(maxsize=2)
    consumer = asyncio.create_task(consume(jobs), name="consumer")
    producers = [asyncio.create_task(produce(jobs, [0, 4, 5, 8]), name=f"producer-{n}") for n in range(2)]
    await asyncio.wait([consumer])
    _stage.ready_when_parked(also=jobs.full)
    await asyncio.gather(*producers)


_stage.run(main)
