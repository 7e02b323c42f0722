"""Tasks of every kind, and names of every kind."""

import asyncio

from truth import shape, type_name

from .chains import leaf, pending
from .trees import tasks


class RequestTask(asyncio.Task):
    """A task with attributes of its own."""

    def __init__(self, coro, *, request="GET /", **kwargs):
        self.request = request
        super().__init__(coro, **kwargs)


class SpecialTask(RequestTask):
    __slots__ = ("slotted",)


@shape
async def task_subclass(t):
    for cls in (RequestTask, SpecialTask):
        future, target = pending(t)
        t.waits(t.task(leaf(future), cls=cls), target)


@shape
async def pure_python_task(t):
    future, target = pending(t)
    inner = t.task(leaf(future), cls=asyncio.tasks._PyTask)
    t.waits(inner, target)
    t.waits(t.task(leaf(inner), cls=asyncio.tasks._PyTask), tasks(inner))
    t.waits(t.task(leaf(inner)), tasks(inner))


@shape
async def pure_python_future(t):
    future = asyncio.futures._PyFuture(loop=asyncio.get_running_loop())
    t.waits(t.task(leaf(future)), {"kind": "future", "id": future, "type": type_name(future)})


@shape
async def future_subclass(t):
    class Reply(asyncio.Future):
        pass

    future = Reply(loop=asyncio.get_running_loop())
    t.waits(t.task(leaf(future)), {"kind": "future", "id": future, "type": type_name(future)})


@shape(since=(3, 12))
async def eager_task(t):
    future, target = pending(t)
    t.waits(t.task(leaf(future), cls=asyncio.Task, eager_start=True), target)


@shape
async def names_in_many_scripts(t):
    future, target = pending(t)
    for name in ("é", "имя-задачи", "日本", "😀", "a" * 300, "", "with space", "new\nline", "\x1b[31mred", "\ud800"):
        t.waits(t.task(leaf(future), name=name), target)


@shape
async def name_that_nobody_asked_for(t):
    loop = asyncio.get_running_loop()
    future, target = pending(t)
    before = loop.create_task(leaf(future))
    task = loop.create_task(leaf(future))
    t.know(before)
    t.waits(before, target)
    t.know(task)
    t.waits(task, target)
    number = int(before.get_name().rpartition("-")[2])
    t.tasks[task].name = f"Task-{number + 1}"  # from 3.12 on a number until somebody asks


@shape
async def tasks_that_are_done(t):
    async def fail():
        raise ValueError

    done = [t.task(asyncio.sleep(0)), t.task(fail()), t.task(asyncio.sleep(3600))]
    t.kept.extend(done)
    await asyncio.sleep(0)
    done[2].cancel()
    await asyncio.wait(done)
    done[1].exception()
