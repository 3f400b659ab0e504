"""A real training that is stopped at seeded moments while its store fails, and started again elsewhere until it ends.

The judge knows only docs/outputs.md: its reader is written here, from the page, and shares no code with the product.
``benchmarks/outputs.py`` plays it long, ``test_kill.py`` short.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.faulty_proxy import FaultyProxy, delayed, lost_answer, refused, reset, reset_upload
from tests.lab.stores import Bucket
from tests.lab.waiting import until

TRAIN = """\
import os, sys, time
import torch

steps, every, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
out, resume = os.environ["BOOTSTRAP_OUTPUT_DIR"], os.environ.get("BOOTSTRAP_RESUME_FROM")
torch.set_num_threads(1)
torch.manual_seed(7)
model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.Tanh(), torch.nn.Linear(256, 8))
optimizer = torch.optim.Adam(model.parameters())
start = 0
if resume:
    state = torch.load(resume)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    start = state["step"]
print("start", start, flush=True)
for step in range(start, steps):
    chance = torch.Generator().manual_seed(step)
    x, y = torch.randn(32, 64, generator=chance), torch.randn(32, 8, generator=chance)
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(model(x), y).backward()
    optimizer.step()
    time.sleep(pause)
    if (step + 1) % every == 0 or step + 1 == steps:
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
        if sys.argv[4] == "in-place":
            torch.save(state, os.path.join(out, "last.ckpt"))
        else:
            torch.save(state, os.path.join(out, "step-%06d.pt" % (step + 1)))
        print("saved", step + 1, time.time(), flush=True)
torch.save(model.state_dict(), os.path.join(out, "final.bin"))
"""

FAULTS = (refused(503), refused(500), reset(), reset_upload(2000), lost_answer(), delayed(0.5))


@dataclass
class Reader:
    """Whoever has only the page: lists, reads manifests, and believes what the rule says."""

    bucket: Bucket
    prefix: str
    wrong: list[str] = field(default_factory=list)
    newest: int = 0
    polls: int = 0

    def poll(self) -> int:
        """Look once; the step of the newest complete checkpoint. What contradicts the rule is put down."""
        self.polls += 1
        for attempt in range(3):  # a manifest may be replaced while it is read: the page says to list again
            try:
                step = self._look() or self._look()  # nothing complete: once more before it is believed
                break
            except LookupError as error:
                if attempt == 2:
                    self.wrong.append(str(error))
                    return self.newest
        if step < self.newest:
            self.wrong.append(f"step {self.newest} was complete, and now the newest is {step}")
        self.newest = max(self.newest, step)
        return step

    def _look(self) -> int:
        home = f"{self.prefix}.bootstrap/checkpoints/"
        manifests: dict[str, dict[int, dict[str, Any]]] = {}
        for key in self.bucket.list(home):
            found = re.fullmatch(r"(.+/@\d+\.\d+)/node-(\d+)\.json", key[len(home) :])
            document = json.loads(self._get(key)) if found else {}
            if found and document["kind"] == "checkpoint":
                manifests.setdefault(found[1], {})[int(found[2])] = document
        best = 0
        for each in manifests.values():
            if len(each) < max(one["nodes"] for one in each.values()):
                continue
            for one in each.values():
                for file in one["files"]:
                    data = self._get(self.prefix + file["key"])
                    if (len(data), hashlib.sha256(data).hexdigest()) != (file["size"], file["sha256"]):
                        raise LookupError(f"{file['key']} is not what the manifest of {one['path']} says")
                    best = max(best, _step_in(one["path"], data))
        return best

    def _get(self, key: str) -> bytes:
        try:
            return self.bucket.get(key)
        except Exception as error:
            raise LookupError(f"{key} is named and not there: {error}") from error


def _step_in(path: str, data: bytes) -> int:
    import io
    import pickle
    import zipfile

    found = re.search(r"step-(\d+)", path)
    if found:
        return int(found[1])

    class Light(pickle.Unpickler):
        """The step out of torch's pickle, without torch."""

        def find_class(self, module: str, name: str) -> Any:
            return lambda *arguments: arguments

        def persistent_load(self, pid: Any) -> Any:
            return pid

    class Ordered(Light):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) == ("collections", "OrderedDict"):
                import collections

                return collections.OrderedDict
            return super().find_class(module, name)

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith("data.pkl")]
        return int(Ordered(io.BytesIO(archive.read(name))).load()["step"])


@dataclass(frozen=True)
class Loss:
    """What a stop (``how``) took. ``age``: for how many seconds the oldest checkpoint that is newer than all that were
    complete in the store had been whole on the disk, 0 without one; ``troubled``: of these, seconds in which requests
    had met a fault and had not gone well since.
    """

    how: str
    steps: int
    age: float
    troubled: float

    def beyond(self, interval: float) -> float:
        """Seconds that neither the interval nor the store explains: a round's own work, and waiting for a processor."""
        return max(0.0, self.age - interval - self.troubled)


@dataclass
class Play:
    """One training, over as many attempts as it takes."""

    bucket: Bucket
    proxy: FaultyProxy
    python: str
    directory: Path
    seed: int
    steps: int = 40
    every: int = 5
    pause: float = 0.1
    interval: float = 0.5
    kills: int = 4
    in_place: bool = False
    faults: bool = True
    prefix: str = "models/"
    starts: list[int] = field(default_factory=list)
    lost: list[Loss] = field(default_factory=list)
    ended_by: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def run(self) -> Reader:
        """Until it has ended by itself; raises AssertionError with what went wrong."""
        self.directory.mkdir(parents=True, exist_ok=True)
        script = self.directory / "train.py"
        script.write_text(TRAIN)
        chance, reader = random.Random(self.seed), Reader(self.bucket, self.prefix)
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                reader.poll()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            for attempt in range(1, self.kills + 30):
                how = chance.choice(("KILL", "KILL", "TERM")) if attempt <= self.kills else ""
                if self._attempt(attempt, how, chance, reader, script):
                    break
            else:
                raise AssertionError("it never came to its end")
        finally:
            done.set()
            watcher.join(30)
        reader.poll()
        assert not reader.wrong, reader.wrong
        return reader

    def _attempt(self, attempt: int, how: str, chance: random.Random, reader: Reader, script: Path) -> bool:
        """True when the training has ended."""
        self.proxy.clear()
        if self.faults and how:
            for _ in range(chance.randrange(1, 4)):
                self.proxy.inject(
                    chance.choice(FAULTS), method=chance.choice(("PUT", "*")), times=chance.randrange(1, 4)
                )
        home = self.directory / f"attempt-{attempt}"
        home.mkdir()
        known = reader.newest
        with (home / "output").open("wb") as output:
            process = subprocess.Popen(
                self._argv(script), cwd=home, env=self._environ(home), stdout=output, stderr=output
            )
        try:
            begun = home / "output"
            until(lambda: b"start " in begun.read_bytes() or process.poll() is not None, "it did not begin", limit=300)
            if how:
                longest = (self.steps * self.pause) * 0.6
                time.sleep(chance.uniform(0.0, longest))
            killed_at = time.time()
            if how == "KILL" and process.poll() is None:
                kill_all(process.pid)
            elif how == "TERM" and process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(300)
        finally:
            if process.poll() is None:
                kill_all(process.pid)
                process.wait()
        said = (home / "output").read_text(errors="replace")
        started = [int(step) for step in re.findall(r"^start (\d+)$", said, re.MULTILINE)]
        saved = {int(step): float(at) for step, at in re.findall(r"^saved (\d+) ([\d.]+)$", said, re.MULTILINE)}
        assert started, f"the command never began: {said[-3000:]}"
        assert started[0] >= known, f"{known} was complete, and it began at {started[0]}: {said[-3000:]}"
        self.starts.append(started[0])
        self.ended_by.append(how if process.returncode else "itself")
        self.codes.append(process.returncode)
        time.sleep(0.1)
        reader.poll()
        if process.returncode:
            self.lost.append(self._loss(how, saved, max(reader.newest, started[0]), killed_at))
        if process.returncode == 0:
            return True
        assert how or process.returncode in (200, 206), said[-3000:]
        shutil.rmtree(home / "out", ignore_errors=True)  # the next one is in a fresh container
        return False

    def _loss(self, how: str, saved: dict[int, float], kept: int, killed_at: float) -> Loss:
        since = min((at for step, at in saved.items() if step > kept), default=killed_at)
        steps = max(saved, default=kept) - kept
        return Loss(how, max(0, steps), max(0.0, killed_at - since), self.proxy.troubled(since, killed_at))

    def _argv(self, script: Path) -> list[str]:
        kind = "in-place" if self.in_place else "steps"
        words = [str(self.steps), str(self.every), str(self.pause), kind]
        options = [
            "--output",
            f"out={self.bucket.url(self.prefix)}",
            "--output-interval",
            str(self.interval),
            "--grace",
            "6",
        ]
        bootstrap = str(Path(sys.executable).with_name("bootstrap"))
        return [bootstrap, "run", *options, "--", self.python, str(script), *words]

    def _environ(self, home: Path) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "HOME": str(home),
            "TMPDIR": str(home),
            "BOOTSTRAP_LOG_FILE": str(home / "job.log"),
            **self.bucket.store.env(),
            "S3_ENDPOINT": self.proxy.endpoint,
        }


def final_weights(bucket: Bucket, prefix: str) -> bytes:
    """What ``final.bin`` holds, by content: the archive around it has no times in it."""
    return bucket.get(f"{prefix}final.bin")


def kill_all(pid: int) -> None:
    """The whole container at once, the bootstrap first: it would notice and tell."""
    import psutil

    try:
        leader = psutil.Process(pid)
        children = leader.children(recursive=True)
        for process in (leader, *children):
            process.kill()
    except psutil.NoSuchProcess:
        pass
