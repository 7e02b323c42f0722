"""Real servers: the example of the guide, and workers of uvicorn and gunicorn under `async-trace run`."""

import http.client
import os
import re
import signal
import socket
import subprocess
from contextlib import contextmanager

import pytest
from conftest import clean_environment
from rig.interpreters import ROOT

SERVICE = ROOT / "examples" / "server"


@contextmanager
def running(command, package, cwd, ready, pass_fds=()):
    """A server that has said so on stdout or stderr; yields the match, the process and what it printed."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=clean_environment(package, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        pass_fds=pass_fds,
    )
    printed = []
    try:
        for line in process.stdout:
            printed.append(line)
            match = re.search(ready, line)
            if match:
                break
        else:
            pytest.fail("the server ended: " + "".join(printed))
        yield match, process, printed
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        printed += process.stdout
        process.wait()


def get(port, path, timeout=20):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def test_the_service_of_the_guide(package, libraries):
    command = [libraries, "main_clean.py", "--async-trace"]
    with running(command, package, SERVICE, r"READY (\d+)") as (match, _, printed):
        port = match[1]
        assert get(port, "/users/1") == (200, "Ada")
        assert get(port, "/remote") == (504, "timeout")
        assert get(port, "/fan-out") == (200, "45")
        with pytest.raises(TimeoutError):
            get(port, "/report", timeout=1)
        get(port, "/tasks")
    out = "".join(printed)
    assert re.search(
        r"🔍 HTTP request: GET /users/1\n"
        r"↑ get_user\(\) at line 19 \[handlers.py\]\n"
        r"(  ↑ Task-\d+ created at line \d+ \[web_protocol.py\]\n)?",
        out,
    )
    assert re.search(r"⏳ before await: user lookup query, find_by_id\(\) at line 30 \[repository.py\], Task-\d+\n", out)
    assert re.search(r"⌛ after await: user lookup query, took [\d.]+ m?s, find_by_id\(\) at line 33", out)
    assert (
        "⏱ the await was cut off here:\n"
        "↑ external_api_call() at line 30 [handlers.py]\n"
        "  ↑ get_remote() at line 36 [handlers.py]\n"
    ) in out
    assert "↑ get_fan_out() at line 50 [handlers.py]: 10 created, 10 alive\n" in out
    assert re.search(r"↑ slow query: pending for \d\.\d s, report\(\) at line 38 \[repository.py\], Task-\d+\n", out)


def test_the_service_without_the_flag_prints_nothing(package, libraries):
    with running([libraries, "main_clean.py"], package, SERVICE, r"READY (\d+)") as (match, _, printed):
        assert get(match[1], "/users/2") == (200, "Grace")
        assert get(match[1], "/remote") == (504, "timeout")
    assert len(printed) == 1


def test_the_demo(package, interpreter):
    done = subprocess.run(
        [interpreter.path, str(ROOT / "examples" / "async_trace_demo.py")],
        env=clean_environment(package),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "  ↑ request-7 created at line 76 [async_trace_demo.py]\n" in done.stdout
    assert "↑ too_many_tasks() at line 57 [async_trace_demo.py]: 1000 created, 1000 alive\n" in done.stdout
    assert "↑ register() coroutine never awaited\n  ↑ register_routes() at line 71 [async_trace_demo.py]\n" in done.stderr


APPLICATION = """
import asyncio, gc, os, sys

async def fails():
    raise ValueError("lost")

async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    asyncio.create_task(fails())
    await asyncio.sleep(0)
    gc.collect()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})

async def wsgi_like(request):
    from aiohttp import web
    asyncio.create_task(fails())
    await asyncio.sleep(0)
    gc.collect()
    return web.Response(text=str(os.getpid()))

async def factory():
    from aiohttp import web
    app = web.Application()
    app.add_routes([web.get("/", wsgi_like)])
    return app
"""
RUN = "import sys; from async_trace.__main__ import main; sys.exit(main())"


SERVERS = {
    "uvicorn": (["uvicorn", "service:application", "--workers", "2", "--loop", "asyncio", "--fd"], "", "application"),
    "gunicorn": (["gunicorn", "service:factory", "-w", "2", "-k", "aiohttp.GunicornWebWorker", "-b"], "fd://", "wsgi_like"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_workers_of_an_unchanged_service(package, libraries, tmp_path, server):
    (tmp_path / "service.py").write_text(APPLICATION)
    arguments, prefix, function = SERVERS[server]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor = listening.fileno()
        command = [libraries, "-c", RUN, "run", "--", libraries, "-m", *arguments, f"{prefix}{descriptor}"]
        ready = r"Started server process|Booting worker"
        with running(command, package, tmp_path, ready, pass_fds=[descriptor]) as (_, process, printed):
            status, worker = get(listening.getsockname()[1], "/")
            assert status == 200 and int(worker) != process.pid
    out = "".join(printed)
    assert "Object created at (most recent call last):" in out
    assert re.search(rf'  File "{tmp_path}/service.py", line \d+, in {function}\n    asyncio.create_task', out)
