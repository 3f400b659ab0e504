"""Nodes that fetch the same, together and each for itself, from a store that is the limit and from one that is not.

    python -m benchmarks.sharing                          1, 2, 4 and 8 nodes, 256 MiB, at 50 MB/s in all and without
    python -m benchmarks.sharing --nodes 1,4 --mib 64 --rates 0 --rounds 5         the store is not the limit

Whole ``bootstrap run``s on one machine, which talk over loopback; the store is ``shaped_server.py``. ``seconds``: the
longest fetch of a node, median of the rounds. ``asked``: bytes that came from no other node by the size of the object
(the suite counts them at the store). ``peak``: of the largest bootstrap. ``shared / itself``: of the seconds.
``shared / one``: by those of a node alone: 1 where time is flat in the number of nodes.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shaped_server import Shape
from benchmarks.shapes import MIB, serving


@dataclass(frozen=True)
class Job:
    """One job of several nodes. Seconds; bytes from the store; bytes of memory."""

    seconds: float
    asked: int
    peak: int


def job(count: int, share: str, size: int, env: dict[str, str], work: Path) -> Job:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nodes = []
    for rank in range(count):
        home = work / f"node-{rank}"
        home.mkdir()
        own = {
            **env,
            "RANK": str(rank),
            "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "BOOTSTRAP_MEET_PORT": str(port),
            "BOOTSTRAP_JOB_DIR": str(home),
            "BOOTSTRAP_LOG_FILE": str(home / "job.log"),
        }
        words = [
            "--interface",
            f"127.0.0.{rank + 1}",
            "--share-fetch",
            share,
            "--meet",
            "port" if count > 1 else "auto",
        ]
        words += ["--input", "data=obs://bkt/t/", "--output-interval", "0", "--quiet", "--", "true"]
        program = str(Path(sys.executable).with_name("bootstrap"))
        nodes.append(subprocess.Popen([program, "run", *words], env=own, stdout=subprocess.DEVNULL))
    peaks = []
    for node in nodes:
        _, status, usage = os.wait4(node.pid, 0)
        node.returncode = os.waitstatus_to_exitcode(status)
        if node.returncode:
            raise SystemExit(f"a node ended with {node.returncode}")
        peaks.append(usage.ru_maxrss * 1024)
    records = [json.loads((work / f"node-{rank}/job.run/run.json").read_text()) for rank in range(count)]
    seconds = max(step["seconds"] for record in records for step in record["steps"] if step["name"] == "fetch")
    pulled = sum(record.get("shared", {}).get("from_nodes", 0) for record in records)
    for rank in range(count):
        if (work / f"node-{rank}/data/f000000").stat().st_size != size:
            raise SystemExit("not everything came")
    return Job(seconds, count * size - pulled, max(peaks))


def cells(jobs: Sequence[Job], size: int) -> str:
    asked, peak = max(one.asked for one in jobs) / size, max(one.peak for one in jobs) / 1e6
    return f"{statistics.median(one.seconds for one in jobs):.2f}, {asked:.2f}, {peak:.0f} MB"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", default="1,2,4,8", metavar="N,...")
    parser.add_argument("--mib", type=int, default=256, help="size of the object (default %(default)s)")
    parser.add_argument("--rates", default="50,0", metavar="MB/S,...", help="what the store gives in all; 0: no limit")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(words)
    size = arguments.mib * MIB
    print(
        "| store, MB/s | nodes | each for itself: seconds, asked, peak | shared: the same "
        "| shared / itself | shared / one |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for rate in (float(word) for word in arguments.rates.split(",")):
        alone = 0.0
        with serving(Shape(think=0.005, in_all=rate * 1e6), (1, size)) as env:
            for count in (int(word) for word in arguments.nodes.split(",")):
                found: dict[str, list[Job]] = {"no": [], "yes": []}
                for _ in range(arguments.rounds):
                    for share, jobs in found.items():
                        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="sharing-") as work:
                            jobs.append(job(count, share, size, {**env, "HOME": work}, Path(work)))
                own, shared = (statistics.median(one.seconds for one in jobs) for jobs in found.values())
                alone = alone or own / (1 if count == 1 else float("nan"))
                told = f"{cells(found['no'], size)} | {cells(found['yes'], size)}"
                name = f"{rate:g}" if rate else "no limit"
                print(f"| {name} | {count} | {told} | {shared / own:.2f} | {shared / alone:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
