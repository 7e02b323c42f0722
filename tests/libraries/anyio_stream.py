"""A queue of anyio's: whoever should take from it has ended, and the function that made both ends keeps one open."""
import _stage
import anyio


async def consume(receive):
    async with receive.clone() as items:
        await items.receive()


async def produce(send):
    for number in range(100):
        await send.send(number)  # @waits


async def main():
    send, receive = anyio.create_memory_object_stream(2)
    async with anyio.create_task_group() as group:
        group.start_soon(consume, receive)
        group.start_soon(produce, send)
        await anyio.sleep(0.2)
        _stage.ready_when_parked()


anyio.run(main)
