"""Two downloads hold the semaphore's two slots and never finish; five more wait behind them."""

import asyncio

import _stage


class Downloader:
    def __init__(self, limit):
        self._slots = asyncio.Semaphore(limit)

    async def download(self, url):
        async with self._slots:
            await self.read_body(url)

    async def read_body(self, url):
        body = asyncio.get_running_loop().create_future()  # the peer never sends the rest
        return await body


async def main():
    downloader = Downloader(2)
    urls = [f"https://example.org/{n}" for n in range(7)]
    tasks = [asyncio.create_task(downloader.download(url), name=f"download-{n}") for n, url in enumerate(urls)]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)


_stage.run(main)
