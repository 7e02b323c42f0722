"""The task that brings the news to all readers has failed, and nobody has noticed: they wait for more of it for ever."""

import asyncio

import _stage


class News:
    def __init__(self):
        self.inboxes = []

    def subscribe(self):
        inbox = asyncio.Queue()
        self.inboxes.append(inbox)
        return inbox

    def publish(self, item):
        for inbox in self.inboxes:
            inbox.put_nowait(item)

    async def feed(self, lines):
        for line in lines:
            title, text = line.split(": ")  # a line is broken
            self.publish((title, text))
            await asyncio.sleep(0)


news = News()
background = []


async def read(seen):
    inbox = news.subscribe()
    while True:
        seen.append(await inbox.get())


async def main():
    readers = [asyncio.create_task(read([]), name=f"reader-{n}") for n in range(2)]
    await asyncio.sleep(0)
    background.append(asyncio.create_task(news.feed(["Tea: cheaper", "Coffee"]), name="feed"))
    await asyncio.wait(background)
    _stage.ready_when_parked()
    await asyncio.gather(*readers)


_stage.run(main)
