"""anyio: streams, limiters and cancel scopes of a service in use, and listeners with nothing to do."""

import time

import _stage
import anyio
from anyio import to_thread


async def produce(send):
    async with send:
        while True:
            await send.send(1)


async def handle(receive, limiter):
    async with receive:
        async for _ in receive:
            async with limiter:
                await anyio.sleep(0.05)


async def idle(receive, done):
    async with receive:
        async for _ in receive:
            await done.wait()


async def threads():
    while True:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(to_thread.run_sync, time.sleep, 0.05)


async def bounded():
    while True:
        with anyio.move_on_after(0.2):
            await anyio.sleep(60)


async def echo(stream):
    async with stream:
        while True:
            await stream.receive()


async def main():
    full, empty = anyio.create_memory_object_stream(2), anyio.create_memory_object_stream(2)
    limiter, stop = anyio.CapacityLimiter(2), anyio.Event()
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(produce, full[0].clone())
            group.start_soon(handle, full[1].clone(), limiter)
            group.start_soon(idle, empty[1].clone(), stop)
        group.start_soon(threads)
        group.start_soon(bounded)
        group.start_soon(listener.serve, echo)
        clients = [await anyio.connect_tcp(*listener.extra(anyio.abc.SocketAttribute.local_address)) for _ in range(12)]
        await anyio.sleep(0.3)
        _stage.ready()
        await stop.wait()
        assert clients and empty


_stage.run(main)
