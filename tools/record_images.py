#!/usr/bin/env python3
"""Records the memory images that the tests of async-trace-remote read.

    cargo build --release && tools/record_images.py [NAME…]      all of them, or those named
    BLESS=1 cargo test -p async-trace-remote --test images       then: their expected outputs

An image contains memory of its process. So each is recorded where nothing of this machine can get into it:
in namespaces of its own (which takes root), with the interpreter in /opt/python, the example in /srv/app, and
an empty environment. Whatever else is found of this machine in an image is an error.
"""
import argparse
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from rig import interpreters  # noqa: E402

HOME = ROOT / "crates/async-trace-remote/tests/images"
TOOL = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release/async-trace"

# Each version at least once; each example is a situation that the reader has to understand.
IMAGES = {
    "two_loops-3.9": "two_loops.py",
    "deadlock_two_locks-3.10": "deadlock_two_locks.py",
    "gather_tree-3.11": "gather_tree.py",
    "many_handlers-3.11": "many_handlers.py",
    "blocked_loop_sleep-3.12": "blocked_loop_sleep.py",
    "streams-3.12-uvloop": "streams.py",
    "queue_full-3.13": "queue_full.py",
    "timeouts-3.13": "timeouts.py",
    "async_generators-3.14": "async_generators.py",
    "executor_full-3.15": "executor_full.py",
}

# Binds what is needed to places that say nothing, in namespaces that end with the program.
STAGE = """
set -e
mount -t tmpfs tmpfs /opt && mkdir /opt/python && mount --bind "$PREFIX" /opt/python
mount -t tmpfs tmpfs /srv && cp -r "$EXAMPLES" /srv/app
sed -i 's/range(1000)/range(100)/' /srv/app/many_handlers.py  # as many as it takes to be one group
test -z "$PACKAGES" || { mkdir /srv/packages && mount --bind "$PACKAGES" /srv/packages; }
ip link set lo up
# What is installed on this machine is not of the example.
for packages in /opt/python/lib/python3*/*-packages; do
    test ! -d "$packages" || mount -t tmpfs tmpfs "$packages"
done
# An interpreter may have been linked for the place where it lies.
"$PYTHON" "$SCRIPT" --move "/opt/python/bin/$EXECUTABLE" "$PREFIX" > /srv/python && chmod 755 /srv/python
mount --bind /srv/python "/opt/python/bin/$EXECUTABLE"
cd /srv/app
exec "$PYTHON" "$SCRIPT" --inside "$NAME"
"""


def variant(name):
    """The minor version and whether it is uvloop: `streams-3.12-uvloop`."""
    _, minor, *loop = name.split("-")
    return minor, bool(loop)


def record(name):
    minor, uvloop = variant(name)
    interpreter = interpreters.find()[minor]
    executable = Path(interpreter.path).resolve()
    packages = ""
    if uvloop:
        home = Path(interpreters.with_uvloop(interpreter)).parents[1]
        packages = str(home / f"lib/python{minor}/site-packages")
    stage = {
        "PATH": os.environ["PATH"],
        "PREFIX": str(executable.parents[1]),
        "EXECUTABLE": executable.name,
        "EXAMPLES": str(ROOT / "examples"),
        "PACKAGES": packages,
        "PYTHON": sys.executable,
        "SCRIPT": str(Path(__file__).resolve()),
        "NAME": name,
        "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", ""),
    }
    # No address space randomization: what is recorded anew is then much the same as before.
    command = ["setarch", "-R", "unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "sh", "-c", STAGE]
    subprocess.run(command, env=stage, check=True)
    path = HOME / f"{name}.image"
    examine(path)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


def inside(name):
    """Runs in the namespaces: starts the example, and records it."""
    minor, uvloop = variant(name)
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/srv",  # else it is looked up, and the list of users with it
        "LD_LIBRARY_PATH": "/opt/python/lib:/opt/python/lib/x86_64-linux-gnu",
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPYCACHEPREFIX": "/srv/none",  # what is cached names the place that it was compiled at
    }
    if uvloop:
        environment["PYTHONPATH"] = "/srv/packages"
    command = [f"/opt/python/bin/python{minor}", IMAGES[name], *["--uvloop"] * uvloop]
    target = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert target.stdout.readline().startswith(b"READY"), name
    wait_for_state(target.pid, name)
    command = [TOOL, "image", str(target.pid), "-o", HOME / f"{name}.image", "--pause-budget", "1s"]
    told = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True).stderr
    assert "note:" not in told, told
    target.kill()
    target.wait()
    os.chmod(HOME / f"{name}.image", 0o644)


def move(path, prefix):
    """Prints a program that looks for its libraries in /opt/python instead of `prefix`."""
    there = b"/opt/python".ljust(len(prefix), b"/")
    assert len(there) == len(prefix), prefix
    sys.stdout.buffer.write(Path(path).read_bytes().replace(prefix.encode(), there))


def wait_for_state(pid, name):
    """Until the thread sleeps where the example says that it does: READY may be said just before."""
    wanted = {"230", "35"} if "blocked_loop_sleep" in name else {"232", "281"}
    while open(f"/proc/{pid}/syscall").read().split()[0] not in wanted:
        os.sched_yield()


def pages(image):
    """The content of an image: its facts, and its pages in one piece."""
    end = image.index(b"\n", image.index(b"\n") + 1) + 1
    out, at = [image[:end]], end
    while count := int.from_bytes(image[at : at + 4], "little"):
        packed, size = (int.from_bytes(image[at + n : at + n + 4], "little") for n in (4, 8))
        content = image[at + 12 : at + 12 + size]
        out.append(zlib.decompress(content) if packed else content)
        at += 12 + size
    return b"".join(out)


def examine(path):
    """Nothing of this machine may be in an image: its paths, its name, its users."""
    content = pages(path.read_bytes())
    secrets = {str(ROOT), str(Path.home()), os.uname().nodename, "/home/", ":/bin/", "http://", "https://"}
    secrets = {secret for secret in secrets if len(secret) > 4}
    secrets |= {value for value in os.environ.values() if len(value) > 11}
    allowed = re.compile(rb"https?://[\w.]*(example\.org|python\.org|github\.com/python/cpython|ietf\.org|wikipedia\.org|sourceforge\.net|unicode\.org)")
    found = set()
    for secret in secrets:
        for match in re.finditer(re.escape(secret.encode()), content):
            context = content[match.start() : match.start() + 60]
            if not allowed.match(context):
                found.add((secret, context))
    if found:
        path.unlink()
        raise SystemExit(f"{path.name} contains {found}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="one of: " + ", ".join(IMAGES))
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--move", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.move:
        return move(*arguments.move)
    if arguments.inside:
        return inside(arguments.inside)
    HOME.mkdir(exist_ok=True)
    for name in arguments.names or IMAGES:
        record(name)


if __name__ == "__main__":
    main()
