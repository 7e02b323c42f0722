"""A lock that lies in redis: who wants it asks again and again, and sleeps in between."""
import asyncio
import ctypes
import signal
import socket
import subprocess
import time

import _stage
import redis.asyncio as redis


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def start_redis():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"]
    subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return port
        except OSError:
            time.sleep(0.02)


async def rebuild(client, loaded):
    async with client.lock("index"):
        await loaded.wait()  # @holds


async def query(client):
    async with client.lock("index"):  # @waits
        pass


async def main():
    client = redis.Redis(port=start_redis())
    loaded = asyncio.Event()
    rebuilding = asyncio.create_task(rebuild(client, loaded), name="rebuild")
    await asyncio.sleep(0.2)
    queries = [asyncio.create_task(query(client), name=f"query-{n}") for n in range(3)]
    asyncio.get_running_loop().call_later(0.5, _stage.ready)
    await asyncio.gather(rebuilding, *queries)


_stage.run(main)
