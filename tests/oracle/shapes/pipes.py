"""Sockets, pipes and child processes."""

import asyncio
import os
import socket

from truth import shape


def tcp(sock, fd=None, status="ESTABLISHED"):
    """A TCP socket, as something to wait for."""
    name = "{}:{}".format(*sock.getsockname())
    file = {"fd": fd if fd is not None else sock.fileno(), "kind": "tcp", "local": name, "status": status}
    if status == "ESTABLISHED":
        file["peer"] = "{}:{}".format(*sock.getpeername())
    return {"kind": "file", "file": file}


async def silent_server(t):
    """The address of a server that never answers and never reads."""
    server = socket.create_server(("127.0.0.1", 0))
    t.kept.append(server)
    return server.getsockname()


async def connection(t):
    reader, writer = await asyncio.open_connection(*await silent_server(t))
    t.kept += [reader, writer]
    return reader, writer, tcp(writer.get_extra_info("socket"))


@shape
async def stream_reader(t):
    async def line(reader):
        return await reader.readline()

    async def some(reader):
        return await reader.read(100)

    async def exactly(reader):
        return await reader.readexactly(100)

    for read in (line, some, exactly):
        reader, _, target = await connection(t)
        t.waits(t.task(read(reader)), target, "read")


@shape
async def stream_writer(t):
    async def push(writer):
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    _, writer, target = await connection(t)
    task = t.task(push(writer))
    t.waits(task, target, "write")
    await t.settle(lambda: writer.transport.get_write_buffer_size() > 65536)


@shape
async def socket_of_the_loop(t):
    async def receive(sock):
        return await asyncio.get_running_loop().sock_recv(sock, 100)

    async def accept(sock):
        return await asyncio.get_running_loop().sock_accept(sock)

    sock = socket.create_connection(await silent_server(t))
    sock.setblocking(False)
    t.waits(t.task(receive(sock)), tcp(sock), "read")
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    t.waits(t.task(accept(server)), tcp(server, status="LISTEN"), "accept")
    t.kept += [sock, server]


@shape
async def server_that_serves(t):
    async def serve(server):
        async with server:
            await server.serve_forever()

    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    task = t.task(serve(server))
    await t.settle()
    t.waits(task, {"kind": "future", "id": task._fut_waiter, "type": "_asyncio.Future"})
    t.inside(task, server, at=serve.__qualname__)


@shape
async def pipe(t):
    async def consume(reader):
        await reader.read(1)

    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    file = os.fdopen(read_end, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    t.kept += [reader, file, write_end]
    number = str(os.stat(read_end).st_ino)
    target = {"kind": "file", "file": {"fd": read_end, "kind": "pipe", "local": number}}
    t.waits(t.task(consume(reader)), target, "read")


@shape
async def child_process(t):
    async def convert(child):
        return await child.wait()

    child = await asyncio.create_subprocess_exec("sleep", "119")
    t.kept.append(child)
    t.waits(t.task(convert(child)), {"kind": "process", "pid": child.pid, "command": "sleep 119"}, "wait")
