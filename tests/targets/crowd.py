"""3,000 tasks that wait for their clients, as a chat server has them, and beside them what is named on the command line."""

import asyncio
import os
import sys
import threading
import time


class Room:
    def __init__(self):
        self.news = asyncio.Event()

    async def member(self):
        await self.news.wait()


async def transfer(first, second, both):
    async with first:
        await both.wait()
        async with second:
            pass


async def deadlock():
    first, second = asyncio.Lock(), asyncio.Lock()
    both = asyncio.Event()
    tasks = [asyncio.create_task(transfer(first, second, both)), asyncio.create_task(transfer(second, first, both))]
    await asyncio.sleep(0.05)
    both.set()
    return tasks


async def blocked():
    asyncio.get_running_loop().call_later(0.3, time.sleep, 600)
    return []


async def busy():
    async def work():
        while True:
            sum(range(20_000))
            await asyncio.sleep(0)

    return [asyncio.create_task(work())]


async def subscribe(waiting):
    await waiting.wait()


async def growing():
    waiting = asyncio.Event()

    async def accept(tasks):
        while True:
            tasks.append(asyncio.create_task(subscribe(waiting)))
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(subscribe(waiting)) for _ in range(500)]
    tasks.append(asyncio.create_task(accept(tasks)))
    return tasks


async def forgotten():
    async def send_mail():
        pass

    return [send_mail()]


async def healthy():
    return []


async def main(kind):
    room = Room()
    members = [asyncio.create_task(room.member()) for _ in range(3000)]
    loop = asyncio.get_running_loop()
    # Somebody brings news, later.
    threading.Timer(600, lambda: loop.call_soon_threadsafe(room.news.set)).start()
    others = await globals()[kind]()
    await asyncio.sleep(0.1)
    print("READY", os.getpid(), flush=True)
    await asyncio.sleep(600)
    return members, others


asyncio.run(main(sys.argv[1]))
