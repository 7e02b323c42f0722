"""Event, Condition, Barrier, Queue, Semaphore, sleep: what asyncio itself gives to wait for."""

import asyncio

from truth import shape

from .chains import pending


@shape
async def event(t):
    async def visit(door):
        await door.wait()

    door = asyncio.Event()
    waited = t.resource(door, "event", set=False)
    for _ in range(3):
        t.waits(t.task(visit(door)), waited, "wait", name="door")


class Depot:
    def __init__(self):
        self.changed = asyncio.Condition()

    async def take(self):
        async with self.changed:
            await self.changed.wait()

    async def take_if(self, there):
        async with self.changed:
            await self.changed.wait_for(lambda: there)

    async def count(self, future):
        async with self.changed:
            await future


@shape
async def condition_that_nobody_notifies(t):
    depot = Depot()
    waited = t.resource(depot.changed, "condition")
    t.waits(t.task(depot.take()), waited, "wait", name="self.changed")
    t.waits(t.task(depot.take_if(False)), waited, "wait", name="self.changed")


@shape
async def condition_that_somebody_holds(t):
    depot = Depot()
    future, target = pending(t)
    waiter = t.task(depot.take())
    await t.settle()
    holder = t.task(depot.count(future))
    await t.settle()
    late = t.task(depot.take())
    t.waits(waiter, t.resource(depot.changed, "condition"), "wait", name="self.changed")
    t.waits(holder, target)
    # The condition's own lock is what is held; the program's name for it is the condition's.
    t.holds(holder, depot.changed._lock, at="Depot.count", name="self.changed")
    t.waits(late, t.resource(depot.changed._lock, "lock", locked=True), "acquire", name="self.changed")


@shape(since=(3, 11))
async def barrier(t):
    async def race(start):
        await start.wait()

    async def race_with(start):
        async with start:
            pass

    start = asyncio.Barrier(4)
    waited = t.resource(start, "barrier", size=2, capacity=4)
    t.waits(t.task(race(start)), waited, "wait", name="start")
    t.waits(t.task(race_with(start)), waited, "wait", name="start")


async def get(jobs):
    return await jobs.get()


async def put(jobs, job):
    await jobs.put(job)


async def join(jobs):
    await jobs.join()


@shape
async def queue_that_is_empty(t):
    jobs = asyncio.Queue()
    waited = t.resource(jobs, "queue", size=0, capacity=0, unfinished=0, getters=3, putters=0)
    for _ in range(3):
        t.waits(t.task(get(jobs)), waited, "get", name="jobs")


@shape
async def queue_that_is_full(t):
    jobs = asyncio.Queue(2)
    for job in "ab":
        jobs.put_nowait(job)
    waited = t.resource(jobs, "queue", size=2, capacity=2, unfinished=2, getters=0, putters=2)
    for job in "cd":
        t.waits(t.task(put(jobs, job)), waited, "put", name="jobs")
    t.waits(t.task(join(jobs)), waited, "join", name="jobs")


@shape
async def queue_by_priority(t):
    jobs = asyncio.PriorityQueue(1)
    jobs.put_nowait((1, "a"))
    waited = t.resource(jobs, "queue", size=1, capacity=1, unfinished=1, getters=0, putters=1)
    t.waits(t.task(put(jobs, (2, "b"))), waited, "put", name="jobs")


@shape
async def queue_of_the_last(t):
    class Worker:
        def __init__(self):
            self.jobs = asyncio.LifoQueue()

        async def run(self):
            await self.jobs.get()

    worker = Worker()
    waited = t.resource(worker.jobs, "queue", size=0, capacity=0, unfinished=0, getters=1, putters=0)
    t.waits(t.task(worker.run()), waited, "get", name="self.jobs")


class Downloader:
    def __init__(self, slots):
        self._slots = slots

    async def download(self, body):
        async with self._slots:
            await body


async def semaphore_of(t, slots):
    downloader = Downloader(slots)
    for _ in range(2):
        future, target = pending(t)
        holder = t.task(downloader.download(future))
        t.waits(holder, target)
        t.holds(holder, slots, at="Downloader.download", name="self._slots")
    await t.settle()
    waited = t.resource(slots, "semaphore", size=0)
    for _ in range(2):
        t.waits(t.task(downloader.download(None)), waited, "acquire", name="self._slots")


@shape
async def semaphore(t):
    await semaphore_of(t, asyncio.Semaphore(2))


@shape
async def bounded_semaphore(t):
    slots = asyncio.BoundedSemaphore(2)
    await semaphore_of(t, slots)
    t.resource(slots, "semaphore", capacity=2)


@shape
async def sleep(t):
    async def nap():
        await asyncio.sleep(3600)

    deadline = asyncio.get_running_loop().time() + 3600
    t.waits(t.task(nap()), {"kind": "timer", "deadline": deadline}, "sleep")
