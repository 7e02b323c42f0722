"""A page waits for its sections, a section for its queries: the slow query is the leaf that matters."""

import asyncio

import _stage


async def query(sql, answer):
    if answer is None:
        return 0
    return await answer


async def section(name, *queries):
    return await asyncio.gather(*(asyncio.create_task(q, name=f"{name}-sql-{n}") for n, q in enumerate(queries)))


async def page(slow, slower):
    return await asyncio.gather(
        asyncio.create_task(section("orders", query("SELECT 1", None), query("SELECT 2", slow)), name="orders"),
        asyncio.create_task(section("customers", query("SELECT 3", slower)), name="customers"),
        asyncio.create_task(section("footer", query("SELECT 4", None)), name="footer"),
    )


async def main():
    loop = asyncio.get_running_loop()
    request = asyncio.create_task(page(loop.create_future(), loop.create_future()), name="page")
    _stage.ready_when_parked(also=lambda: len(asyncio.all_tasks()) == 6)
    await request


_stage.run(main)
