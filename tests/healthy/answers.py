"""Waits that somebody will end, who is not easily seen: who has the other end of a future or event."""

import asyncio
import signal
import threading
import time
import weakref

import _stage


class Line:
    """Requests and their answers, told apart by a number."""

    def __init__(self):
        self.answers = {}

    async def ask(self, number):
        self.answers[number] = answer = asyncio.get_running_loop().create_future()
        return await answer

    def receive(self, number):
        self.answers.pop(number).set_result(number)


class Slotted:
    __slots__ = ("ready",)

    def __init__(self):
        self.ready = asyncio.Event()


class Listener:
    """Told by whoever goes through the set, which does not keep it."""

    def __init__(self):
        self.heard = asyncio.Event()

    async def listen(self):
        await self.heard.wait()


line = Line()
everything = []
listeners = weakref.WeakSet()


def signal_late(loop, event):
    time.sleep(1000)
    loop.call_soon_threadsafe(event.set)


async def answered(number):
    return await line.ask(number)


async def stands_for_ever():
    await asyncio.Event().wait()


async def stands_for_ever_too():
    await asyncio.get_running_loop().create_future()


async def until(event):
    await event.wait()


async def notified(condition):
    async with condition:
        await condition.wait()


async def main():
    loop = asyncio.get_running_loop()
    begin = everything.append

    def start(coroutine):
        begin(loop.create_task(coroutine))

    start(answered(1))
    start(stands_for_ever())
    start(stands_for_ever_too())

    # The other end is a signal's, a timer's, a thread's, a function's, a generator's, an object's with slots.
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, stop.set)
    start(until(stop))
    later = asyncio.Event()
    loop.call_later(1000, later.set)
    start(until(later))
    read = asyncio.Event()
    threading.Thread(target=signal_late, args=(loop, read), daemon=True).start()
    start(until(read))
    given = asyncio.Event()
    begin(lambda event=given: event.set())
    start(until(given))
    slotted = Slotted()
    begin(slotted)
    start(until(slotted.ready))

    def generator(event):
        yield
        event.set()

    drawn = asyncio.Event()
    steps = generator(drawn)
    next(steps)
    begin(steps)
    start(until(drawn))
    enclosed = asyncio.Event()

    def around(event):
        return lambda: event.set()

    begin(around(enclosed))
    start(until(enclosed))
    listener = Listener()
    listeners.add(listener)
    start(listener.listen())
    condition = asyncio.Condition()
    begin(condition.notify_all)
    start(notified(condition))

    # A task that sleeps will do it.
    told = asyncio.Event()

    async def tell(event):
        await asyncio.sleep(1000)
        event.set()

    start(tell(told))
    start(until(told))

    # Somebody else will end the wait.
    async def limited():
        lost = loop.create_future()
        await asyncio.wait_for(lost, 1000)

    class Silent:
        async def answer(self):
            self.lost = loop.create_future()
            await self.lost

    async def inner():
        await Silent().answer()

    async def outer():
        task = loop.create_task(inner())
        await asyncio.wait_for(task, 1000)

    start(limited())
    start(outer())
    wrapped = loop.create_task(inner())
    loop.call_later(1000, wrapped.cancel)
    begin(wrapped)
    del stop, later, read, given, slotted, generator, drawn, steps, enclosed, around, listener, condition, told, tell, limited, outer, wrapped
    _stage.ready()
    while True:
        await asyncio.sleep(0.01)


_stage.run(main)
