"""What it costs to have the log in the store while the job runs.

    python -m benchmarks.logs            # under a minute

For logs of several shapes: bytes sent for each byte of log, objects at most, and requests, counted by a proxy in front
of a store that copies objects as pieces of others (SeaweedFS) and of one that does not (rclone). And while the command
sleeps and nothing is new: CPU and memory of our process, at the default interval of 10 s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store, running_rclone, running_seaweedfs

BOOTSTRAP = Path(sys.executable).with_name("bootstrap")

# Lines of N bytes, so many a second, so many seconds.
SPEAKER = """\
import sys, time
size, rate, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
line, began, written = "x" * (size - 1), time.monotonic(), 0
while (now := time.monotonic() - began) < seconds:
    while written < now * rate:
        print(line)
        written += 1
    sys.stdout.flush()
    time.sleep(0.02)
"""

SHAPES = [  # title, bytes of a line, lines a second, seconds, interval
    ("100 MB at 30 MB/s, every 1 s", 1000, 30_000, 3.5, 1.0),
    ("9 MB at 3 MB/s, every 0.2 s", 1000, 3_000, 3, 0.2),
    ("50 kB at 10 kB/s, every 0.02 s", 100, 100, 5, 0.02),
]


def job(bucket: Bucket, endpoint: str, home: Path, interval: float, *command: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, **bucket.store.env(), "S3_ENDPOINT": endpoint, "BOOTSTRAP_LOG_INTERVAL": str(interval)}
    words = ["run", "--quiet", "--log", bucket.url("logs/"), "--log-file", str(home / "job.log"), "--", *command]
    return subprocess.Popen([BOOTSTRAP, *words], env=environ, cwd=home, stdout=subprocess.DEVNULL)


def cost(store: Store, title: str, arguments: tuple[int, int, float], interval: float) -> None:
    bucket = store.make_bucket()
    with FaultyProxy(store.endpoint) as proxy, tempfile.TemporaryDirectory(dir="/dev/shm") as home:
        words = [sys.executable, "-c", SPEAKER, *map(str, arguments)]
        process = job(bucket, proxy.endpoint, Path(home), interval, *words)
        objects = 0
        while process.poll() is None:
            objects = max(objects, len(bucket.list("logs/job.log")))
            time.sleep(0.2)
        size = Path(home, "job.log").stat().st_size
        assert len(bucket.get("logs/job.log")) == size
    ours = [seen for seen in proxy.seen if seen.key.startswith(f"{bucket.name}/logs/job.log")]
    beats = [seen for seen in ours if "heartbeat" in seen.key]
    sent = {id(seen): int(seen.headers.get("Content-Length") or 0) for seen in ours}
    alive = sum(sent[id(seen)] for seen in beats) / size
    log = sum(sent.values()) / size - alive
    print(
        f"  {title:<32} {size / 1e6:6.2f} MB: {log:4.2f} times that sent, heartbeats {alive:4.2f},"
        f" {objects} objects at most, {len(ours)} requests"
    )


@contextmanager
def idle(store: Store) -> Iterator[None]:
    """From its first heartbeat to the end of the block, what a job costs that says nothing."""
    bucket = store.make_bucket()
    with tempfile.TemporaryDirectory() as home:
        process = job(bucket, store.endpoint, Path(home), 10.0, "sleep", "600")
        try:
            while not any("heartbeat" in key for key in bucket.list("logs/")):
                time.sleep(0.1)
            before, began = nanoseconds(process.pid), time.monotonic()
            yield
            seconds = time.monotonic() - began
            used = (nanoseconds(process.pid) - before) / 1e9 / seconds
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.kill()
            process.wait()
    memory = int(status.split("VmRSS:")[1].split()[0]) / 1024
    print(f"While the command sleeps, over {seconds:.0f} s at an interval of 10 s:")
    print(f"  CPU {used:.3%} of a core (goal: at most 0.2 %), {memory:.1f} MB resident (goal: at most 40)")


def nanoseconds(pid: int) -> int:
    """CPU time of all threads so far."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def main() -> None:
    with ExitStack() as stack:
        stores = []
        for running in (running_seaweedfs, running_rclone):
            directory = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
            stores.append(stack.enter_context(running(Path(directory))))
        stack.enter_context(idle(stores[0]))
        for store in stores:
            print(f"{store.name}:")
            for title, size, rate, seconds, interval in SHAPES:
                cost(store, title, (size, rate, seconds), interval)


if __name__ == "__main__":
    main()
