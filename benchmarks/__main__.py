"""Our transfers beside other clients', one table: stores as slow as real ones, fast ones, and local directories.

    python -m benchmarks                               all of it: some 25 minutes on two cores that do nothing else
    python -m benchmarks --only thinks,local --rounds 5
    python -m benchmarks --clients s5cmd

Every row is measured in turn in one run, whole processes, medians, into a tmpfs. ``least`` is what the store's shape
alone takes with 256 connections (shapes.py); in the row of the floor, what receiving and writing costs in Python
(floor.py). In brackets our wall time by the other's: below 1 we are faster. Single tables with more options: shapes.py,
transfers.py, many.py, startup.py, sharing.py, outputs.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import shapes, transfers
from benchmarks.clients import Client, Measured, clients, measure
from benchmarks.servers import Site, make_trees, nginx, seaweedfs
from benchmarks.slow_mount import NoMount, slow_mount

PEERS = ("s5cmd", "rclone", "obstore", "awscrt", "cp -r")
MOUNTED, MILLISECONDS = 1000, 1.5
"""Small files on a slow mount, and what each operation takes there."""

Results = dict[str, list[Measured]]


class Row(NamedTuple):
    """One line of the table; ``goal`` is of our wall time by that of ``of``."""

    name: str
    least: float
    goal: float | None
    of: str
    measure: Callable[[], Results]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="WORD,...", help="rows whose names have one of these words")
    parser.add_argument("--clients", default=",".join(PEERS), metavar="NAME,...")
    parser.add_argument("--large-mib", type=int, default=512, help="size of each of the four large files")
    arguments = parser.parse_args()
    installed = {client.name: client for client in clients()} | {"cp -r": Client("cp -r", [])}
    peers = [name for name in PEERS if name in arguments.clients.split(",") and name in installed]
    field = [installed[name] for name in ("ours", *peers)]
    load = os.getloadavg()[0]
    print(f"{len(os.sched_getaffinity(0))} cores, a load of {load:.1f} at the beginning, {arguments.rounds} rounds\n")
    heads = " | ".join(f"{peer} (ours / it)" for peer in peers)
    print(f"| work | least s | ours: wall / CPU s, peak MB | {heads} | goal |")
    print("| --- " * (4 + len(peers)) + "|")
    with ExitStack() as stack:
        for row in rows(field, arguments.rounds, arguments.large_mib << 20, stack):
            if not arguments.only or any(word in row.name for word in arguments.only.split(",")):
                show(row, row.measure(), peers)
    return 0


def rows(field: list[Client], rounds: int, large: int, stack: ExitStack) -> Iterator[Row]:
    """All there are, in their order; what one needs is started when it is measured."""
    remote = [client for client in field if client.name != "cp -r"]
    for name, one in shapes.ROWS.items():
        for way in ("down", "up"):
            work = partial(shapes.compare, one, way, remote, rounds)
            yield Row(f"{name}, {way}", shapes.least(one.shape, one.tree), one.goal, "s5cmd", work)
    place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm", prefix="benchmarks-")))
    sites: dict[str, Site] = {}

    def site(kind: str) -> Site:
        if kind not in sites:
            start = seaweedfs if kind == "seaweedfs" else nginx
            sites[kind] = stack.enter_context(start(place, kind, transfers.SMALL, transfers.LARGE, large))
        return sites[kind]

    def against(kind: str, tree: str, how: str, who: list[Client]) -> Results:
        able = [client for client in who if client.does(tree, how)]
        return transfers.rounds_of(rounds, able, site(kind), tree, how, place)

    small, big = f"{transfers.SMALL:,} small", f"{transfers.LARGE} x {large >> 20} MiB"
    moves: list[tuple[str, str, str, str, float | None]] = [
        (f"{small} down", "nginx", "small", "nginx", 0.4),
        (f"{small} down, 10 ms of link", "latency", "small", "latency", 0.8),
        (f"{small} down, TLS", "tls", "small", "tls", 0.6),
        (f"{small} down again", "nginx", "small", "again", None),
        (f"{big} down, ETags as of uploads in parts", "nginx", "large", "nginx", 0.85),
        (f"{big} down, ETags that are MD5s", "md5", "large", "md5", 1.5),
        (f"{big} down, TLS", "tls", "large", "tls", 1.0),
        (f"{small} up, SeaweedFS", "seaweedfs", "small", "up", 0.9),
        (f"{big} up, SeaweedFS", "seaweedfs", "large", "up", 0.9),
    ]
    for name, kind, tree, how, goal in moves:
        yield Row(name, 0.0, goal, "s5cmd", partial(against, kind, tree, how, remote))
    floor = [client for client in clients() if client.name == "floor"]
    yield Row(f"{big} down, the floor in Python", 0.0, None, "", partial(against, "nginx", "large", "nginx", floor))
    local = partial(locally, place, large, rounds)
    yield Row(f"{small}, local to local", 0.0, 1.5, "cp -r", partial(local, "small"))
    yield Row(f"{big}, local to local", 0.0, 0.6, "cp -r", partial(local, "large"))
    for name, slow in (("to", ("target",)), ("from", ("source",)), ("within", ("source", "target"))):
        row = f"{MOUNTED:,} small, {name} a mount with {MILLISECONDS} ms an operation"
        yield Row(row, 0.0, 0.3, "cp -r", partial(mounted, place, rounds, slow))


def mounted(place: Path, rounds: int, slow: tuple[str, ...]) -> Results:
    """Each copy on a mount of its own, of which the kernel knows nothing yet; ``slow``: which end is on it."""
    results: Results = {name: [] for name in ("ours", "cp -r")}
    make_trees(place / "mounted", MOUNTED, 0, 0)
    plain, kept = place / "mounted" / "objects" / "small", place / "mounted" / "behind" / "source"
    if not kept.exists():
        shutil.copytree(plain, kept)
    try:
        for _ in range(rounds):
            for name, runs in results.items():
                with slow_mount(place / "mounted", milliseconds=MILLISECONDS) as mount:
                    source = mount / "source" if "source" in slow else plain
                    target = mount / "target" if "target" in slow else place / "copied"
                    runs.append(measure(_copy(name, source, target), {"PATH": os.defpath, "HOME": str(place)}))
                shutil.rmtree(kept.with_name("target") if "target" in slow else target)
    except NoMount as error:
        print(f"no mount: {error}", file=sys.stderr)
    return results


def _copy(name: str, source: Path, target: Path) -> list[str]:
    program = str(Path(sys.executable).with_name("bootstrap"))
    ours = [program, "copy", "-q", "-r", f"{source}/", f"{target}/"]
    return ours if name == "ours" else ["cp", "-r", str(source), str(target)]


def locally(place: Path, large: int, rounds: int, tree: str) -> Results:
    make_trees(place, transfers.SMALL, transfers.LARGE, large)
    source, target = place / "objects" / tree, place / "copied"
    results: Results = {name: [] for name in ("ours", "cp -r")}
    for _ in range(rounds):
        for name, runs in results.items():
            runs.append(measure(_copy(name, source, target), {"PATH": os.defpath, "HOME": str(place)}))
            shutil.rmtree(target)
    return results


def show(row: Row, results: Results, peers: list[str]) -> None:
    wall = {client: statistics.median(run.wall for run in runs) for client, runs in results.items() if runs}
    floor = wall.pop("floor", row.least)
    least = f"{floor:.2f}" if floor else "-"
    cells = [""] * (1 + len(peers))
    if "ours" in wall:
        ours = results["ours"]
        cpu, peak = statistics.median(run.cpu for run in ours), max(run.peak for run in ours) / 1e6
        cells[0] = f"{wall['ours']:.2f} / {cpu:.2f}, {peak:.0f}"
        cells[1:] = [f"{wall[one]:.2f} ({wall['ours'] / wall[one]:.2f})" if one in wall else "" for one in peers]
    goal = "-"
    if row.goal is not None:
        reached = row.of in wall and wall["ours"] / wall[row.of] <= row.goal
        goal = f"{row.goal}" if reached else f"{row.goal}: missed"
    print(f"| {row.name} | {least} | {' | '.join(cells)} | {goal} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
