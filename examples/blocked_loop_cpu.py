"""A handler computes for minutes without an await: nobody else gets a turn."""

import asyncio

import _stage


def count_primes(limit):
    found = 0
    for n in range(2, limit):
        if all(n % d for d in range(2, n)):
            found += 1
    return found


async def report(limit):
    return count_primes(limit)


async def heartbeat():
    while True:
        await asyncio.sleep(1)


async def main():
    beat = asyncio.create_task(heartbeat(), name="heartbeat")
    await asyncio.sleep(0)
    job = asyncio.create_task(report(10**9), name="report")
    _stage.ready()
    await asyncio.gather(beat, job)


_stage.run(main)
