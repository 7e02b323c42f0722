"""Coroutines that were created and never awaited: the mails are never sent."""

import asyncio

import _stage

outbox = []


async def send_mail(address):
    print("mail to", address)


def notify(users):
    for user in users:
        outbox.append(send_mail(f"{user}@example.org"))  # `await` is missing


async def main():
    notify(["ann", "bob", "eve"])
    _stage.ready_when_parked()
    await asyncio.Event().wait()


_stage.run(main)
