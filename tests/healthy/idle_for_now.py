"""Tasks that wait for what nobody is about to bring; but who brings it can be called again, at any time."""

import asyncio
import contextlib
import signal

import _stage

answers = {}


class Peer(asyncio.Protocol):
    """Called by the event loop, which knows the names of these methods."""

    def __init__(self, arrived):
        self.arrived = arrived

    def data_received(self, data):
        for future in self.arrived.values():
            future.set_result(data)


async def publish(text):
    await inbox.put(text)


async def on_client(reader, writer):
    # A client may come at any time.
    asyncio.create_task(publish("a client"))
    loaded.set()


async def wait():
    await loaded.wait()


async def consume():
    while True:
        await inbox.get()


async def ask(key):
    answer = asyncio.get_running_loop().create_future()
    answers[key] = answer
    return await answer


async def until_signal():
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal(*_):
        loop.call_soon_threadsafe(stopped.set)

    signal.signal(signal.SIGUSR2, on_signal)
    await stopped.wait()


async def until_timer():
    elapsed = asyncio.Event()
    asyncio.get_running_loop().call_later(60, lambda: elapsed.set())
    await elapsed.wait()


async def once_more():
    tick = asyncio.Event()

    async def ticks():
        await asyncio.sleep(0)
        tick.set()
        tick.clear()

    async def watch():
        while True:
            await tick.wait()

    watcher = asyncio.create_task(watch())
    while True:
        await asyncio.create_task(ticks())
        await asyncio.sleep(30)
        assert not watcher.done()


@contextlib.asynccontextmanager
async def session(closed):
    yield
    closed.set()


async def until_closed():
    closed = asyncio.Event()

    async def watch():
        await closed.wait()

    watcher = asyncio.create_task(watch())
    async with session(closed):
        await asyncio.sleep(1000)
    await watcher


async def warm_up(warm):
    warm.set()


async def forever():
    warm, stop = asyncio.Event(), asyncio.Event()
    await asyncio.create_task(warm_up(warm))
    # Whoever warmed it up has ended; but this is another event, and how many programs stand.
    await stop.wait()


async def background():
    await asyncio.create_task(publish("the only one"))
    async with asyncio.Lock():
        # An idle consumer, whose producer has ended: nobody waits for it.
        await consume()


async def limited():
    late = asyncio.Event()

    async def never():
        if not late:
            late.set()

    await asyncio.create_task(never())
    await asyncio.wait_for(late.wait(), 1000)


async def main():
    global loaded, inbox
    loop = asyncio.get_running_loop()
    loaded = asyncio.Event()
    inbox = asyncio.Queue()
    server = await asyncio.start_server(on_client, "127.0.0.1", 0)
    peers = await loop.create_server(lambda: Peer(answers), "127.0.0.1", 0)
    waiting = [consume(), wait(), ask("peer"), until_signal(), until_timer()]
    waiting += [once_more(), forever(), background(), limited(), until_closed()]
    tasks = [asyncio.create_task(coroutine) for coroutine in waiting]
    await asyncio.sleep(0.2)
    _stage.ready()
    await asyncio.gather(server.serve_forever(), peers.serve_forever(), *tasks)


_stage.run(main)
