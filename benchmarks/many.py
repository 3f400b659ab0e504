"""How time and memory grow with the number of objects: 10,000, 100,000 and a million of 32 bytes.

    python benchmarks/many.py                           the table, ten minutes
    python benchmarks/many.py --counts 10000,100000 --work first,second
    python benchmarks/many.py --think 0.02 --work list  a store that thinks 20 ms before each answer
    python benchmarks/many.py --beside OTHER/.venv/bin/bootstrap    another version of ours too, as "before"

Whole processes against ``many_server.py``, a process of Python on the same machine, into ``--directory``: a million
files need 5 GB there. What counts is whether time and memory *for each object* stay what they are.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.clients import measure
from benchmarks.servers import ACCESS, REGION, SECRET

WORK = ("first", "second", "list", "up")


@contextmanager
def serving(count: int, think: float) -> Iterator[str]:
    words = [sys.executable, str(Path(__file__).with_name("many_server.py")), str(count), str(think)]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.wait()


def requests(endpoint: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{endpoint}/requests") as answer:
        found: dict[str, int] = json.load(answer)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--counts", default="10000,100000,1000000", metavar="N,...")
    parser.add_argument("--work", default=",".join(WORK), metavar="WORK,...")
    parser.add_argument("--think", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--directory", default="/dev/shm", help="where to fetch to")
    parser.add_argument("--beside", default="", metavar="PROGRAM", help="the bootstrap of another version, as 'before'")
    arguments = parser.parse_args()
    programs = {"ours": str(Path(sys.executable).with_name("bootstrap"))}
    if arguments.beside:
        programs["before"] = arguments.beside
    print("| objects | work | program | wall s | CPU s | CPU us an object | peak MB | requests |\n" + "|---" * 8 + "|")
    for count in map(int, arguments.counts.split(",")):
        for name, program in programs.items():
            with (
                serving(count, arguments.think) as endpoint,
                tempfile.TemporaryDirectory(dir=arguments.directory, prefix="many-") as directory,
            ):
                env = {
                    "PATH": os.environ["PATH"],
                    "HOME": directory,
                    "S3_ENDPOINT": endpoint,
                    "AWS_ACCESS_KEY_ID": ACCESS,
                    "AWS_SECRET_ACCESS_KEY": SECRET,
                    "AWS_REGION": REGION,
                }
                target = os.path.join(directory, "tree")
                fetch = [program, "copy", "-q", "-r", "obs://bkt/t/", f"{target}/"]
                argv = {
                    "first": fetch,
                    "second": fetch,
                    "list": [program, "du", "-s", "obs://bkt/t/"],
                    "up": [program, "copy", "-q", "-r", f"{target}/", "obs://bkt/up/"],
                }
                for work in WORK:
                    if work not in arguments.work.split(","):
                        continue
                    before = requests(endpoint)
                    run = measure(argv[work], env)
                    made = {kind: n - before.get(kind, 0) for kind, n in requests(endpoint).items()}
                    told = ", ".join(f"{n} {kind}" for kind, n in made.items() if n)
                    each = run.cpu / count * 1e6
                    row = f"{run.wall:.2f} | {run.cpu:.2f} | {each:.0f} | {run.peak / 1e6:.0f} | {told}"
                    print(f"| {count:,} | {work} | {name} | {row} |", flush=True)
                shutil.rmtree(target, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
