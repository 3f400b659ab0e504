"""Outputs under measurement: kills, a soak, the price of an idle look, and what the trainer notices.

    python -m benchmarks.outputs kill --kills 200 --seed 1     a real training, stopped at seeded moments under faults
    python -m benchmarks.outputs soak --minutes 30             thousands of changing files: memory, bytes sent
    python -m benchmarks.outputs idle --files 10000            a core's share when nothing changes
    python -m benchmarks.outputs steps                         a training's step time with and without: 4 minutes

Each but the last, which prints a table, prints one line of JSON a measurement; each exits with 1 when a promise of
docs/outputs.md was broken. ``kill`` and ``steps`` need a Python with torch (BOOTSTRAP_TEST_ENGINES).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store, running_seaweedfs

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))
IDLE_PROMISE = 0.003  # of a core
SENT_PROMISE = 1.2  # bytes sent by bytes that had to go

STEPS = """\
import os, sys, time, torch
seconds, every = float(sys.argv[1]), float(sys.argv[2])
torch.set_num_threads(2)
torch.manual_seed(1)
model = torch.nn.Sequential(*[torch.nn.Linear(512, 512) for _ in range(6)])
optimizer = torch.optim.Adam(model.parameters())
out = os.environ["BOOTSTRAP_OUTPUT_DIR"]
x, y = torch.randn(256, 512), torch.randn(256, 512)
end, saved, times, n = time.monotonic() + seconds, time.monotonic(), [], 0
while time.monotonic() < end:
    began = time.perf_counter()
    optimizer.zero_grad(); torch.nn.functional.mse_loss(model(x), y).backward(); optimizer.step()
    times.append(time.perf_counter() - began)
    if time.monotonic() - saved > every:
        saved, n = time.monotonic(), n + 1
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, f"{out}/step-{n:04d}.pt")
times.sort()
print("STEPS", len(times), sum(times) / len(times), times[len(times) // 2], times[len(times) * 99 // 100], flush=True)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    kills = what.add_parser("kill")
    kills.add_argument("--kills", type=int, default=200)
    kills.add_argument("--each", type=int, default=4, help="kills a training, before it may end")
    kills.add_argument("--seed", type=int, default=1)
    kills.add_argument("--interval", type=float, default=1.0)
    soaks = what.add_parser("soak")
    soaks.add_argument("--minutes", type=float, default=30)
    soaks.add_argument("--files", type=int, default=3000)
    soaks.add_argument("--interval", type=float, default=10)
    idles = what.add_parser("idle")
    idles.add_argument("--files", type=int, default=10_000)
    idles.add_argument("--seconds", type=float, default=180)
    steps = what.add_parser("steps")
    steps.add_argument("--seconds", type=float, default=20)
    steps.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    works = {"kill": kill, "soak": soak, "idle": idle, "steps": step_time}
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a disk's own moods are larger than what is measured
    with tempfile.TemporaryDirectory(dir=memory) as name, running_seaweedfs(Path(name, "store")) as store:
        return works[arguments.what](arguments, store, Path(name))


def kill(arguments: argparse.Namespace, store: Store, directory: Path) -> int:
    from tests.lab.engines import python_with
    from tests.outputs.harness import Loss, Play, final_weights

    python, done, broken, number = python_with("torch"), 0, 0, 0
    losses: list[Loss] = []
    with FaultyProxy(store.endpoint) as proxy:
        calm = store.make_bucket()
        Play(calm, proxy, python, directory / "calm", 0, steps=100, every=10, kills=0, pause=0.0).run()
        expected = final_weights(calm, "models/")
        while done < arguments.kills:
            number += 1
            bucket = store.make_bucket()
            seed = arguments.seed * 10_000 + number
            play = Play(
                bucket,
                proxy,
                python,
                directory / f"play-{number}",
                seed,
                kills=arguments.each,
                steps=100,
                every=10,  # a checkpoint a second
                interval=arguments.interval,
                in_place=number % 2 == 0,
            )
            verdict = "as promised"
            try:
                reader = play.run()
                polls = reader.polls
                if final_weights(bucket, "models/") != expected:
                    verdict = "other weights"
            except AssertionError as error:
                verdict, polls = str(error)[:2000], 0
            broken += verdict != "as promised"
            killed = [how for how in play.ended_by if how in ("KILL", "TERM")]
            done += len(killed)
            facts = {"seed": seed, "in_place": play.in_place, "ended_by": play.ended_by, "starts": play.starts}
            losses += play.lost
            lost = [[one.how, one.steps, round(one.age, 2), round(one.troubled, 2)] for one in play.lost]
            say(**facts, lost=lost, polls=polls, verdict=verdict, kills_so_far=done)
            shutil.rmtree(directory / f"play-{number}", ignore_errors=True)
    beyond = sorted(one.beyond(arguments.interval) for one in losses if one.how == "KILL")
    told = {"median": beyond[len(beyond) // 2], "p90": beyond[len(beyond) * 9 // 10], "most": beyond[-1]}
    say(
        kills=done,
        trainings=number,
        broken=broken,
        seconds_lost_beyond_interval_and_faults={name: round(value, 2) for name, value in told.items()},
        lost_a_term=sum(one.steps > 0 for one in losses if one.how == "TERM"),
    )
    return int(broken > 0)


def soak(arguments: argparse.Namespace, store: Store, directory: Path) -> int:
    """Files change in a directory; what a round found whole had to go, and nothing else."""
    bucket, out = store.make_bucket(), directory / "job/out"
    out.mkdir(parents=True)
    chance = random.Random(3)
    for n in range(arguments.files):
        _write(out / f"d{n % 50}/f{n}.bin", chance)
    with job(bucket, directory, arguments.interval) as (process, proxy):
        end = time.monotonic() + arguments.minutes * 60
        memory: list[float] = []
        written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        began = time.monotonic()
        while time.monotonic() < end:
            time.sleep(arguments.interval)
            # One state of each file a look: the next change comes when this one must be there.
            for n in chance.sample(range(arguments.files), arguments.files // 20):
                written += _write(out / f"d{n % 50}/f{n}.bin", chance)
            memory.append(_rss(process.pid))
            if len(memory) % 6 == 0:
                minutes = round((time.monotonic() - began) / 60, 1)
                say(minutes=minutes, mb=round(memory[-1], 1), sent=_sent(proxy), had_to_go=written)
        time.sleep(2 * arguments.interval)
        sent = _sent(proxy)
    early = statistics.median(memory[len(memory) // 5 : 2 * len(memory) // 5] or memory)
    late = statistics.median(memory[-max(1, len(memory) // 5) :])
    say(ratio=round(sent / written, 3), early_mb=round(early, 1), late_mb=round(late, 1))
    return int(sent > SENT_PROMISE * written or late > early + 8)


def idle(arguments: argparse.Namespace, store: Store, directory: Path) -> int:
    bucket, out = store.make_bucket(), directory / "job/out"
    out.mkdir(parents=True)
    chance = random.Random(3)
    for n in range(arguments.files):
        _write(out / f"d{n % 100}/f{n}.bin", chance, 200)
    with job(bucket, directory, 60.0) as (process, _):
        deadline = time.monotonic() + 300
        while len(bucket.list("models/d")) < arguments.files and time.monotonic() < deadline:
            time.sleep(1)
        time.sleep(70)  # the round that finds that all has gone: from then on nothing changes
        before, began = _cpu(process.pid), time.monotonic()
        time.sleep(arguments.seconds)
        share = (_cpu(process.pid) - before) / (time.monotonic() - began)
    say(files=arguments.files, share_of_a_core=round(share, 5))
    return int(share > IDLE_PROMISE)


def step_time(arguments: argparse.Namespace, store: Store, directory: Path) -> int:
    """Side by side, in turn: outputs at the end only, and a checkpoint every five seconds that goes to the store."""
    from tests.lab.engines import python_with

    python = python_with("torch")
    (directory / "steps.py").write_text(STEPS)
    times: dict[str, list[list[float]]] = {"without": [], "with": []}  # mean, median and 99th percentile of each run
    for number in range(arguments.rounds):
        for kind in times if number % 2 == 0 else reversed(times):
            bucket, home = store.make_bucket(), directory / f"{kind}-{number}"
            home.mkdir()
            interval = "0" if kind == "without" else "5"
            argv = [BOOTSTRAP, "run", "--output", f"out={bucket.url('models/')}", "--output-interval", interval, "--"]
            argv += [python, str(directory / "steps.py"), str(arguments.seconds), "5"]
            done = subprocess.run(
                argv, cwd=home, env=_environ(home, store, store.endpoint), capture_output=True, text=True, check=True
            )
            (line,) = [line for line in done.stdout.splitlines() if line.startswith("STEPS")]
            times[kind].append([1000 * float(word) for word in line.split()[2:]])
            shutil.rmtree(home)
    names = ("mean", "median", "99 %")
    middle = {kind: [statistics.median(run[n] for run in runs) for n in range(3)] for kind, runs in times.items()}
    print(f"ms a step, medians of {arguments.rounds} runs" + "".join(f"{name:>10}" for name in names))
    for kind, row in middle.items():
        print(f"{kind + ' live outputs':30}" + "".join(f"{value:10.3f}" for value in row))
    ratios = [live / alone for live, alone in zip(middle["with"], middle["without"], strict=True)]
    print(f"{'ratio':30}" + "".join(f"{ratio:10.4f}" for ratio in ratios))
    return 0


@contextmanager
def job(bucket: Bucket, directory: Path, interval: float) -> Iterator[tuple[subprocess.Popen[bytes], FaultyProxy]]:
    """A bootstrap whose command does nothing; the files are changed by us, behind its back."""
    home = directory / "job"
    with FaultyProxy(bucket.store.endpoint) as proxy:
        argv = [
            BOOTSTRAP,
            "run",
            "--output",
            f"out={bucket.url('models/')}",
            "--output-interval",
            str(interval),
            "--",
            "sleep",
            "86400",
        ]
        with (home / "output").open("wb") as output:
            process = subprocess.Popen(
                argv, cwd=home, env=_environ(home, bucket.store, proxy.endpoint), stdout=output, stderr=output
            )
        try:
            yield process, proxy
        finally:
            process.kill()
            process.wait()


def _environ(home: Path, store: Store, endpoint: str) -> dict[str, str]:
    own = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home), "BOOTSTRAP_LOG_FILE": str(home / "job.log")}
    return {**own, **store.env(), "S3_ENDPOINT": endpoint}


def _write(path: Path, chance: random.Random, most: int = 20_000) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".tmp")
    size = chance.randrange(1, most)
    new.write_bytes(chance.randbytes(size))
    new.replace(path)
    return size


def _sent(proxy: FaultyProxy) -> int:
    sent = [one for one in list(proxy.seen) if one.method in ("PUT", "POST")]
    return sum(int(one.headers.get("Content-Length") or 0) for one in sent)


def _rss(pid: int) -> float:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _cpu(pid: int) -> float:
    """Seconds of CPU of the process and of what it has reaped."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
