#!/usr/bin/env python3
"""Builds the docs as a site into .cache/site; a page that links to nowhere fails.

    python3 tools/docs_site.py
"""
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".cache" / "docs-site"


def main():
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "mkdocs>=1.6,<2"], check=True)
    subprocess.run([python, "-m", "mkdocs", "build", "--strict", "--clean", "-q"], cwd=ROOT, check=True)
    print(f"the site is in {(ROOT / '.cache' / 'site').relative_to(ROOT)}: open index.html")


if __name__ == "__main__":
    sys.exit(main())
