#!/usr/bin/env python3
"""What tracing costs a real HTTP server (aiohttp) whose requests make five tasks each.

    python bench/inside/http_load.py --mode async_trace

One server process serves batches of requests with tracing off and on in turns (a request switches
it). What counts is the server's CPU time a request, which noise of the machine and of the client
touches least. `--processes` starts that many servers one after the other.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time

import tracers


async def subtask(number):
    await asyncio.sleep(0)
    return number


async def fan_out():
    tasks = [asyncio.create_task(subtask(number)) for number in range(5)]
    return sum([await task for task in tasks])


async def serve(mode):
    from aiohttp import web

    tracer = tracers.load(mode)

    async def work(request):
        return web.Response(text=str(await fan_out()))

    async def switch(request):
        tracer.on() if request.query["on"] == "1" else tracer.off()
        return web.Response(text=str(time.process_time_ns()))

    app = web.Application()
    app.add_routes([web.get("/work", work), web.get("/switch", switch)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print("READY", runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().create_future()


class Client:
    """Keep-alive connections that send requests as fast as they are answered."""

    @classmethod
    async def connect(cls, port, connections):
        client = cls()
        client.streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
        return client

    @staticmethod
    async def get(stream, path):
        reader, writer = stream
        writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return await reader.readexactly(length)

    async def load(self, requests):
        async def one(stream):
            for _ in range(requests // len(self.streams)):
                await self.get(stream, "/work")

        await asyncio.gather(*map(one, self.streams))

    async def cpu(self, on):
        return int(await self.get(self.streams[0], f"/switch?on={int(on)}"))


async def measure(options, port):
    client = await Client.connect(port, 8)
    await client.load(options.requests)
    ratios, plain = [], []
    for number in range(options.rounds):
        cpu = {}
        for on in (number % 2 == 0, number % 2 == 1):
            began = await client.cpu(on)
            await client.load(options.requests)
            cpu[on] = await client.cpu(on) - began
        plain.append(cpu[False] / options.requests / 1e3)
        ratios.append(cpu[False] / cpu[True])
    return ratios, plain


def main(options):
    ratios, plain = [], []
    for _ in range(options.processes):
        command = [sys.executable, __file__, "--serve", "--mode", options.mode]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = int(server.stdout.readline().split()[1])
                found = asyncio.run(measure(options, port))
            finally:
                server.kill()
        ratios += found[0]
        plain += found[1]
    print(
        json.dumps(
            {
                "python": "%d.%d.%d" % sys.version_info[:3],
                "mode": options.mode,
                "plain_us_per_request": round(statistics.median(plain), 1),
                "requests_of_plain": round(statistics.median(ratios), 3),
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", default="async_trace", choices=sorted(tracers.MODES))
    parser.add_argument("--requests", type=int, default=1600, help="a batch")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.mode))
    else:
        main(options)
