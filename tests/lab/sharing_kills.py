"""Nodes that fetch the same once for all of them, killed at random moments, while bits flip on their way.

    python -m tests.lab.sharing_kills --runs 100 [--seed 1]

Each node is a process of its own in front of a real store. Whoever was killed is started again. In the end every node
has the right bytes; while one is dead, nothing that is not whole has its name there. A run follows from its seed, but
for the moments at which the machine does what. The suite does a few (``tests/sharing/test_kills.py``).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.job import Credentials, Endpoint
from bootstrap.peers.node_info import NodeInfo
from bootstrap.sharing.share import listen
from bootstrap.storage.fetch import large_file, shared
from bootstrap.storage.local import digests
from bootstrap.storage.open import Stores
from bootstrap.storage.schemes import parse
from bootstrap.storage.transfer import fetch
from tests.lab.faulty_proxy import FaultyProxy, corrupted, slow
from tests.lab.processes import end
from tests.lab.stores import Bucket, running_seaweedfs
from tests.storage.conftest import MemoryLog

PIECE = 128 << 10  # in place of 16 MiB, so that a small tree is of many
GROUP = 64 << 10  # in place of 8 MiB
RATE = 1_500_000  # bytes a second of each answer of the store: a fetch lasts a second
LONGEST = 90.0  # seconds for a node's fetch
SECRET = b"the job's"


@dataclass(frozen=True)
class Plan:
    """What goes wrong in a run. ``kills``: seconds from the beginning on, by node; ``flips``: which byte of those that
    a node gives the others; ``flips_of_store``: of an answer.
    """

    nodes: int
    kills: Mapping[int, float] = field(default_factory=dict)
    flips: Mapping[int, int] = field(default_factory=dict)
    flips_of_store: Sequence[int] = ()

    @classmethod
    def made(cls, seed: str) -> Plan:
        draw = random.Random(seed)
        nodes = draw.choice((2, 3, 4))
        killed = draw.sample(range(nodes), draw.randint(1, nodes - 1))
        flipping = [node for node in range(nodes) if draw.random() < 0.4]
        return cls(
            nodes,
            {node: draw.uniform(0.0, 1.0) for node in killed},
            {node: int(draw.expovariate(1 / 400_000)) for node in flipping},
            [draw.randrange(PIECE) for _ in range(draw.choice((0, 0, 1, 2)))],
        )


# --- a node ----------------------------------------------------------------------------------------------------------


def node(told: Mapping[str, Any]) -> None:
    """Say where we give what we fetch; hear where the others do; fetch; say how it went; stay until nobody listens."""
    for module in (digests, large_file, shared):
        module.PIECE = told["piece"]  # type: ignore[attr-defined]
    shared.GROUP = told["group"]
    offer = listen("127.0.0.1", SECRET, [told["url"]], least=1)
    assert offer is not None
    print(offer.told, flush=True)
    members = [NodeInfo(f"node-{number}", "127.0.0.1", "lo", each) for number, each in enumerate(json.loads(input()))]
    share = offer.among(members, told["rank"]) if members else None
    stores = Stores(Endpoint(told["endpoint"], told["region"]), lambda: Credentials(*told["keys"]), MemoryLog())
    where = Path(told["directory"])
    fetch(stores, parse(told["url"]), where, direct=True, share=share, stop=threading.Event(), log=MemoryLog())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"pulled": share.pulled if share else 0, "peak": peak}), flush=True)
    sys.stdin.read()


class Node:
    """One of them, from outside."""

    def __init__(self, rank: int, bucket: Bucket, endpoint: str, directory: Path, *, piece: int, group: int) -> None:
        store = bucket.store
        told = {
            "rank": rank,
            "url": bucket.url("data/"),
            "endpoint": endpoint,
            "region": store.region,
            "keys": [store.access_key, store.secret_key],
            "directory": str(directory),
            "piece": piece,
            "group": group,
        }
        self.directory = directory
        words = [sys.executable, "-m", "tests.lab.sharing_kills", "--node", json.dumps(told)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = self._line()

    def meet(self, addresses: Sequence[str]) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # killed by now
            self.process.stdin.write(f"{json.dumps(list(addresses))}\n")
            self.process.stdin.flush()

    def fetched(self) -> dict[str, int]:
        """Wait for its end, which must be a good one."""
        guard = threading.Timer(LONGEST, self.process.kill)
        guard.start()
        try:
            line = self._line()
        finally:
            guard.cancel()
        if not line:
            raise AssertionError(f"{self.directory.name} ended with {self.process.wait()}")
        return dict(json.loads(line))

    def close(self) -> None:
        end(self.process)

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


# --- a run -----------------------------------------------------------------------------------------------------------


def fill(bucket: Bucket) -> dict[str, bytes]:
    """An object with an MD5, one that was uploaded in parts, and small ones; returns them by their paths."""
    from boto3.s3.transfer import TransferConfig

    made = {"model.bin": os.urandom(20 * PIECE + 123), "parts.bin": os.urandom(8 * PIECE + 45)}
    made |= {f"small/{number:02}": os.urandom(number * 1000) for number in range(40)}
    for path, content in made.items():
        parts = TransferConfig(multipart_threshold=1 if path == "parts.bin" else 1 << 40, multipart_chunksize=5 << 20)
        bucket.client.upload_fileobj(io.BytesIO(content), bucket.name, f"data/{path}", Config=parts)
    return made


def run(plan: Plan, bucket: Bucket, content: Mapping[str, bytes], work: Path) -> Counter[str]:
    """Raises :class:`AssertionError` for a wrong byte, and for a node that fails; returns what happened how often."""
    happened: Counter[str] = Counter(runs=1)
    with ExitStack() as stack:
        proxy = stack.enter_context(FaultyProxy(bucket.store.endpoint))
        flips = [proxy.inject(corrupted(at), key="*/data/model.bin") for at in plan.flips_of_store]
        proxy.inject(slow(RATE), key="*/data/*", times=None)

        def start(rank: int) -> Node:
            made = Node(rank, bucket, proxy.endpoint, work / f"node-{rank}", piece=PIECE, group=GROUP)
            stack.callback(made.close)
            return made

        nodes = [start(rank) for rank in range(plan.nodes)]
        addresses = []
        for rank, one in enumerate(nodes):
            port, what = one.told.split()
            if rank in plan.flips:
                port = str(stack.enter_context(flipping(int(port), plan.flips[rank], happened)))
            addresses.append(f"{port} {what}")
        for one in nodes:
            one.meet(addresses)
        began = time.monotonic()
        for rank, moment in sorted(plan.kills.items(), key=lambda kill: kill[1]):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            nodes[rank].close()
            happened["kills"] += 1
            happened["kills midway"] += bool(check(nodes[rank].directory, content, whole=False))
        for rank, one in enumerate(nodes):
            if rank not in plan.kills:
                happened["shared"] += one.fetched()["pulled"] > 0
                check(one.directory, content)
        for rank in plan.kills:
            nodes[rank] = start(rank)
            nodes[rank].meet([])
            nodes[rank].fetched()
            check(nodes[rank].directory, content)
        happened["bits flipped on the way from the store"] += sum(flip.hits for flip in flips)
    return happened


def check(directory: Path, content: Mapping[str, bytes], *, whole: bool = True) -> list[str]:
    """Returns what is missing, which nothing is where it must be ``whole``."""
    missing = []
    for path, expected in content.items():
        try:
            found = (directory / path).read_bytes()
        except FileNotFoundError:
            missing.append(path)
            continue
        assert hashlib.sha256(found).digest() == hashlib.sha256(expected).digest(), f"{directory.name}: {path}"
    assert not (whole and missing), f"{directory.name}: without {missing[:3]}"
    return missing


@contextmanager
def flipping(port: int, at: int, happened: Counter[str]) -> Iterator[int]:
    """A way to a node's port on which one bit of what that gives is flipped, once; yields the port to use."""
    lock = threading.Lock()
    passed = 0

    def pump(source: socket.socket, target: socket.socket, flips: bool) -> None:
        nonlocal passed
        with suppress(OSError):
            while data := bytearray(source.recv(65536)):
                if flips:
                    with lock:
                        if passed <= at < passed + len(data):
                            data[at - passed] ^= 1
                            happened["bits flipped between nodes"] += 1
                        passed += len(data)
                target.sendall(data)
        for side in (source, target):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                opened.append(near)
                try:
                    far = socket.create_connection(("127.0.0.1", port))
                except OSError:
                    near.close()
                    continue
                opened.append(far)
                for words in ((near, far, False), (far, near, True)):
                    threading.Thread(target=pump, args=words, daemon=True).start()

    opened: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            for one in opened:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--node", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.node:
        node(json.loads(arguments.node))
        return 0
    happened: Counter[str] = Counter()
    wrong = 0
    with (
        tempfile.TemporaryDirectory(prefix="sharing-kills-") as place,
        running_seaweedfs(Path(place) / "store") as store,
    ):
        bucket = store.make_bucket()
        content = fill(bucket)
        for number in range(arguments.runs):
            plan = Plan.made(f"{arguments.seed}-{number}")
            with tempfile.TemporaryDirectory(dir=place) as work:
                try:
                    happened += run(plan, bucket, content, Path(work))
                except AssertionError as error:
                    wrong += 1
                    print(f"run {number}: {error} ({plan})", flush=True)
            if number % 10 == 9:
                print(f"{number + 1}: {dict(happened)}, {wrong} wrong", flush=True)
    print(f"{dict(happened)}, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
