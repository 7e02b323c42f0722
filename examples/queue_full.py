"""Workers put what they find into the very queue that they alone empty: it is full, and all wait."""

import asyncio

import _stage

LINKS = 3


async def crawl(frontier, page):
    for n in range(LINKS):
        await frontier.put(f"{page}/{n}")


async def worker(frontier):
    while True:
        page = await frontier.get()
        await crawl(frontier, page)
        frontier.task_done()


async def main():
    frontier = asyncio.Queue(maxsize=4)
    workers = [asyncio.create_task(worker(frontier), name=f"worker-{n}") for n in range(3)]
    await frontier.put("https://example.org")
    _stage.ready_when_parked(also=frontier.full)
    await frontier.join()
    for each in workers:
        each.cancel()


_stage.run(main)
