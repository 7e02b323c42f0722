"""What the service answers."""

import asyncio

from aiohttp import web

from repository import UserRepository
from utils.async_debug import (
    debug_async_trace,
    debug_http_request,
    debug_task_creation,
    log_task_info,
)

USERS = web.AppKey("users", UserRepository) if hasattr(web, "AppKey") else "users"


async def get_user(request):
    debug_http_request(f"{request.method} {request.path}")
    name = await request.app[USERS].find_by_id(int(request.match_info["id"]))
    return web.Response(text=name or "unknown")


async def get_report(request):
    debug_http_request(f"{request.method} {request.path}")
    return web.Response(text=str(await request.app[USERS].report()))


async def external_api_call():
    await asyncio.get_running_loop().create_future()


async def get_remote(request):
    debug_async_trace("Starting risky operation")
    try:
        await asyncio.wait_for(external_api_call(), 0.1)
    except asyncio.TimeoutError:
        debug_async_trace("TIMEOUT! Here's the call stack:")
        return web.Response(status=504, text="timeout")


async def process_item(item):
    await asyncio.sleep(0.01)
    return item


async def get_fan_out(request):
    tasks = []
    for item in range(10):
        task = asyncio.create_task(process_item(item))
        tasks.append(task)
    debug_task_creation()
    return web.Response(text=str(sum(await asyncio.gather(*tasks))))


async def get_tasks(request):
    log_task_info()
    return web.Response(text=str(len(asyncio.all_tasks())))


ROUTES = [
    web.get("/users/{id}", get_user),
    web.get("/report", get_report),
    web.get("/remote", get_remote),
    web.get("/fan-out", get_fan_out),
    web.get("/tasks", get_tasks),
]
