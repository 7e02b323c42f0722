"""Who holds what: `with` blocks of every kind, and the holders that are only a guess."""

import asyncio
import contextlib
import threading

from truth import shape

from .chains import pending


class Bank:
    def __init__(self, lock=None):
        self._lock = lock or asyncio.Lock()

    async def pay(self, future):
        async with self._lock:
            await self.book(future)

    async def book(self, future):
        await future


async def take(lock):
    async with lock:
        pass


async def hold(lock, future):
    async with lock:
        await future


@shape
async def lock_with_a_holder_and_three_waiters(t):
    bank = Bank()
    future, target = pending(t)
    holder = t.task(bank.pay(future))
    t.waits(holder, target)
    await t.settle()
    waited = t.resource(bank._lock, "lock", locked=True)
    t.holds(holder, bank._lock, at="Bank.pay", name="self._lock")
    for _ in range(3):
        t.waits(t.task(bank.pay(None)), waited, "acquire", name="self._lock")


@shape
async def lock_taken_by_hand(t):
    async def careful(door, future):
        await door.acquire()
        try:
            await future
        finally:
            door.release()

    async def late(door):
        await door.acquire()
        door.release()

    door = asyncio.Lock()
    future, target = pending(t)
    holder = t.task(careful(door, future))
    t.waits(holder, target)
    t.holds(holder, door, at=careful.__qualname__, name="door", guessed=True)
    await t.settle()
    t.waits(t.task(late(door)), t.resource(door, "lock", locked=True), "acquire", name="door")


@shape
async def two_locks_in_opposite_order(t):
    async def transfer(mine, theirs, both):
        async with mine:
            await both()
            await withdraw(theirs)

    async def withdraw(account):
        async with account:
            pass

    first, second = asyncio.Lock(), asyncio.Lock()

    async def both():
        while not (first.locked() and second.locked()):
            await asyncio.sleep(0)

    one = t.task(transfer(first, second, both))
    other = t.task(transfer(second, first, both))
    at = transfer.__qualname__
    t.holds(one, first, at=at, name="mine")
    t.holds(other, second, at=at, name="mine")
    t.waits(one, t.resource(second, "lock", locked=True), "acquire", name="account")
    t.waits(other, t.resource(first, "lock", locked=True), "acquire", name="account")
    await t.settle(first.locked, second.locked)


@shape
async def lock_taken_twice_by_the_same_task(t):
    async def outer(lock):
        async with lock:
            await take(lock)

    lock = asyncio.Lock()
    task = t.task(outer(lock))
    t.holds(task, lock, at=outer.__qualname__, name="lock")
    t.waits(task, t.resource(lock, "lock", locked=True), "acquire", name="lock")


@shape
async def lock_below_other_with_blocks(t):
    async def nested(lock, slots, manager, future):
        with manager:
            async with slots:
                for _ in range(3):
                    async with lock:
                        try:
                            await future
                        except ZeroDivisionError:
                            pass

    lock, slots, manager = asyncio.Lock(), asyncio.Semaphore(1), contextlib.suppress(KeyError)
    future, target = pending(t)
    task = t.task(nested(lock, slots, manager, future))
    at = nested.__qualname__
    t.waits(task, target)
    t.holds(task, slots, at=at, name="slots")
    t.holds(task, lock, at=at, name="lock")
    t.inside(task, manager, at=at)
    t.waits(t.task(take(lock)), t.resource(lock, "lock", locked=True), "acquire", name="lock")
    t.waits(t.task(take(slots)), t.resource(slots, "semaphore", size=0), "acquire", name="lock")


@shape
async def two_locks_in_one_statement(t):
    async def both(first, second, future):
        async with first, second:
            await future

    first, second = asyncio.Lock(), asyncio.Lock()
    future, target = pending(t)
    task = t.task(both(first, second, future))
    t.waits(task, target)
    for lock, name in ((first, "first"), (second, "second")):
        t.resource(lock, "lock", locked=True)
        t.holds(task, lock, at=both.__qualname__, name=name)


@shape
async def lock_in_an_exit_stack(t):
    async def stacked(lock, future):
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(lock)
            stack.enter_context(t.suppress)
            stack.callback(print)
            t.stack = stack
            await future

    lock = asyncio.Lock()
    future, target = pending(t)
    suppress = t.suppress = contextlib.suppress(KeyError)
    task = t.task(stacked(lock, future))
    await t.settle()
    t.waits(task, target)
    t.holds(task, lock, at=stacked.__qualname__, name="lock")
    t.inside(task, t.stack, at=stacked.__qualname__)
    t.inside(task, suppress, at=stacked.__qualname__)
    t.kept += [t.stack, suppress]
    t.waits(t.task(take(lock)), t.resource(lock, "lock", locked=True), "acquire", name="lock")


@shape
async def lock_in_an_async_context_manager_function(t):
    @contextlib.asynccontextmanager
    async def session(lock):
        async with lock:
            yield "session"

    async def use(manager, future):
        async with manager:
            await future

    lock = asyncio.Lock()
    manager = session(lock)
    future, target = pending(t)
    task = t.task(use(manager, future))
    t.waits(task, target)
    await t.settle()
    t.holds(task, lock, at=use.__qualname__)
    t.inside(task, manager, at=use.__qualname__, name=session.__qualname__)
    t.waits(t.task(take(lock)), t.resource(lock, "lock", locked=True), "acquire", name="lock")


@shape
async def thread_lock_across_an_await(t):
    async def token(guard, future):
        with guard:
            await future

    future, target = pending(t)
    for guard, kind in ((threading.Lock(), "thread_lock"), (threading.RLock(), "thread_rlock")):
        task = t.task(token(guard, future))
        t.waits(task, target)
        t.holds(task, guard, at=token.__qualname__, name="guard")
        t.resource(guard, kind, locked=True)


@shape
async def thread_lock_in_a_context_manager_function(t):
    @contextlib.contextmanager
    def guarded(guard):
        with guard:
            yield

    async def use(manager, future):
        with manager:
            await future

    guard = threading.Lock()
    manager = guarded(guard)
    future, target = pending(t)
    task = t.task(use(manager, future))
    t.waits(task, target)
    t.holds(task, guard, at=use.__qualname__)
    t.inside(task, manager, at=use.__qualname__, name=guarded.__qualname__)
    t.resource(guard, "thread_lock", locked=True)


@shape
async def lock_that_waiters_of_many_tasks_get_in_turn(t):
    lock = asyncio.Lock()
    future, target = pending(t)
    holder = t.task(hold(lock, future))
    t.waits(holder, target)
    t.holds(holder, lock, at="hold", name="lock")
    await t.settle()
    waited = t.resource(lock, "lock", locked=True)
    for _ in range(70):  # more than one block of a deque
        t.waits(t.task(take(lock)), waited, "acquire", name="lock")


async def rows(lock):
    async with lock:
        yield 1
        yield 2


class Cursor:
    def __init__(self, lock):
        self.rows = rows(lock)


@shape
async def lock_of_a_generator_that_a_loop_goes_through(t):
    async def read(generator, future):
        async for _ in generator:
            await future

    lock = asyncio.Lock()
    future, target = pending(t)
    generator = rows(lock)
    holder = t.task(read(generator, future))
    t.waits(holder, target)
    await t.settle()
    t.resource(lock, "lock", locked=True)
    t.holds(holder, lock, at=read.__qualname__, name="lock", through=generator)
    waiter = t.task(take(lock))
    t.waits(waiter, {"kind": "resource", "id": lock}, "acquire", name="lock")


@shape
async def semaphore_of_a_generator_in_a_variable(t):
    async def read(cursor, future):
        await cursor.rows.__anext__()
        await future
        return cursor

    semaphore = asyncio.Semaphore(1)
    future, target = pending(t)
    cursor = Cursor(semaphore)
    holder = t.task(read(cursor, future))
    t.waits(holder, target)
    await t.settle()
    t.resource(semaphore, "semaphore", size=0)
    t.holds(holder, semaphore, at=read.__qualname__, name="lock", guessed=True, through=cursor.rows)
    waiter = t.task(take(semaphore))
    t.waits(waiter, {"kind": "resource", "id": semaphore}, "acquire", name="lock")
