"""Builds the C program that embeds an interpreter."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "targets" / "embed.c"


def build(interpreter, directory):
    """The command that runs the embedding program with `interpreter`'s library: its path and its home."""
    config = Path(interpreter.path).with_name(f"python{interpreter.minor}-config")
    if not config.exists() or not shutil.which("gcc"):
        pytest.skip("needs gcc and the headers of this interpreter")
    flags = subprocess.run(
        [config, "--includes", "--ldflags", "--embed"], check=True, capture_output=True, text=True
    ).stdout.split()
    server = directory / "server"
    prefix = Path(interpreter.path).parents[1]
    subprocess.run(["gcc", "-o", server, SOURCE, *flags, f"-Wl,-rpath,{prefix}/lib"], check=True, timeout=120)
    return [server, prefix]
