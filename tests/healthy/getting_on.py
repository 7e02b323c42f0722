"""What stands at one line for seconds and gets on all the same: slow downloads behind a semaphore, children that work or wait for orders."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import _stage

# Answers each request after six seconds, or a byte at a time.
SERVER = """
import os, socket, threading, time
parent, listener = os.getppid(), socket.create_server(("127.0.0.1", 0), backlog=64)
listener.settimeout(1)
print(listener.getsockname()[1], flush=True)
def serve(connection):
    slow = connection.recv(1) == b"s"
    for _ in range(1 if slow else 400):
        time.sleep(6 if slow else 0.3)
        try:
            connection.sendall(b"x")
        except OSError:
            break
    connection.close()
while os.getppid() == parent:
    try:
        connection = listener.accept()[0]
    except socket.timeout:
        continue
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""
WORK = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
SHOUT = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"


async def download(slots, port, how):
    async with slots:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(how)
        await reader.read()
        writer.close()


async def downloads(how):
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, stdout=PIPE)
    port = int(await server.stdout.readline())
    slots = asyncio.Semaphore(2)
    await asyncio.gather(*(download(slots, port, how) for _ in range(60)))


async def convert(slots):
    async with slots:
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", WORK, stdout=PIPE)
        await child.communicate()


async def conversions():
    slots = asyncio.Semaphore(1)
    await asyncio.gather(*(convert(slots) for _ in range(3)))


class Shouter:
    """A child that is asked now and then."""

    async def run(self):
        self.child = await asyncio.create_subprocess_exec(sys.executable, "-c", SHOUT, stdin=PIPE, stdout=PIPE)
        await asyncio.gather(self.child.wait(), self.read())

    async def read(self):
        async for line in self.child.stdout:
            assert line

    async def ask(self):
        while True:
            await asyncio.sleep(7)
            self.child.stdin.write(b"hello\n")
            await self.child.stdin.drain()


async def order(stdin):
    while True:
        await asyncio.sleep(8)
        stdin.write(b"order\n")
        await stdin.drain()


async def orders():
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", SHOUT, stdin=PIPE, stdout=PIPE)
    await asyncio.gather(child.stdout.read(), child.wait(), order(child.stdin))


async def read_slowly(child):
    async for _ in child.stdout:
        await asyncio.sleep(3)


async def back_pressure():
    child = await asyncio.create_subprocess_exec("seq", "10000000", stdout=PIPE)
    reads = asyncio.ensure_future(read_slowly(child))
    await child.wait()
    await reads


async def main():
    shouter = Shouter()
    works = [downloads(b"s"), downloads(b"d"), conversions(), shouter.run(), shouter.ask(), orders(), back_pressure()]
    tasks = [asyncio.ensure_future(work) for work in works]
    asyncio.get_running_loop().call_later(1, _stage.ready)
    await asyncio.gather(*tasks)


_stage.run(main)
