"""What lies between a command and its log: our capture beside ``tee``, signals, and what it costs to idle.

Start-up and exit are in ``startup.py``.

    python benchmarks/capture.py                    everything, a few minutes
    python benchmarks/capture.py --only rate --gigabytes 0.5 --rounds 5 --json results.json

Whole processes of the installed ``bootstrap run``, several rounds in turn, medians, log files in a tmpfs, and a pipe
behind the console as a container's log driver has it. The lines of ``rate`` are those of a training log: words,
numbers, paths; ``base64`` is the worst case for the redactor, one long run of letters that a key could be made of.

``ratio`` is ours to tee's rate: above 1 we are faster.
"""

from __future__ import annotations

import argparse
import base64
import compileall
import json
import os
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import bootstrap

BLOCK = 32 << 20
SECRETS = {
    "S3_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "S3_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "S3_SECURITY_TOKEN": base64.b64encode(random.Random(1).randbytes(300)).decode(),
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "MY_PASSWORD": "correct-horse-battery-staple",
}
BOOTSTRAP = [str(Path(sys.executable).with_name("bootstrap")), "run", "--quiet"]


class Lab:
    def __init__(self, directory: Path, rounds: int) -> None:
        self.directory, self.rounds = directory, rounds
        self.results: dict[str, object] = {}

    def log(self) -> Path:
        path = self.directory / "log"
        path.unlink(missing_ok=True)
        for name in ("run", "job"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        return path

    def ours(self, command: str, *options: str) -> str:
        """A shell line that runs ``command`` below us, as a container would."""
        fixed = ["--log-file", str(self.directory / "log"), "--run-dir", str(self.directory / "run")]
        fixed += ["--job-dir", str(self.directory / "job")]
        return shlex.join([*BOOTSTRAP, *fixed, *options, "--", "sh", "-c", command])

    def medians(self, contestants: Mapping[str, Callable[[], float]]) -> dict[str, float]:
        """Each in turn, as often as there are rounds."""
        seen: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(self.rounds):
            for name, run in contestants.items():
                seen[name].append(run())
        return {name: statistics.median(values) for name, values in seen.items()}

    def start(self) -> float:
        """Seconds that we take for a command that does nothing: what a short measurement must not call capture."""

        def run() -> float:
            self.log()
            begin = time.monotonic()
            subprocess.run(["bash", "-c", self.ours("exit 0")], check=True, env=environment(False))
            return time.monotonic() - begin

        return self.medians({"start": run})["start"]

    def tell(self, title: str, figures: Mapping[str, float], unit: str) -> None:
        self.results[title] = dict(figures)
        print(f"{title}: " + ", ".join(f"{name} {value:.4g} {unit}" for name, value in figures.items()), flush=True)


def environment(secrets: bool) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return {**environ, "BOOTSTRAP_LOG_LIMIT": "0", **(SECRETS if secrets else {})}


def training_log(size: int) -> bytes:
    """Lines as training programs write them, none like the one before."""
    dice = random.Random(0)
    paths = [
        "/home/ma-user/modelarts/user-job-dir/code/train.py",
        "/cache/data/imagenet/train/n01440764/n01440764_10026.JPEG",
    ]
    lines: list[str] = []
    total = 0
    while total < size:
        step = dice.randrange(100_000)
        line = f"[2026-02-03 04:05:{dice.random() * 60:06.3f}] INFO worker {dice.randrange(8)}: step {step}/100000 "
        line += f"loss={dice.random():.5f} lr={dice.random() / 1e4:.3e} grad_norm={dice.random() * 9:.3f} "
        line += f"images/s={dice.random() * 4000:.1f}\n"
        if dice.random() < 0.01:
            line += f'  File "{dice.choice(paths)}", line {step}, in forward\n'
        lines.append(line)
        total += len(line)
    return "".join(lines).encode()[:size]


def rate(lab: Lab, gigabytes: float) -> None:
    times = max(1, round(gigabytes * 1e9 / BLOCK))
    texts = {"rate": training_log(BLOCK), "base64": base64.b64encode(random.Random(2).randbytes(BLOCK))[:BLOCK]}
    for title, text in texts.items():
        block = lab.directory / "block"
        block.write_bytes(text)
        source = f"cat {' '.join([str(block)] * times)}"
        compare(lab, title, source, times * BLOCK)
        block.unlink()


def compare(lab: Lab, title: str, source: str, size: int) -> None:
    """The bytes of ``source`` through tee and through us, with and without secrets, as MB/s and as ratios."""

    def run(line: str, secrets: bool = False) -> Callable[[], float]:
        def once() -> float:
            log = lab.log()
            begin = time.monotonic()
            subprocess.run(["bash", "-c", f"{line} | cat >/dev/null"], check=True, env=environment(secrets))
            seconds = time.monotonic() - begin
            assert log.stat().st_size == size, f"{log.stat().st_size} of {size} bytes arrived"
            return size / seconds / 1e6

        return once

    ours = lab.ours(source, "--no-line-buffered")
    found = lab.medians(
        {
            "tee": run(f"{source} | tee {lab.directory / 'log'}"),
            "ours": run(ours),
            "ours with five secrets": run(ours, secrets=True),
        }
    )
    start = lab.start()
    for name in ("ours", "ours with five secrets"):
        found[f"{name}, less start-up"] = 1 / (1 / found[name] - start / (size / 1e6))
    lab.tell(title, found, "MB/s")
    lab.tell(f"{title}, ratio", {name: found[name] / found["tee"] for name in list(found)[1:]}, "x tee")


def lines(lab: Lab, millions: float) -> None:
    count = round(millions * 1e6)
    compare(
        lab, f"{millions:g} million short lines", f"seq {count}", len("".join(map(str, range(1, count + 1)))) + count
    )
    few = count // 10
    size = len("".join(map(str, range(1, few + 1)))) + few
    compare(lab, f"{few / 1e6:g} million lines, one write each", f"stdbuf -oL seq -f %.0f {few}", size)


def idle(lab: Lab, seconds: float = 10.0) -> None:
    """Percent of a core, and MiB, while the command sleeps with its log shipped live."""
    lab.log()
    line = lab.ours("echo ready; sleep 60", "--log", str(lab.directory / "delivered"))
    with subprocess.Popen(shlex.split(line), stdout=subprocess.PIPE, env=environment(True)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(2)
        before = ticks(process.pid)
        time.sleep(seconds)
        used = (ticks(process.pid) - before) / os.sysconf("SC_CLK_TCK") / seconds * 100
        status = Path(f"/proc/{process.pid}/status").read_text()
        rss = int(status.partition("VmRSS:")[2].split()[0]) / 1024
        process.terminate()
    lab.tell("idle CPU", {"ours": used}, "% of a core")
    lab.tell("idle memory", {"ours": rss}, "MiB")


def signals(lab: Lab) -> None:
    """Milliseconds from ``kill`` to the command's handler."""
    program = lab.directory / "receive.py"
    program.write_text(
        "import signal, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print(time.monotonic_ns(), flush=True))\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()\n"
    )
    lab.log()
    line = lab.ours(f"exec {sys.executable} {program}")
    seen = []
    with subprocess.Popen(shlex.split(line), stdout=subprocess.PIPE, env=environment(False)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(100):
            time.sleep(0.01)
            begin = time.monotonic_ns()
            process.send_signal(signal.SIGUSR1)
            seen.append((int(process.stdout.readline()) - begin) / 1e6)
        process.terminate()
    lab.tell("a signal to the command's handler", {"median": statistics.median(seen), "worst of 100": max(seen)}, "ms")


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["rate", "lines", "signals", "idle"])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--millions", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    compileall.compile_dir(Path(bootstrap.__file__).parent, quiet=1)  # as pip does with what it installs
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        lab = Lab(Path(directory), options.rounds)
        if options.only in (None, "signals"):
            signals(lab)
        if options.only in (None, "idle"):
            idle(lab)
        if options.only in (None, "lines"):
            lines(lab, options.millions)
        if options.only in (None, "rate"):
            rate(lab, options.gigabytes)
        if options.json:
            options.json.write_text(json.dumps(lab.results, indent=2) + "\n")


if __name__ == "__main__":
    main()
