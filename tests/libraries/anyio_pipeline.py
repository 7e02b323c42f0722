"""Queues of anyio's one behind another, each of them full: the last one is slow, and takes from its own."""
import _stage
import anyio


async def produce(send):
    async with send:
        for number in range(10_000):
            await send.send(number)


async def double(receive, send):
    async with receive, send:
        async for number in receive:
            await send.send(2 * number)


async def store(receive):
    async for _ in receive:
        await anyio.sleep(0.7)


async def main():
    first, first_end = anyio.create_memory_object_stream(3)
    second, second_end = anyio.create_memory_object_stream(0)
    async with anyio.create_task_group() as group:
        group.start_soon(produce, first)
        group.start_soon(double, first_end, second)
        group.start_soon(store, second_end)
        await anyio.sleep(1)
        _stage.ready()


anyio.run(main)
