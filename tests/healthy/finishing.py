"""What is about to end, and takes its time: a server whose last answers are on their way, and a batch of jobs in threads."""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import _stage

answers = 0


async def consume(jobs):
    while True:
        await jobs.get()


async def answer(reader, writer):
    global answers
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(b"x")
            await writer.drain()
            answers += 1
            await asyncio.sleep(0.05)


async def shutdown(server):
    server.close()
    await server.wait_closed()


def convert(number):
    time.sleep(9)


async def convert_one(threads, number):
    await asyncio.get_running_loop().run_in_executor(threads, convert, number)


async def convert_all():
    threads = ThreadPoolExecutor(2)
    await asyncio.gather(*(convert_one(threads, number) for number in range(20)))


async def main():
    consumer = asyncio.ensure_future(consume(asyncio.Queue()))
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    clients = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(2)]
    tasks = [asyncio.ensure_future(convert_all()), asyncio.ensure_future(shutdown(server))]
    while answers < 4:
        await asyncio.sleep(0.01)
    _stage.ready()
    await asyncio.gather(consumer, *tasks)
    return clients


_stage.run(main)
