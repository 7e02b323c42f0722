"""Every way in which one suspended frame leads to the next."""

import asyncio
import contextlib
import types

from truth import shape, type_name


def pending(t):
    """A future that nothing will ever complete, and how it is waited for."""
    future = asyncio.get_running_loop().create_future()
    t.kept.append(future)
    return future, {"kind": "future", "id": future, "type": type_name(future)}


async def leaf(future):
    await future


@shape
async def plain_future(t):
    future, target = pending(t)
    t.waits(t.task(leaf(future)), target)


@shape
async def several_coroutines_deep(t):
    async def descend(depth, future):
        if depth:
            await descend(depth - 1, future)
        else:
            await future

    future, target = pending(t)
    t.waits(t.task(descend(40, future)), target)


class Service:
    class Inner:
        async def method(self, future):
            return await future

    @staticmethod
    async def static(future):
        return await Service.Inner().method(future)

    @classmethod
    async def entry(cls, future):
        return await cls.static(future)


@shape
async def methods_of_nested_classes(t):
    future, target = pending(t)
    t.waits(t.task(Service.entry(future)), target)


@shape
async def a_statement_over_several_lines(t):
    async def spread(future):
        return [
            1,
            await leaf(
                future,
            ),
            3,
        ]

    future, target = pending(t)
    t.waits(t.task(spread(future)), target)


@shape
async def a_line_far_below_its_function(t):
    namespace = {"leaf": leaf}
    source = "async def far(future):\n" + "    x = 1\n" * 700 + "    await leaf(future)\n" + "    x = 2\n" * 300
    exec(compile(source, "<far away>", "exec"), namespace)
    future, target = pending(t)
    t.waits(t.task(namespace["far"](future)), target)


async def numbers(future):
    yield 1
    await future
    yield 2


async def doubled(source):
    async for number in source:
        yield 2 * number


@shape
async def async_for(t):
    async def consume(source):
        async for _ in source:
            pass

    future, target = pending(t)
    t.waits(t.task(consume(numbers(future))), target)


@shape
async def async_generators_in_a_row(t):
    async def consume(source):
        async for _ in source:
            pass

    future, target = pending(t)
    t.waits(t.task(consume(doubled(doubled(numbers(future))))), target)


@shape
async def asend(t):
    async def consume(source):
        await source.asend(None)
        await source.asend(None)

    future, target = pending(t)
    t.waits(t.task(consume(numbers(future))), target)


async def cleaning_up(future):
    try:
        yield 1
    finally:
        await future


@shape
async def aclose(t):
    async def consume(source):
        await source.asend(None)
        await source.aclose()

    future, target = pending(t)
    t.waits(t.task(consume(cleaning_up(future))), target)


@shape
async def athrow(t):
    async def consume(source):
        await source.asend(None)
        await source.athrow(ValueError)

    future, target = pending(t)
    t.waits(t.task(consume(cleaning_up(future))), target)


@shape(since=(3, 10))
async def anext_with_default(t):
    async def consume(source):
        await anext(source, None)  # noqa: F821  (3.10+)
        await anext(source, None)  # noqa: F821

    future, target = pending(t)
    t.waits(t.task(consume(numbers(future))), target)


@shape
async def async_comprehension(t):
    async def consume(source):
        return [number async for number in source]

    future, target = pending(t)
    t.waits(t.task(consume(numbers(future))), target)


class Query:
    """`__await__` is a generator."""

    def __init__(self, future):
        self.future = future

    def __await__(self):
        yield from self.future.__await__()


class Request:
    """`__await__` lends a coroutine's."""

    def __init__(self, coro):
        self.coro = coro

    def __await__(self):
        return self.coro.__await__()


class Handmade:
    """An iterator that is no generator."""

    def __init__(self, future):
        self.future = future

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if not self.future.done():
            self.future._asyncio_future_blocking = True
            return self.future
        raise StopIteration


@types.coroutine
def legacy(future):
    yield from future


@shape
async def await_method_as_a_generator(t):
    async def consume(future):
        await Query(future)

    future, target = pending(t)
    t.waits(t.task(consume(future)), target)


@shape
async def await_method_that_lends_a_coroutine(t):
    async def consume(future):
        await Request(leaf(future))

    future, target = pending(t)
    t.waits(t.task(consume(future)), target)


@shape
async def await_method_that_lends_a_future(t):
    class Box:
        def __init__(self, future):
            self.future = future

        def __await__(self):
            return self.future.__await__()

    async def consume(future):
        await Box(future)

    future, target = pending(t)
    t.waits(t.task(consume(future)), target)


@shape
async def awaitable_that_is_no_code(t):
    async def consume(future):
        await Handmade(future)

    future, target = pending(t)
    t.waits(t.task(consume(future)), target)


@shape
async def generator_coroutine(t):
    async def consume(future):
        await legacy(future)

    future, target = pending(t)
    t.waits(t.task(consume(future)), target)


class Slow:
    """A context manager that takes its time at one end."""

    def __init__(self, entering=None, leaving=None):
        self.entering = entering
        self.leaving = leaving

    async def __aenter__(self):
        if self.entering:
            await self.entering

    async def __aexit__(self, *exc):
        if self.leaving:
            await self.leaving


@shape
async def waiting_in_aenter(t):
    async def enter(manager):
        async with manager:
            pass

    future, target = pending(t)
    t.waits(t.task(enter(Slow(entering=future))), target)


@shape
async def waiting_in_aexit(t):
    async def leave(manager):
        async with manager:
            pass

    future, target = pending(t)
    t.waits(t.task(leave(Slow(leaving=future))), target)


@shape
async def waiting_in_aexit_of_an_error(t):
    async def leave(manager):
        async with manager:
            raise ValueError

    future, target = pending(t)
    t.waits(t.task(leave(Slow(leaving=future))), target)


@shape
async def inside_of_with_blocks(t):
    async def nested(outer, inner, future):
        async with outer:
            with inner:
                await future

    future, target = pending(t)
    outer, inner = Slow(), contextlib.suppress(ZeroDivisionError)
    task = t.task(nested(outer, inner, future))
    t.waits(task, target)
    t.inside(task, outer, at=nested.__qualname__)
    t.inside(task, inner, at=nested.__qualname__)


@shape
async def except_and_finally_are_no_with_blocks(t):
    async def careful(future):
        try:
            try:
                raise KeyError
            except KeyError:
                await future
        finally:
            future.cancel()

    future, target = pending(t)
    t.waits(t.task(careful(future)), target)


@shape
async def recursion_of_the_same_code(t):
    async def again(depth, future):
        async with Slow():
            if depth:
                return await again(depth - 1, future)
        await future

    future, target = pending(t)
    t.waits(t.task(again(0, future)), target)
