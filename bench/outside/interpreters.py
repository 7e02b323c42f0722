"""Finds the interpreters that the targets run on, and installs the peers."""
import glob
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ("py-spy==0.4.3", "pystack==1.7.2")


def find(versions, given):
    """Executables by minor version: those `given` as `3.11=/path` or a path, ASYNC_TRACE_PYTHONS (paths
    separated by `:`), PATH, pyenv, and the user's cache of unpacked distribution packages."""
    found = {}
    for item in list(given) + [p for p in os.environ.get("ASYNC_TRACE_PYTHONS", "").split(":") if p]:
        path = item.partition("=")[2] or item
        found.setdefault(version_of(path)[0], path)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for minor in versions:
        if minor in found:
            continue
        candidates = [shutil.which("python" + minor)]
        candidates += sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/%s.*/bin/python%s" % (minor, minor))))
        candidates += [os.path.join(cache, "async-pythons/usr/bin/python" + minor)]
        for path in filter(None, candidates):
            if os.access(path, os.X_OK) and version_of(path)[0] == minor:
                found[minor] = path
                break
    return {minor: found[minor] for minor in versions if minor in found}


def version_of(path):
    """`("3.11", "3.11.7")`, or two empty strings where it does not run (a pyenv shim without a version)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2], '%d.%d.%d' % sys.version_info[:3])"
    done = subprocess.run([path, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return tuple(done.stdout.split()) if done.returncode == 0 else ("", "")


def install_peers():
    """A virtual environment with the peers from the package index; its `bin` directory."""
    home = ROOT / ".cache" / ("bench-peers-%d.%d" % sys.version_info[:2])
    python = home / "bin" / "python"
    wanted = "\n".join(PEERS)
    stamp = home / "installed"
    if not (stamp.exists() and stamp.read_text() == wanted):
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
        stamp.write_text(wanted)
    return home / "bin"
