"""What samples cost: the CPU time of `bootstrap run` with and without them, over a command with many processes.

    python -m benchmarks.sampling [--processes 200] [--seconds 40] [--interval 1]

Both run at the same time, so that a busy machine is as busy for one as for the other. The interval is a tenth of the
default: what is measured is scaled to it. Prints CPU seconds of each (reading the command's output apart: it is
silent), and the share of a core that samples at 10 s would take.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
DEFAULT = 10.0  # seconds between two samples

COMMAND = """
import os, sys, time
for _ in range(int(sys.argv[1])):
    if not os.fork():
        time.sleep(600)
time.sleep(float(sys.argv[2]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--processes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--interval", type=float, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        runs = {}
        for name, interval in (("without", 0.0), ("with", arguments.interval)):
            home = Path(directory, name)
            home.mkdir()
            words = [BOOTSTRAP, "run", "--job-dir", home, "--log-file", home / "job.log", "--sample-interval"]
            words += [str(interval), "--quiet", "--", sys.executable, "-c", COMMAND]
            words += [str(arguments.processes), str(arguments.seconds)]
            runs[name] = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL)
        cost = {name: _cost(process.pid) for name, process in runs.items()}
        lines = len(Path(directory, "with", "job.run", "samples.jsonl").read_text().splitlines()) - 2
    extra = cost["with"] - cost["without"]
    for name, seconds in cost.items():
        print(f"{name:8} {seconds:.3f} s of CPU")
    each = extra / lines
    print(f"{lines} samples: {1000 * each:.2f} ms each, {100 * each / DEFAULT:.4f} % of a core at {DEFAULT:g} s")


def _cost(pid: int) -> float:
    """CPU seconds of the bootstrap itself, without what it has reaped, when it ends."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    os.waitpid(pid, 0)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
