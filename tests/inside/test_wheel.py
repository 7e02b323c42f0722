"""What is handed out: the licences that the wheel brings, and a source distribution that builds."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

from rig.interpreters import CACHE, ROOT


def test_the_wheel_names_whose_code_it_contains(package):
    [licences] = Path(package).glob("async_trace-*.dist-info/licenses")
    assert {path.name for path in licences.iterdir()} == {"LICENSE-APACHE", "LICENSE-MIT", "THIRD_PARTY_NOTICES"}
    shipped = (licences / "THIRD_PARTY_NOTICES").read_text(encoding="utf-8")
    assert shipped == (ROOT / "THIRD_PARTY_NOTICES").read_text(encoding="utf-8")
    assert "inferno" in shipped and "COMMON DEVELOPMENT AND DISTRIBUTION LICENSE" in shipped


def test_the_source_distribution_has_all_that_building_it_needs(tmp_path):
    subprocess.run([sys.executable, "-m", "maturin", "sdist", "-o", tmp_path], cwd=ROOT, check=True, capture_output=True)
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path)
    [unpacked] = (path for path in tmp_path.iterdir() if path.is_dir())
    # Nothing of the repository is in reach there.
    done = subprocess.run(
        ["cargo", "check", "-q", "--locked", "-p", "async-trace-py"],
        cwd=unpacked,
        env={**os.environ, "CARGO_TARGET_DIR": str(CACHE / "sdist-target")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
