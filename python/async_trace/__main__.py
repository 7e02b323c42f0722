"""The ``async-trace`` command."""

import signal
import sys

from . import _core


def main() -> int:
    """Run the command line with ``sys.argv`` and return its exit status."""
    # Python only notes a Ctrl-C and acts on it between bytecodes, of which there are none here.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _core.run_cli(["async-trace", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
