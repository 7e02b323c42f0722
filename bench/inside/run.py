#!/usr/bin/env python3
"""What tracing from inside costs, on each interpreter: against plain asyncio and the peers.

    bench/inside/run.py                  # everything
    bench/inside/run.py --quick          # two Pythons, few rounds, no peers
    bench/inside/run.py --check          # exit 1 when a promise is missed

Interpreters and the peers' environments are those of the live tests (`tests/rig`). The package is the
one that `pip wheel .` builds; ASYNC_TRACE_PACKAGE names an unpacked one.
"""

import argparse
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from rig import interpreters  # noqa: E402

# Of one median: what is promised, and how it is measured (`create.py`, `collect.py`, `http_load.py`).
PROMISES = {
    "depth 5": ("ratio to plain, 5 frames deep", lambda f: f["ratio"] <= 1.10),
    "depth 30": ("ratio to plain, 30 frames deep", lambda f: f["ratio"] <= 1.15),
    "off": ("every helper switched off", lambda f: all(h["ns"] <= 60 and h["blocks"] < 10 for h in f["off"].values())),
    "collect": ("times faster than 0.1.2 at collecting", lambda f: f["times_faster"] >= 10),
    "http": ("requests of a server, share of plain", lambda f: f["requests_of_plain"] >= 0.97),
}
PACKAGES = ["aiohttp", "aiomonitor", "async_timeout", "backports.strenum", "typing_extensions"]
PEERS = ("async_trace_0.1.2", "debug", "aiomonitor")


def package():
    given = os.environ.get("ASYNC_TRACE_PACKAGE")
    if given:
        return given
    wheels = interpreters.CACHE / "bench-wheel"
    for old in wheels.glob("*.whl"):
        old.unlink()
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, ROOT], check=True)
    unpacked = interpreters.CACHE / "bench-package"
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as archive:
        archive.extractall(unpacked)
    return str(unpacked)


def original():
    """async-trace 0.1.2 from the package index, unpacked."""
    place = interpreters.CACHE / "async-trace-0.1.2"
    if not place.exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", place, "async-trace==0.1.2"],
            check=True,
        )
    return str(place)


def measure(python, environment, program, *arguments):
    """The figures that a program prints; None where it fails, as peers do on some versions."""
    done = subprocess.run(
        [python, HERE / program, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        print(f"{program} {' '.join(map(str, arguments))}: {last}", file=sys.stderr, flush=True)
        return None
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--pythons", help="these minor versions only, 3.9,3.13")
    options = parser.parse_args()
    found = interpreters.find()
    wanted = options.pythons.split(",") if options.pythons else ("3.11", "3.14") if options.quick else interpreters.MINORS
    rounds = 10 if options.quick else 40
    environment = {**os.environ, "PYTHONPATH": package(), "ASYNC_TRACE_012": original()}
    missed = []

    def report(minor, name, figures):
        words, keeps = PROMISES[name]
        if figures is None or not keeps(figures):
            missed.append(f"{minor}: {words}")

    print("| Python | mode | depth 5 | depth 30 | one by one, 5 | plain ns |\n|---|---|---|---|---|---|", flush=True)
    for minor in (minor for minor in wanted if minor in found):
        python = interpreters.with_packages(found[minor], "bench-inside", PACKAGES)
        for mode in ("async_trace", *(() if options.quick else PEERS)):
            few = rounds if mode == "async_trace" else 5
            cells = []
            for depth, shape in ((5, "batch"), (30, "batch"), (5, "one-by-one")):
                figures = measure(
                    python, environment, "create.py",
                    "--mode", mode, "--depth", depth, "--shape", shape, "--rounds", few,
                )  # fmt: skip
                cells.append(figures)
                if mode == "async_trace" and shape == "batch":
                    report(minor, f"depth {depth}", figures)
            ratios = " | ".join(str(figures["ratio"]) if figures else "fails" for figures in cells)
            print(f"| {minor} | {mode} | {ratios} | {cells[0]['plain_ns'] if cells[0] else ''} |", flush=True)
    print("\n| Python | collect µs | 0.1.2 µs | times | helper off ns | HTTP, of plain |\n|---|---|---|---|---|---|", flush=True)
    for minor in (minor for minor in wanted if minor in found):
        python = interpreters.with_packages(found[minor], "bench-inside", PACKAGES)
        collect = measure(python, environment, "collect.py", "--original")
        http = measure(python, environment, "http_load.py", "--processes", 1 if options.quick else 4)
        report(minor, "collect", collect)
        report(minor, "off", collect)
        report(minor, "http", http)
        if collect is None or http is None:
            continue
        off = max(helper["ns"] for helper in collect["off"].values())
        us = collect["collect_us"]
        print(
            f"| {minor} | {us['async_trace']} | {us['async_trace_0.1.2']} | {collect['times_faster']} | {off} "
            f"| {http['requests_of_plain']} |",
            flush=True,
        )
    for promise in missed:
        print(f"missed: {promise}", file=sys.stderr)
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
