"""A healthy server under load: locks are held, the pool is used up, and still all is well."""

import asyncio
import random

import _stage

lock = None
pool = None


async def query():
    async with pool:
        await asyncio.sleep(random.random() / 500)


async def handle(reader, writer):
    while line := await reader.readline():
        await asyncio.gather(query(), query())
        async with lock:
            await asyncio.sleep(0.001)
        writer.write(line)
        await writer.drain()


async def client(address, answers):
    reader, writer = await asyncio.open_connection(*address)
    while True:
        writer.write(b"hello\n")
        answers.append(await reader.readline())


async def main():
    global lock, pool
    lock, pool = asyncio.Lock(), asyncio.Semaphore(2)
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    answers = []
    address = server.sockets[0].getsockname()
    clients = [asyncio.create_task(client(address, answers), name=f"client-{n}") for n in range(10)]
    while len(answers) < 20:
        await asyncio.sleep(0)
    _stage.ready()
    await asyncio.wait(clients)


_stage.run(main)
