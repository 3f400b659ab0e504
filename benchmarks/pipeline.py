"""What ``stdbuf``'s preload costs a pipeline inside a script: every program in it writes line by line then.

    python -m benchmarks.pipeline [--lines 1000000] [--rounds 3]

Each round runs the same script bare, under the bootstrap as it is, and with ``--line-buffered`` asked for, in turn;
the medians are told as ratios to the bare one.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = "seq {lines} | awk '{{print $1 * 7 % 1000003}}' | sort -n | tail -n 1"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    script = ["sh", "-c", SCRIPT.format(lines=arguments.lines)]
    ours = [str(Path(sys.executable).with_name("bootstrap")), "run", "--quiet"]
    ways = {
        "bare": script,
        "bootstrap": [*ours, "--", *script],
        "--line-buffered": [*ours, "--line-buffered", "--", *script],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        for _ in range(arguments.rounds):
            for name, argv in ways.items():
                began = time.monotonic()
                subprocess.run(argv, cwd=directory, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                seconds[name].append(time.monotonic() - began)
    bare = statistics.median(seconds["bare"])
    print("| way | seconds | ratio |\n| --- | --- | --- |")
    for name, taken in seconds.items():
        print(f"| {name} | {statistics.median(taken):.2f} | {statistics.median(taken) / bare:.2f} |")


if __name__ == "__main__":
    main()
