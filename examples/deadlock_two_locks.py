"""Two transfers lock the same two accounts in opposite order, and wait for each other for ever."""

import asyncio

import _stage


class Account:
    def __init__(self, owner):
        self.owner = owner
        self.lock = asyncio.Lock()


async def withdraw(account, amount):
    async with account.lock:
        print(f"{account.owner} pays {amount}")


async def transfer(source, target, amount, both_started):
    async with target.lock:
        await both_started()
        await withdraw(source, amount)


async def statement(account):
    async with account.lock:
        print(f"statement of {account.owner}")


async def main():
    alice, bob = Account("alice"), Account("bob")

    async def both_started():
        while not (alice.lock.locked() and bob.lock.locked()):
            await asyncio.sleep(0)

    transfers = [
        asyncio.create_task(transfer(alice, bob, 10, both_started), name="alice-pays-bob"),
        asyncio.create_task(transfer(bob, alice, 20, both_started), name="bob-pays-alice"),
    ]
    await both_started()
    customer = asyncio.create_task(statement(alice), name="statement")
    _stage.ready_when_parked()
    await asyncio.gather(*transfers, customer)


_stage.run(main)
