"""The helpers of `async_trace.debug`, one after the other: `python examples/async_trace_demo.py`."""

import asyncio
import sys

from async_trace import enable_tracing
from async_trace.debug import (
    debug_after_await,
    debug_async_trace,
    debug_before_await,
    debug_database_call,
    debug_http_request,
    debug_task_creation,
    get_async_trace_data,
    log_task_info,
)


async def find_user(user_id):
    debug_database_call(f"find user {user_id}")
    debug_before_await("user lookup query")
    await asyncio.sleep(0.05)
    debug_after_await("user lookup query")
    return {"id": user_id}


async def handler(user_id):
    debug_http_request(f"GET /users/{user_id}")
    user = await find_user(user_id)
    debug_async_trace("the user is here")
    return user


async def never_answers():
    await asyncio.get_running_loop().create_future()


async def external_api_call():
    await never_answers()


async def risky_operation():
    debug_async_trace("Starting risky operation")
    try:
        await asyncio.wait_for(external_api_call(), 0.05)
    except asyncio.TimeoutError:
        debug_async_trace("TIMEOUT! Here's the call stack:")


async def process_item(item):
    await never_answers()


async def too_many_tasks():
    tasks = []
    for item in range(1000):
        tasks.append(asyncio.create_task(process_item(item)))
    debug_task_creation()
    await asyncio.sleep(0)
    log_task_info()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def register():
    pass


async def register_routes():
    register()  # the await is missing


async def main():
    print("\n== A request, across its task ==")
    await asyncio.create_task(handler(7), name="request-7")
    print("\n== A timeout: where the await was when it was cut off ==")
    await risky_operation()
    print("\n== Too many tasks: one line ==")
    await too_many_tasks()
    print("\n== A forgotten await (Python's own warning) ==", flush=True)
    await register_routes()
    sys.stderr.flush()
    print("\n== The same as data ==")
    print(get_async_trace_data()["frames"][0])


enable_tracing()
asyncio.run(main())
