"""What it costs the bootstraps of a job to meet and to pass a barrier, as the number of nodes grows.

    python -m benchmarks.peers [--nodes 4 16 64 256] [--rounds 3]

All nodes are threads of one process on this machine. What a real job's node 0 pays is the CPU time of the hub's own
thread; the wall time is that of all nodes on these few cores, without a network's latency.
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

STEPS = ("all met", "barrier", "bad news")


class Quiet:
    def _hear(self, event: str, **facts: object) -> None: ...

    debug = info = warning = error = _hear


def hub_cpu() -> float:
    """CPU seconds that node 0's hub has used so far; it begins with the meeting."""
    hubs = [thread for thread in threading.enumerate() if thread.name == "hub"]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(hub.ident)) for hub in hubs if hub.ident)


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of the hub, wall seconds of all."""
    cpu, began = hub_cpu(), time.perf_counter()
    work()
    return hub_cpu() - cpu, time.perf_counter() - began


def one_round(size: int) -> list[tuple[float, float]]:
    """The figures of each of :data:`STEPS`: until all have met, have passed a barrier, know of a failure."""
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
        met = measured(lambda: peers.extend(pool.map(join, range(size))))
        passed = measured(lambda: list(pool.map(pass_barrier, peers)))
        known = [threading.Event() for _ in peers]
        for event, mine in zip(known[1:], peers[1:], strict=True):
            mine.on_failure(lambda _, event=event: event.set())

        def fail() -> None:
            peers[0].failed({"exit": 1})
            for event in known[1:]:
                event.wait(60)

        told = measured(fail)
        list(pool.map(Peers.close, reversed(peers)))
    return [met, passed, told]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--nodes", type=int, nargs="+", default=[4, 16, 64, 256])
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    print(f"medians of {chosen.rounds} rounds   CPU of the hub, ms{'':22}wall, s (indicative)")
    print("nodes" + "".join(f"{step:>12}" for step in STEPS) + "    a node" + "".join(f"{step:>12}" for step in STEPS))
    for size in chosen.nodes:
        rounds = [one_round(size) for _ in range(chosen.rounds)]
        steps = list(zip(*rounds, strict=True))
        cpu = [1000 * statistics.median(figures[0] for figures in step) for step in steps]
        wall = [statistics.median(figures[1] for figures in step) for step in steps]
        told = "".join(f"{figure:12.1f}" for figure in cpu)
        print(f"{size:5}{told}{sum(cpu) / size:10.2f}" + "".join(f"{figure:12.3f}" for figure in wall))


if __name__ == "__main__":
    main()
