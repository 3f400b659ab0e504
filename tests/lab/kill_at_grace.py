"""A job that is stopped and, exactly ``--grace`` seconds later, killed, as a kubelet does it, while its store is ill.

    python -m tests.lab.kill_at_grace --runs 100 [--grace 3] [--only hang,reset,crawl]

Prints for each illness of the store in how many runs the record was concluded and the reason said, and how many
seconds of the grace were left. The suite does a few of these runs (``tests/e2e/test_grace.py``).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.job import Container
from tests.lab.faulty_proxy import Fault, FaultyProxy, Pieces, reset, unanswered
from tests.lab.proxy import Handler
from tests.lab.stores import Store, running_rclone

CRAWL = 20_000  # bytes a second: of an upload of megabytes, most is under way when the time is over


def crawling() -> Fault:
    """The store takes what is sent as slowly as a line that is nearly dead."""

    def sent(handler: Handler, pieces: Pieces) -> Pieces:
        for piece in pieces:
            for start in range(0, len(piece), CRAWL // 20):
                time.sleep(0.05)
                yield piece[start : start + CRAWL // 20]

    return Fault("crawling", sent=sent)


ILLNESSES: dict[str, Callable[[threading.Event], Fault]] = {
    "hang": unanswered,
    "reset": lambda release: reset(),
    "crawl": lambda release: crawling(),
}
COMMANDS = {
    "ignores": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "saves": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))",
}


@dataclass(frozen=True)
class Run:
    """How one run was when it was killed, or ended before. ``spare``: seconds of the grace that were left."""

    code: int
    phase: str
    reason_id: str
    said: bool
    spare: float

    @property
    def concluded(self) -> bool:
        return self.phase == "ended" and bool(self.reason_id) and self.said and self.code != -signal.SIGKILL


@contextmanager
def falling_ill(store: Store, illness: str) -> Iterator[tuple[FaultyProxy, Callable[[], None]]]:
    """The store as clients meet it, and what makes everything that changes it meet its illness from then on: a job
    claims the targets of its outputs by a write before its command starts, and would wait for a store that is ill.
    """
    proxy, release = FaultyProxy(store.endpoint), threading.Event()

    def fall_ill() -> None:
        for method in ("PUT", "POST"):
            proxy.inject(ILLNESSES[illness](release), method=method, times=None)

    with proxy:
        try:
            yield proxy, fall_ill
        finally:
            release.set()


def run(root: Path, store: Store, illness: str, command: str, grace: float) -> Run:
    """One job with a log and 8 MB of outputs, stopped when its command runs and killed ``grace`` seconds later."""
    container, bucket = Container(root), store.make_bucket()
    (container.work / "out").mkdir()
    (container.work / "out" / "model").write_bytes(bytes(8_000_000))
    (container.work / "train.py").write_text(
        f"import signal, sys, time\nprint('started', flush=True)\n{COMMANDS[command]}\nopen('ready', 'w').close()\n"
        "time.sleep(600)\n"
    )
    words = ["--grace", str(grace), "--log", bucket.url("logs/"), "--output", f"out={bucket.url('out/')}"]
    with falling_ill(store, illness) as (proxy, fall_ill):
        environ = {**store.env(), "S3_ENDPOINT": proxy.endpoint}
        with container.running(*words, "--", "python3", "train.py", environ=environ) as process:
            container.wait_for(container.work / "ready")
            fall_ill()
            asked = time.monotonic()
            process.terminate()
            killer = threading.Timer(grace, process.kill)
            killer.start()
            stderr = process.communicate(timeout=60)[1].decode(errors="replace")
            spare = asked + grace - time.monotonic()
            killer.cancel()
    (path,) = container.tmp.rglob("run.json")
    record = json.loads(path.read_text())
    said = f"[{record.get('reason_id')}, exit {record.get('exit_code')}]" in stderr
    return Run(process.returncode, record["phase"], record.get("reason_id", ""), said, spare)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--grace", type=float, default=3.0)
    parser.add_argument("--only", default=",".join(ILLNESSES))
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as scratch, running_rclone(Path(scratch, "store")) as store:
        for illness in options.only.split(","):
            runs = []
            for number in range(options.runs):
                command = list(COMMANDS)[number % len(COMMANDS)]
                runs.append(run(Path(scratch, f"{illness}-{number}"), store, illness, command, options.grace))
            good = sum(one.concluded for one in runs)
            failed += len(runs) - good
            print(f"{illness}: {good} of {len(runs)} concluded; least spare {min(one.spare for one in runs):.2f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
