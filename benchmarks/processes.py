"""Processes that decrypt for a transfer: what they give over TLS, what they cost, and what one process can do at most.

    python -m benchmarks.processes [--mib 256] [--rounds 5] [--only copies|ceilings]

First, whole ``bootstrap copy`` processes of four large objects into a tmpfs, with ``--tls-processes`` 0, 1 and 2 in
turn, medians: from nginx, which takes as much CPU as its client; and from ``sealed_server.py``, which has encrypted its
answers before, counted from the moment at which it begins to send them: so that its CPU is elsewhere, but for what the
kernel needs. Then what is left without any server: ciphertext that waits in sockets, read by a number of processes with
a number of threads each, as connections read it.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.clients import Measured, measure
from benchmarks.servers import ACCESS, SECRET, Site, issue, nginx
from benchmarks.transfers import emptied

MIB = 1 << 20
BUFFER = 128 << 10
_SNDBUFFORCE = 32


COUNTS = (0, 1, 2)
Run = tuple[float, float]
"""Seconds on the clock, and of CPU."""


def pin(server: int, cores: set[int]) -> None:
    """The process, its threads and its children."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    for pid in map(int, [*os.listdir(f"/proc/{server}/task"), *children]):
        os.sched_setaffinity(pid, cores)


def copy(bucket: str, prefix: str, env: dict[str, str], work: Path, processes: int, expected: list[int]) -> Measured:
    words = [str(Path(sys.executable).with_name("bootstrap")), "copy", "-q", "-r", f"--tls-processes={processes}"]
    with emptied(work / "target") as target:
        measured = measure([*words, f"obs://{bucket}/{prefix}", f"{target}/tree/"], env)
        found = [path.stat().st_size for path in (target / "tree").iterdir() if not path.name.startswith(".")]
        if found != expected:
            raise SystemExit(f"not everything arrived: {found}")
    return measured


def from_nginx(work: Path, kind: str, cores: set[int], mib: int, rounds: int) -> dict[int, list[Run]]:
    runs: dict[int, list[Run]] = {count: [] for count in COUNTS}
    with nginx(work, kind, 10, 4, mib * MIB) as site:
        (server,) = (int(path.read_text()) for path in work.glob(f"nginx-{kind}/pid"))
        pin(server, cores)
        for _ in range(rounds):
            for count, found in runs.items():
                run = copy(site.bucket, "large/", site.env, work, count, [mib * MIB] * 4)
                found.append((run.wall, run.cpu))
    return runs


def from_sealed(work: Path, cores: set[int], mib: int, rounds: int) -> dict[int, list[Run]]:
    """The clock runs from when it begins to send."""
    bundle = issue(work)
    words = [sys.executable, str(Path(__file__).with_name("sealed_server.py")), str(work / "server.pem"), "4", str(mib)]
    runs: dict[int, list[Run]] = {count: [] for count in COUNTS}
    for _ in range(rounds):
        for count, found in runs.items():
            server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            try:
                assert server.stdout is not None
                site = Site(work, f"https://127.0.0.1:{int(server.stdout.readline())}", "bkt", ACCESS, SECRET, bundle)
                pin(server.pid, cores)
                run = copy(site.bucket, "t/", site.env, work, count, [mib * MIB] * 4)
                found.append((time.monotonic() - float(server.stdout.readline()), run.cpu))
            finally:
                server.kill()
                server.wait()
    return runs


def copies(mib: int, rounds: int) -> None:
    print("| server | scheme | processes | wall s, median (range) | CPU s | by none |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, kind, cores in (
        ("nginx, on our cores", "nginx", {0, 1}),
        ("nginx, on our cores", "tls", {0, 1}),
        ("nginx, on one of two", "tls", {1}),
        ("sealed, on one of two", "sealed", {1}),
    ):
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="processes-") as directory:
            work = Path(directory)
            if kind == "sealed":
                runs = from_sealed(work, cores, mib, rounds)
            else:
                runs = from_nginx(work, kind, cores, mib, rounds)
        alone = statistics.median(wall for wall, _ in runs[0])
        for count, found in runs.items():
            walls = sorted(wall for wall, _ in found)
            wall, cpu = statistics.median(walls), statistics.median(cpu for _, cpu in found)
            cells = f"{wall:.2f} ({walls[0]:.2f}-{walls[-1]:.2f}) | {cpu:.2f} | {wall / alone:.2f}"
            print(f"| {name} | {'http' if kind == 'nginx' else 'https'} | {count} | {cells} |", flush=True)


class Ciphertext:
    """Connections whose bytes are there already."""

    def __init__(self, home: Path, tls: bool) -> None:
        self._block = os.urandom(MIB)
        self._tls = tls
        bundle = issue(home)
        self._server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.load_cert_chain(home / "server.pem")
        self._client = ssl.create_default_context(cafile=bundle)

    @contextmanager
    def connections(self, count: int, mib: int) -> Iterator[list[socket.socket]]:
        made = [self._filled(mib) for _ in range(count)]
        yield [ours for ours, _ in made]
        for pair in made:
            for each in pair:
                each.close()

    def _filled(self, mib: int) -> tuple[socket.socket, socket.socket]:
        theirs, ours = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, 2 * mib * MIB)
        ends: list[socket.socket] = [theirs]

        def serve() -> None:
            if self._tls:
                ends[0] = self._server.wrap_socket(theirs, server_side=True)
            for _ in range(mib):
                ends[0].sendall(self._block)

        serving = threading.Thread(target=serve)
        serving.start()
        if self._tls:
            ours = self._client.wrap_socket(ours, server_hostname="127.0.0.1")
        serving.join()
        return ours, ends[0]


def read(connection: socket.socket, size: int, file: int, at: int) -> None:
    """As ``http1.HttpConnection.pour`` does it."""
    view, end = memoryview(bytearray(BUFFER)), at + size
    while at < end:
        most, have = min(BUFFER, end - at), 0
        while have < most:
            have += connection.recv_into(view[have:most])
        os.pwrite(file, view[:have], at)
        at += have


def ceiling(source: Ciphertext, work: Path, processes: int, threads: int, mib: int) -> tuple[float, float, int]:
    """Wall and CPU seconds a GiB, and how often somebody had to wait."""
    count = processes * threads
    each = mib // count
    file = os.open(work / "out", os.O_CREAT | os.O_RDWR)
    os.ftruncate(file, 0)  # the pages are made anew each time
    os.ftruncate(file, mib * MIB)
    (gate, start), (told, ready) = os.pipe(), os.pipe()
    with source.connections(count, each) as connections:
        children = []
        for number in range(processes):
            child = os.fork()  # this process has no other threads now
            if not child:
                mine = range(number * threads, (number + 1) * threads)
                begin = threading.Event()

                def work_on(place: int, begin: threading.Event = begin) -> None:
                    begin.wait()
                    read(connections[place], each * MIB, file, place * each * MIB)

                readers = [threading.Thread(target=work_on, args=(place,)) for place in mine]
                for reader in readers:
                    reader.start()
                os.write(ready, b"r")
                os.read(gate, 1)
                begin.set()
                for reader in readers:
                    reader.join()
                os._exit(0)
            children.append(child)
        for _ in children:
            os.read(told, 1)
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        os.write(start, b"g" * processes)
        for child in children:
            os.waitpid(child, 0)
        wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for descriptor in (file, gate, start, told, ready):
        os.close(descriptor)
    gib = count * each / 1024
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall / gib, cpu / gib, int((after.ru_nvcsw - before.ru_nvcsw) / gib)


def ceilings(rounds: int) -> None:
    print("\n| server | scheme | processes x threads | s a GiB | CPU s a GiB | waits | GB/s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for tls in (True, False):
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="processes-") as directory:
            work = Path(directory)
            source = Ciphertext(work, tls)
            forms = [(1, 1), (1, 2), (1, 4), (1, 16), (2, 1), (2, 2), (2, 8)]
            runs: dict[tuple[int, int], list[tuple[float, float, int]]] = {form: [] for form in forms}
            for _ in range(rounds):
                for form, found in runs.items():
                    found.append(ceiling(source, work, *form, 512))
            for (processes, threads), found in runs.items():
                wall, cpu, waits = (statistics.median(run[place] for run in found) for place in range(3))
                cells = f"{wall:.2f} | {cpu:.2f} | {waits:.0f} | {1.074 / wall:.2f}"
                print(f"| {'https' if tls else 'http'} | {processes} x {threads} | {cells} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=256, help="size of each of the four objects (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", choices=("copies", "ceilings"))
    arguments = parser.parse_args()
    if arguments.only != "ceilings":
        copies(arguments.mib, arguments.rounds)
    if arguments.only != "copies":
        ceilings(arguments.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
