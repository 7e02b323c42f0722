"""aiohttp: long polls, server-sent events and websockets whose clients say nothing, over a hub of queues."""

import asyncio

import _stage
from aiohttp import ClientSession, ClientTimeout, WSMsgType, web

news = None
listeners = set()


async def poll(request):
    async with news:
        await news.wait()
    return web.Response(text="news")


async def events(request):
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    inbox = asyncio.Queue(10)
    listeners.add(inbox)
    try:
        while True:
            await response.write(await inbox.get())
    finally:
        listeners.discard(inbox)


async def chat(request):
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    inbox = asyncio.Queue(10)
    listeners.add(inbox)

    async def forward():
        while True:
            await socket.send_str(await inbox.get())

    forwarder = asyncio.create_task(forward())
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                for listener in listeners:
                    listener.put_nowait(message.data)
    finally:
        forwarder.cancel()
        listeners.discard(inbox)


async def watch(session, url):
    while True:
        async with session.get(url) as response:
            async for _ in response.content:
                pass


async def main():
    global news
    news = asyncio.Condition()
    app = web.Application()
    app.add_routes([web.get("/poll", poll), web.get("/events", events), web.get("/chat", chat)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = "http://127.0.0.1:%d" % runner.addresses[0][1]
    async with ClientSession(timeout=ClientTimeout(total=None)) as session:
        readers = [asyncio.create_task(watch(session, url + path)) for path in ["/poll", "/events"] * 12]
        sockets = [await session.ws_connect(url + "/chat", heartbeat=20) for _ in range(15)]
        readers += [asyncio.create_task(socket.receive()) for socket in sockets]
        while len(listeners) < 27 or len(news._waiters) < 12:
            await asyncio.sleep(0.01)
        _stage.ready()
        await asyncio.gather(*readers)


_stage.run(main)
