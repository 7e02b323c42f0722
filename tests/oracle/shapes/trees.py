"""Tasks that wait for tasks."""

import asyncio

from truth import VERSION, shape

from .chains import leaf, pending


def children(t, count=2):
    """Parked tasks to wait for."""
    tasks = []
    for _ in range(count):
        future, target = pending(t)
        tasks.append(t.task(leaf(future)))
        t.waits(tasks[-1], target)
    return tasks


def tasks(*waited, done=0):
    """These tasks, as something to wait for."""
    return {"kind": "tasks", "pending": list(waited), "done": done}


@shape
async def awaiting_a_task(t):
    (child,) = children(t, 1)
    t.waits(t.task(leaf(child)), tasks(child))


@shape
async def two_tasks_await_the_same(t):
    (child,) = children(t, 1)
    for _ in range(2):
        t.waits(t.task(leaf(child)), tasks(child))


@shape
async def tasks_in_a_row(t):
    (last,) = children(t, 1)
    for _ in range(5):
        following = t.task(leaf(last))
        t.waits(following, tasks(last))
        last = following


@shape
async def gather(t):
    async def page(*sections):
        return await asyncio.gather(*sections)

    sections = children(t, 3)
    t.waits(t.task(page(*sections)), tasks(*sections), "gather")


@shape
async def gather_of_coroutines(t):
    async def page(future):
        return await asyncio.gather(leaf_of_page(future), leaf_of_page(future))

    async def leaf_of_page(future):
        await future

    future, target = pending(t)
    parent = t.task(page(future))
    await t.settle()
    inner = [t.made_inside("leaf_of_page") for _ in range(2)]
    inner.sort(key=lambda task: parent._fut_waiter._children.index(task))
    for child in inner:
        t.waits(child, target)
    t.waits(parent, tasks(*inner), "gather")


@shape
async def gather_with_one_done(t):
    async def page(*sections):
        return await asyncio.gather(*sections, return_exceptions=True)

    sections = children(t, 2)
    done = t.task(asyncio.sleep(0))
    t.waits(t.task(page(*sections, done)), tasks(*sections, done=1), "gather")
    await done


@shape
async def gather_of_gathers(t):
    async def page(first, second):
        return await asyncio.gather(asyncio.gather(*first), asyncio.gather(*second))

    first, second = children(t), children(t)
    t.waits(t.task(page(first, second)), tasks(*first, *second), "gather")


@shape
async def wait(t):
    async def for_all(jobs):
        await asyncio.wait(jobs)

    jobs = children(t)
    t.waits(t.task(for_all(jobs)), tasks(*jobs), "wait")


@shape
async def wait_for_the_first_with_a_timeout(t):
    async def for_first(jobs):
        await asyncio.wait(jobs, timeout=3600, return_when=asyncio.FIRST_COMPLETED)

    jobs = children(t)
    deadline = asyncio.get_running_loop().time() + 3600
    t.waits(t.task(for_first(jobs)), tasks(*jobs), "wait", deadline=deadline)


async def answer(future):
    return await future


@shape
async def wait_for(t):
    async def patient(future):
        await asyncio.wait_for(answer(future), 3600)

    future, target = pending(t)
    deadline = asyncio.get_running_loop().time() + 3600
    parent = t.task(patient(future))
    await t.settle()
    if VERSION >= (3, 12):  # the same task goes on inside of a `timeout` block
        t.waits(parent, target, deadline=deadline)
        note_timeout(t, parent, at="wait_for")
    else:
        child = t.made_inside("answer")
        t.waits(child, target)
        t.waits(parent, tasks(child), "wait_for", deadline=deadline)


def note_timeout(t, task, at):
    """The Timeout object of a `timeout` block lies on the suspended frame's stack: found by its task."""
    import gc

    (manager,) = [each for each in gc.get_objects() if type(each) is asyncio.Timeout and each._task is task]
    t.inside(task, manager, at=at)


@shape
async def wait_for_a_task(t):
    async def patient(job):
        await asyncio.wait_for(job, 3600)

    (job,) = children(t, 1)
    deadline = asyncio.get_running_loop().time() + 3600
    parent = t.task(patient(job))
    await t.settle()
    if VERSION >= (3, 12):
        t.waits(parent, tasks(job), deadline=deadline)
        note_timeout(t, parent, at="wait_for")
    else:
        t.waits(parent, tasks(job), "wait_for", deadline=deadline)


@shape(since=(3, 11))
async def timeout(t):
    async def patient(future):
        async with asyncio.timeout(3600):
            async with asyncio.timeout(None):
                async with asyncio.timeout(1800) as inner:
                    inner.reschedule(asyncio.get_running_loop().time() + 1900)
                    await leaf(future)

    import gc

    future, target = pending(t)
    now = asyncio.get_running_loop().time()
    task = t.task(patient(future))
    await t.settle()
    t.waits(task, target, deadline=now + 1900)
    found = [each for each in gc.get_objects() if type(each) is asyncio.Timeout and each._task is task]
    for manager in sorted(found, key=lambda each: (3600, 0, 1900).index(round((each.when() or now) - now, -1))):
        t.inside(task, manager, at=patient.__qualname__)


@shape
async def shield(t):
    async def protect(job):
        await asyncio.shield(job)

    (job,) = children(t, 1)
    t.waits(t.task(protect(job)), tasks(job), "shield")


@shape
async def as_completed(t):
    async def race(mirrors):
        for first in asyncio.as_completed(mirrors):
            await first

    mirrors = children(t, 2)
    t.waits(t.task(race(mirrors)), tasks(*mirrors), "as_completed")


@shape(since=(3, 13))
async def as_completed_by_async_for(t):
    async def race(mirrors):
        async for first in asyncio.as_completed(mirrors):
            await first

    mirrors = children(t, 2)
    t.waits(t.task(race(mirrors)), tasks(*mirrors), "as_completed")


@shape(since=(3, 11))
async def task_group_at_its_end(t):
    async def factory(futures):
        async with asyncio.TaskGroup() as group:
            t.made = [group.create_task(leaf(future)) for future in futures]

    futures, targets = zip(*(pending(t) for _ in range(3)))
    parent = t.task(factory(futures))
    await t.settle()
    for child, target in zip(t.made, targets):
        t.waits(t.know(child), target)
    t.waits(parent, tasks(*t.made), "task_group")


@shape(since=(3, 11))
async def task_group_in_its_body(t):
    async def factory(futures):
        async with asyncio.TaskGroup() as group:
            t.group = group
            t.made = group.create_task(leaf(futures[0]))
            await futures[1]

    first, target = pending(t)
    second, mine = pending(t)
    parent = t.task(factory((first, second)))
    await t.settle()
    t.waits(t.know(t.made), target)
    t.waits(parent, mine)
    t.inside(parent, t.group, at=factory.__qualname__)


@shape(since=(3, 11))
async def cancelled_once_and_going_on(t):
    async def stubborn(future):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await future

    future, target = pending(t)
    task = t.task(stubborn(future))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    t.waits(task, target)
    await t.settle(lambda: task._fut_waiter is future)


@shape
async def ring_of_tasks(t):
    async def after(previous):
        await previous[0]

    slots = [[None] for _ in range(3)]
    ring = [t.task(after(slot)) for slot in slots]
    for n, task in enumerate(ring):
        slots[n][0] = ring[n - 1]
        t.waits(task, tasks(ring[n - 1]))
