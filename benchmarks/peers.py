"""What it costs the bootstraps of a job to meet, to pass a barrier, to fail and to end, as the number of nodes grows.

    python -m benchmarks.peers [--nodes 4 16 64 256 1024] [--rounds 3]

Node 0 is in this process, the others are threads of a few more on this machine. What a real job's node 0 pays is the
CPU time of the server's own thread; the wall time is that of all nodes on these few cores, without a network's latency.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection

from bootstrap.job import Cluster, Node
from bootstrap.peers.meeting import meet
from bootstrap.peers.node_info import NodeInfo
from bootstrap.peers.session import NodeFailure, Peers

STEPS = ("all met", "barrier", "failure", "end")
TIMEOUT = 120.0  # seconds
IN_A_PROCESS = 256  # nodes


class Quiet:
    def _hear(self, event: str, **facts: object) -> None: ...

    debug = info = warning = error = _hear


class Crowd:
    """Some of the nodes, each in threads of its own, doing each step together."""

    def __init__(self, size: int, ranks: Sequence[int], port: int) -> None:
        self._nodes = tuple(Node(rank, f"127.0.0.{1 + rank % 250}" if rank else "127.0.0.1") for rank in range(size))
        self._ranks, self._port = ranks, port
        self._peers: list[Peers] = []
        self._heard: list[threading.Event] = []
        self._pool = ThreadPoolExecutor(len(ranks))
        list(self._pool.map(time.sleep, [0.0] * len(ranks)))  # the threads themselves are not what is measured

    def take(self, step: str) -> None:
        if step == "all met":
            self._peers = list(self._pool.map(self._join, self._ranks))
            self._heard = [threading.Event() for _ in self._peers]
            for mine, event in zip(self._peers, self._heard, strict=True):
                mine.on_failure(partial(_heard, event))
        else:
            one = {"barrier": self._pass_barrier, "failure": self._fail, "end": self._end}[step]
            list(self._pool.map(one, range(len(self._peers))))

    def _join(self, rank: int) -> Peers:
        info = NodeInfo(f"host-{rank}", f"10.{rank >> 8}.{rank & 255}.1", "ib0")
        return meet(
            Cluster(self._nodes, rank),
            info,
            port=self._port,
            secret=b"s",
            deadline_s=TIMEOUT,
            stop=threading.Event(),
            log=Quiet(),
        )

    def _pass_barrier(self, index: int) -> None:
        self._peers[index].barrier("ready", took={"fetch": 12.3}, deadline_s=TIMEOUT, stop=threading.Event())

    def _fail(self, index: int) -> None:
        """One rank dies, and so, within the same second, do those of all other nodes."""
        mine = self._peers[index]
        facts = {"exit_code": 1, "reason": "crashed", "at": time.time() - 0.001 * mine.rank, "traceback": "x" * 2000}
        mine.failed(facts)
        if len(self._nodes) > 1:
            assert self._heard[index].wait(TIMEOUT)

    def _end(self, index: int) -> None:
        mine = self._peers[index]
        mine.ended(1)
        assert mine.all_news(TIMEOUT, threading.Event())
        if mine.rank:  # node 0 ends the conversation for all
            mine.close()

    def leave(self) -> None:
        for mine in self._peers:
            if mine.rank == 0:
                mine.close()
        self._pool.shutdown()


def _heard(event: threading.Event, _: NodeFailure) -> None:
    event.set()


def _others(size: int, ranks: Sequence[int], port: int, orders: Connection) -> None:
    crowd = Crowd(size, ranks, port)
    orders.send("ready")
    for step in iter(orders.recv, ""):
        crowd.take(step)
        orders.send(step)
    crowd.leave()


def server_cpu() -> float:
    """CPU seconds that node 0's server has used so far; it begins with the meeting."""
    servers = [thread for thread in threading.enumerate() if thread.name == "peer-server"]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(server.ident)) for server in servers if server.ident)


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of the server, wall seconds of all."""
    cpu, began = server_cpu(), time.perf_counter()
    work()
    return server_cpu() - cpu, time.perf_counter() - began


def one_round(size: int) -> list[tuple[float, float]]:
    """The figures of each of :data:`STEPS`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    helpers = []
    for first in range(1, size, IN_A_PROCESS):
        ours, theirs = context.Pipe()
        ranks = range(first, min(first + IN_A_PROCESS, size))
        process = context.Process(target=_others, args=(size, ranks, port, theirs), daemon=True)
        process.start()
        helpers.append((process, ours))
    for _, orders in helpers:
        orders.recv()
    mine = Crowd(size, [0], port)

    def together(step: str) -> None:
        for _, orders in helpers:
            orders.send(step)
        mine.take(step)
        for _, orders in helpers:
            orders.recv()

    figures = [measured(lambda step=step: together(step)) for step in STEPS]  # type: ignore[misc]
    for process, orders in helpers:
        orders.send("")
        process.join(TIMEOUT)
    mine.leave()
    return figures


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--nodes", type=int, nargs="+", default=[4, 16, 64, 256, 1024])
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    print(f"medians of {chosen.rounds} rounds   CPU of the server, ms{'':34}wall, s (indicative)")
    print("nodes" + "".join(f"{step:>12}" for step in STEPS) + "    a node" + "".join(f"{step:>12}" for step in STEPS))
    for size in chosen.nodes:
        rounds = [one_round(size) for _ in range(chosen.rounds)]
        steps = list(zip(*rounds, strict=True))
        cpu = [1000 * statistics.median(figures[0] for figures in step) for step in steps]
        wall = [statistics.median(figures[1] for figures in step) for step in steps]
        told = "".join(f"{figure:12.1f}" for figure in cpu)
        print(f"{size:5}{told}{sum(cpu) / size:10.2f}" + "".join(f"{figure:12.3f}" for figure in wall), flush=True)


if __name__ == "__main__":
    main()
