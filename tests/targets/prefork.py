"""A server that forks its workers: a parent without asyncio, two children with a loop each; one more for every
line on standard input. All end when that closes.
"""

import os
import signal
import sys


def work(ready):
    import asyncio

    async def serve():
        asyncio.get_running_loop().call_soon(os.write, ready, b".")
        await asyncio.Event().wait()

    asyncio.run(serve())


def fork(children):
    reader, ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        work(ready)
    os.close(ready)
    os.read(reader, 1)
    os.close(reader)
    children.append(child)


children = []
fork(children)
fork(children)
print("READY", os.getpid(), flush=True)
for _ in sys.stdin.buffer:
    fork(children)
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
