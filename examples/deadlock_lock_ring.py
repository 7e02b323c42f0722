"""Three philosophers, three forks: each holds one and waits for the next."""

import asyncio

import _stage


class Philosopher:
    def __init__(self, name, left, right):
        self.name = name
        self.left = left
        self.right = right

    async def eat(self):
        async with self.left:
            await asyncio.sleep(0)
            await self.take_right_fork()

    async def take_right_fork(self):
        async with self.right:
            print(f"{self.name} eats")


async def main():
    forks = [asyncio.Lock() for _ in range(3)]
    names = ("kant", "hegel", "plato")
    table = [Philosopher(name, forks[n], forks[(n + 1) % 3]) for n, name in enumerate(names)]
    meals = [asyncio.create_task(guest.eat(), name=guest.name) for guest in table]
    _stage.ready_when_parked()
    await asyncio.wait(meals)


_stage.run(main)
