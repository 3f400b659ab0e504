"""What it costs the bootstraps of a job to meet and to pass a barrier, as the number of nodes grows.

    python -m benchmarks.peers [--nodes 16 64 256] [--rounds 3]

All nodes are threads of one process on this machine, so the figures are those of node 0's hub and of the lines it
writes, without a network's latency; every node but the first pays a fraction of that on its own machine.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bootstrap.job import Cluster, Node
from bootstrap.network.cards import Card
from bootstrap.network.meeting import meet
from bootstrap.network.peers import Peers


class Quiet:
    def _hear(self, event: str, **facts: object) -> None: ...

    debug = info = warning = error = _hear


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def one_round(size: int) -> tuple[float, float, float]:
    """Seconds until all have met, until all have passed a barrier, and until a failure is known everywhere."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    nodes = tuple(Node(rank, f"127.0.0.{1 + rank % 250}" if rank else "127.0.0.1") for rank in range(size))
    peers: list[Peers] = []

    def join(rank: int) -> Peers:
        card = Card(f"host-{rank}", f"10.{rank >> 8}.{rank & 255}.1", "ib0")
        return meet(
            Cluster(nodes, rank), card, port=port, secret=b"s", deadline_s=120, stop=threading.Event(), log=Quiet()
        )

    def pass_barrier(mine: Peers) -> None:
        mine.barrier("fetch", took={"fetch": 12.3}, deadline_s=120, stop=threading.Event())

    with ThreadPoolExecutor(size) as pool:
        list(pool.map(time.sleep, [0.0] * size))  # the threads themselves are not what is measured
        met = timed(lambda: peers.extend(pool.map(join, range(size))))
        passed = timed(lambda: list(pool.map(pass_barrier, peers)))
        known = [threading.Event() for _ in peers]
        for event, mine in zip(known[1:], peers[1:], strict=True):
            mine.on_failure(lambda _, event=event: event.set())

        def fail() -> None:
            peers[0].failed({"exit": 1})
            for event in known[1:]:
                event.wait(60)

        told = timed(fail)
        list(pool.map(Peers.close, reversed(peers)))
    return met, passed, told


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--nodes", type=int, nargs="+", default=[4, 16, 64, 256])
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    print("nodes   all met   barrier passed   failure known everywhere   (medians, seconds)")
    for size in chosen.nodes:
        met, passed, told = (
            statistics.median(figures) for figures in zip(*(one_round(size) for _ in range(chosen.rounds)), strict=True)
        )
        print(f"{size:5}   {met:7.3f}   {passed:14.3f}   {told:24.3f}")


if __name__ == "__main__":
    main()
