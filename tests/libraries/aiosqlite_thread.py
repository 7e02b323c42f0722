"""A connection of aiosqlite has one thread: what is slow holds up everything behind it."""
import asyncio

import _stage
import aiosqlite

ENDLESS = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n"


async def report(db):
    async with db.execute(ENDLESS) as rows:  # @busy
        return await rows.fetchone()


async def show_user(db, number):
    async with db.execute("select ?", (number,)) as rows:  # @waits
        return await rows.fetchone()


async def main():
    async with aiosqlite.connect(":memory:") as db:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(report(db), name="report")]
        tasks += [loop.create_task(show_user(db, n), name=f"user-{n}") for n in range(4)]
        _stage.ready_when_parked()
        await asyncio.gather(*tasks)


_stage.run(main)
