#!/usr/bin/env python3
"""Keeps the outputs in README.md and docs/ real: runs what each marker names and puts the output below it.

    tools/docs_outputs.py            write the blocks anew where they are no longer true
    tools/docs_outputs.py --check    change nothing; exit 1 and show what is no longer true

A marker is a comment before a fenced block. It names a command, and before it the example it looks at;
PID stands for the process id of that example:

    <!-- output: examples/deadlock_two_locks.py: async-trace dump PID -->
    <!-- output (exit 2): async-trace dump 999999999 -->

What differs from run to run (process ids, addresses, ports, this machine's paths) is written in a stable
form; durations are written as they were, and not compared.
"""
import argparse
import difflib
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from rig import tool  # noqa: E402
from rig.target import Target, cpu_ticks, syscall, thread_state, wait_until  # noqa: E402

MARKER = re.compile(
    r"^<!-- output(?: \(exit (?P<exit>\d+)\))?: (?:(?P<example>examples/\S+\.py): )?(?P<command>.+?) -->\n"
    r"(?P<block>```text\n.*?^```\n)?",
    re.M | re.S,
)
SELECTORS = (None, 232, 281, 441)  # running, or one of the epoll waits


def settle(target):
    """Examples of a blocked loop can say READY only just before it: waits until the thread is in it."""
    burnt = cpu_ticks(target.pid)

    def stuck():
        sleeping = thread_state(target.pid) == "S" and syscall(target.pid) not in SELECTORS
        return sleeping or cpu_ticks(target.pid) >= burnt + 3

    wait_until(stuck, "the loop is blocked")
    # For a while, as when somebody has noticed it.
    time.sleep(2)


def output(marker, python):
    """The block that a marker asks for."""
    command = shlex.split(marker["command"])
    if command[0] != "async-trace":
        raise SystemExit("a marker's command begins with async-trace: " + marker["command"])
    wanted = int(marker["exit"] or 0)
    if marker["example"]:
        # By its path from here: a long one would be cut in the middle.
        with Target([python, marker["example"]], cwd=ROOT) as target:
            if "/blocked_loop" in marker["example"]:
                settle(target)
            threads = sorted(int(task.name) for task in Path("/proc/%d/task" % target.pid).iterdir())
            children = Path("/proc/%d/task/%d/children" % (target.pid, target.pid)).read_text().split()
            ids = threads + sorted(map(int, children))
            # On a busy machine the time for the pause may be over too soon, which would be said.
            patience = tool.UNHURRIED if command[1] in ("dump", "check") and "--no-pause" not in command else ()
            result = tool.run(*[str(target.pid) if word == "PID" else word for word in command[1:]], *patience)
    else:
        ids = []
        result = tool.run(*command[1:])
    if result.returncode != wanted:
        raise SystemExit("%s: exit %d\n%s" % (marker["command"], result.returncode, result.stderr))
    shown = marker["command"].replace("PID", "4711")
    return "```text\n$ %s\n%s```\n" % (shown, stable(result.stdout + result.stderr, ids, python))


def stable(text, ids, python):
    """Says in a fixed form what is different each time."""
    for number, each in enumerate(ids):
        text = re.sub(r"\b%d\b" % each, str(4711 + number), text)
    probe = "import sys, sysconfig; print(sysconfig.get_path('stdlib')); print(sys.executable); print('python%d.%d' % sys.version_info[:2])"
    stdlib, executable, name = subprocess.check_output([python, "-c", probe], text=True).split("\n")[:3]
    for path, short in ((str(ROOT) + "/", ""), (stdlib, "/usr/lib/" + name), (executable, "python3"), (python, "python3")):
        text = text.replace(path, short)
    text = re.sub(r"^(process 4711: )python[\d.]*(?=\s)", r"\1python3", text)
    text = in_order(r"\b0x[0-9a-f]{6,}\b", lambda n: "0x7f0000001%03x" % (16 * n), text)
    text = in_order(r"(?<=\d:)[3-6]\d{4}\b", lambda n: str(50000 + n), text)
    return text if text.endswith("\n") else text + "\n"


def in_order(pattern, name, text):
    """Renames what `pattern` matches by the order in which it appears."""
    seen = {}
    return re.sub(pattern, lambda found: seen.setdefault(found.group(), name(len(seen))), text)


def comparable(block):
    """Without what may differ and still be true: durations, patch versions, how many tasks of thousands, and where lines
    break, which this machine's paths decide."""
    block = re.sub(r"\d+(\.\d+)?(?= ?(µs|ms|s|min|h)\b)", "#", re.sub(r"\s+", " ", block or ""))
    block = re.sub(r"\b\d[\d,]{3,}(?= tasks)|(?<=Task-)\d{3,}\b", "#", block)
    return re.sub(r"\b3\.\d+\.\d+\b", "3.x", block)


def renewed(text, python):
    """A page with its outputs as they are now, and the pairs of blocks that have changed."""
    changed = []

    def renew(marker):
        block = output(marker, python)
        if comparable(block) == comparable(marker["block"]):
            return marker.group()
        changed.append((marker["command"], marker["block"] or "", block))
        head = marker.group()[: marker.end("command") - marker.start()]
        return head + " -->\n" + block

    return MARKER.sub(renew, text), changed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a block is no longer true")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the examples")
    parser.add_argument("files", nargs="*", type=Path, help="default: README.md and docs/")
    args = parser.parse_args()
    stale = 0
    for path in args.files or [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text()
        new, changed = renewed(text, args.python)
        stale += len(changed)
        if not args.check and new != text:
            path.write_text(new)
        for command, old, now in changed if args.check else ():
            print("\n".join(difflib.unified_diff(old.splitlines(), now.splitlines(), str(path), command, lineterm="")))
    print("%d blocks %s" % (stale, "are no longer true" if args.check else "written"), file=sys.stderr)
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
