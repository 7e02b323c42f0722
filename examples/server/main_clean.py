"""A small service: `python main_clean.py --async-trace`."""

import argparse
import asyncio

from aiohttp import web

import utils.async_debug  # noqa: F401  takes --async-trace out of the arguments
from handlers import ROUTES, USERS
from repository import UserRepository


async def serve(port):
    app = web.Application()
    app.add_routes(ROUTES)
    app[USERS] = await UserRepository.open()
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    print("READY", runner.addresses[0][1], flush=True)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await app[USERS].close()
        await runner.cleanup()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.port))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
