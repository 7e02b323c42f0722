"""Tasks that were cancelled, or whose timeout has passed, and that clean up before they end: with a clock, with the network."""

import asyncio
import contextlib

import _stage


async def answer_slowly(reader, writer):
    await reader.readline()
    await asyncio.sleep(9)
    writer.write(b"bye\n")
    writer.close()


async def say_goodbye(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"bye\n")
    await reader.readline()
    writer.close()


async def with_a_clock():
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(9)


async def with_the_network(port):
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        await say_goodbye(port)
        raise


class Session:
    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        await say_goodbye(self.port)


async def in_a_context(port):
    async with Session(port):
        await asyncio.sleep(1000)


async def cancels(job, *arguments):
    while True:
        task = asyncio.ensure_future(job(*arguments))
        await asyncio.sleep(0.1)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def times_out(job, *arguments):
    while True:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(job(*arguments), 0.1)


async def main():
    server = await asyncio.start_server(answer_slowly, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    jobs = [(with_a_clock,), (with_the_network, port), (in_a_context, port)]
    tasks = [asyncio.ensure_future(end(*job)) for job in jobs for end in (cancels, times_out)]
    await asyncio.sleep(0.3)
    _stage.ready()
    await asyncio.wait(tasks)


_stage.run(main)
