"""Requests that are not answered have all the connections that a session may make."""
import asyncio

import _stage
import aiohttp


asked = []


async def never(reader, writer):
    asked.append(await reader.readline())
    await asyncio.sleep(300)


async def fetch(session, port):
    async with session.get(f"http://127.0.0.1:{port}/") as response:  # @waits @holds
        return await response.read()


async def main():
    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connector = aiohttp.TCPConnector(limit=2)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        tasks = [asyncio.get_running_loop().create_task(fetch(session, port), name=f"fetch-{n}") for n in range(6)]
        _stage.ready_when_parked(also=lambda: len(asked) == 2)
        await asyncio.gather(*tasks)


_stage.run(main)
