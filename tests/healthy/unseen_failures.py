"""Tasks that have failed, and nobody has looked at how; but what they were to bring others bring, sooner or later."""

import asyncio
import os
import signal
import threading

import _stage

inboxes = {}
signals = {}
background = []


def inbox(name):
    return inboxes.setdefault(name, asyncio.Queue())


def deliver(name):
    inboxes[name].put_nowait(name)


class Clock:
    def __init__(self, event):
        self.event = event

    def tick(self):
        self.event.set()
        asyncio.get_running_loop().call_later(9, self.tick)


async def fails(names):
    for name in names:
        inboxes[name].put_nowait(name)
    for name in signals:
        signals[name].set()
    raise ValueError("nobody looks at this")


async def read(name):
    while True:
        await inbox(name).get()


async def watch(name):
    while True:
        await signals[name].wait()
        signals[name].clear()


async def by_a_method_of_its_own():
    while True:
        await asyncio.sleep(9)
        inboxes["direct"].put_nowait(1)


async def by_a_function():
    while True:
        await asyncio.sleep(9)
        deliver("helped")


def by_a_thread(loop, queue, wake):
    while not wake.wait(9):
        loop.call_soon_threadsafe(queue.put_nowait, 1)


async def main():
    loop = asyncio.get_running_loop()
    names = ["direct", "helped", "threaded", "socket"]
    for name in names:
        background.append(asyncio.create_task(read(name), name=f"read-{name}"))
    for name in ["clock", "stop"]:
        signals[name] = asyncio.Event()
        background.append(asyncio.create_task(watch(name), name=f"watch-{name}"))
    await asyncio.sleep(0)
    background.append(asyncio.create_task(fails(names), name="fails"))
    background.append(asyncio.create_task(by_a_method_of_its_own()))
    background.append(asyncio.create_task(by_a_function()))
    worker = threading.Thread(
        target=by_a_thread, args=(loop, inboxes["threaded"], threading.Event()), daemon=True
    )
    worker.start()
    ours, _theirs = os.pipe()
    loop.add_reader(ours, inboxes["socket"].put_nowait, b"")
    if "uvloop" not in type(loop).__module__:
        loop.add_signal_handler(signal.SIGUSR1, signals["stop"].set)
    else:
        loop.call_later(60, signals["stop"].set)
    Clock(signals["clock"]).tick()
    await asyncio.sleep(0.1)
    _stage.ready()
    await asyncio.sleep(1000)


_stage.run(main)
