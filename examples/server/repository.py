"""Users, in SQLite."""

import aiosqlite

from utils.async_debug import debug_after_await, debug_before_await, debug_database_call

# Counts for ever: the huge table that nobody thought of.
ENDLESS = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers)
    SELECT max(n) FROM numbers
"""


class UserRepository:
    def __init__(self, database):
        self._database = database

    @classmethod
    async def open(cls):
        database = await aiosqlite.connect(":memory:")
        await database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        await database.execute("INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace')")
        return cls(database)

    async def close(self):
        await self._database.interrupt()
        await self._database.close()

    async def find_by_id(self, user_id):
        debug_before_await("user lookup query")
        async with self._database.execute("SELECT name FROM users WHERE id = ?", (user_id,)) as cursor:
            row = await cursor.fetchone()
        debug_after_await("user lookup query")
        return row and row[0]

    async def report(self):
        debug_database_call("complex analytics query")
        debug_before_await("slow query")
        async with self._database.execute(ENDLESS) as cursor:
            row = await cursor.fetchone()
        debug_after_await("slow query")
        return row[0]
