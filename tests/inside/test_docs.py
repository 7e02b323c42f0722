"""The programs in docs/inside.md print what stands below them. `--update` writes it anew."""

import re
import shlex
import subprocess

import pytest
from conftest import clean_environment
from rig.interpreters import ROOT, find

PAGE = ROOT / "docs" / "inside.md"
PROGRAM = re.compile(r"<!-- program: (?P<command>.+?) -->\n```python\n(?P<source>.*?)```\n\n```text\n(?P<output>.*?)```", re.S)
# What differs from run to run.
CHANGING = [
    (re.compile(r"\d+(\.\d+)?(?= (ms|s)\b)"), "#"),
    (re.compile(r'"(time|pid)": [\d.]+'), r'"\1": #'),
    (re.compile(r"\b0x[0-9a-f]+"), "0x#"),
]


def run(python, package, directory, command, source):
    name, *arguments = shlex.split(command)
    (directory / name).write_text(source)
    done = subprocess.run(
        [python, name, *arguments],
        cwd=directory,
        env=clean_environment(package, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    lines = done.stdout.replace(str(directory) + "/", "").splitlines(keepends=True)
    # Python's own advice, which is about something else.
    return "".join(line for line in lines if "Enable tracemalloc" not in line)


def comparable(text):
    for pattern, replacement in CHANGING:
        text = pattern.sub(replacement, text)
    return text


def test_programs_print_what_the_page_says(package, tmp_path, request):
    interpreter = find().get("3.13") or pytest.skip("the page's outputs are of CPython 3.13")
    page = PAGE.read_text(encoding="utf-8")
    wrong = []

    def renew(match):
        printed = run(interpreter.path, package, tmp_path, match["command"], match["source"])
        if comparable(printed) == comparable(match["output"]):
            return match.group()
        wrong.append((match["command"], printed))
        return match.group()[: match.start("output") - match.start()] + printed + "```"

    renewed = PROGRAM.sub(renew, page)
    if request.config.getoption("--update"):
        PAGE.write_text(renewed, encoding="utf-8")
    else:
        assert not wrong
