"""The interpreters that the targets run on, found as the live tests find them; and the peers."""
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from rig import interpreters  # noqa: E402

PEERS = ("py-spy==0.4.3", "pystack==1.7.2")


def find(minors):
    """Those of the minor versions that are there, in this order."""
    found = interpreters.find()
    return [found[minor] for minor in minors if minor in found]


def install_peers():
    """A virtual environment with the peers from the package index; its `bin` directory."""
    home = interpreters.CACHE / ("bench-peers-%d.%d" % sys.version_info[:2])
    wanted = "\n".join(PEERS)
    stamp = home / "complete"
    if not (stamp.exists() and stamp.read_text() == wanted):
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *PEERS], check=True)
        stamp.write_text(wanted)
    return home / "bin"
