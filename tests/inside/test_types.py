"""The types that the package ships are those that it has."""

import subprocess
import sys

import pytest
from conftest import clean_environment


def test_stubs_match_what_is_there(package, tmp_path):
    pytest.importorskip("mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "async_trace"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=clean_environment(package),
    )
    assert done.returncode == 0, done.stdout


def test_the_package_says_that_it_is_typed(package):
    import os

    assert os.path.exists(os.path.join(package, "async_trace", "py.typed"))
    assert os.path.exists(os.path.join(package, "async_trace", "_core.pyi"))


def test_strictly(package, tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(
        "import asyncio\n"
        "from async_trace import check, collect_async_trace, print_trace\n"
        "from async_trace.debug import configure, debug_before_await, operation\n"
        "configure(output='stderr', sample=0.5)\n"
        "print_trace()\n"
        "frames = collect_async_trace()['frames']\n"
        "debug_before_await('query')\n"
        "@operation('named')\n"
        "async def work(n: int) -> str:\n"
        "    return str(n)\n"
        "reveal_type(work)\n"
        "print(check(1.0)[0]['check'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "user.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**clean_environment(package, PYTHONPATH=None), "MYPYPATH": package},
    )
    assert done.returncode == 0, done.stdout
    assert "def (n: int) -> typing.Coroutine[Any, Any, str]" in done.stdout.replace("builtins.", "")
