"""A server that starts, serves and shuts down, over and over: each phase has waits that end by themselves."""

import asyncio
import time

import _stage
from aiohttp import ClientSession, web


async def connect(n):
    """A start takes its time: connections, caches, a model that is loaded in a thread."""
    await asyncio.sleep(0.4 + n / 10)


async def flush(app):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)  # what is left is written
            raise


async def answer(request):
    await asyncio.sleep(1.2)
    return web.Response(text="done")


async def life(app):
    await asyncio.gather(*map(connect, range(4)))
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.6)
    background = asyncio.create_task(flush(app))
    yield
    background.cancel()
    await asyncio.wait([background])


async def main():
    first = True
    while True:
        app = web.Application()
        app.router.add_get("/", answer)
        app.cleanup_ctx.append(life)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=10)
        if first:
            _stage.ready()
            first = False
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "http://127.0.0.1:%d/" % runner.addresses[0][1]
        async with ClientSession() as session:
            requests = [asyncio.create_task(session.get(url)) for _ in range(5)]
            await asyncio.sleep(0.3)
            await runner.cleanup()
            await asyncio.wait(requests)


_stage.run(main)
