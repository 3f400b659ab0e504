"""The blocks of README and docs/ run, verbatim, where the reader would run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ALL, DOCKERFILES, NOT_RUN, Block
from tests.docs.reader import Reader
from tests.images.test_container_blocks import SETTINGS as IN_CONTAINERS
from tests.lab.engines import python_with
from tests.lab.sharing import ROOT
from tests.lab.stores import Bucket, Store

TRAIN = """\
import os, sys
print("trained", *sys.argv[1:])
if out := os.environ.get("BOOTSTRAP_OUTPUT_DIR"):
    os.makedirs(out, exist_ok=True)
    open(os.path.join(out, "model.bin"), "w").write("weights")
"""
# What the reader's own program has, for the lines that are printed.
TRAINS = """\
import itertools, pathlib, time
loader = itertools.count()
train = lambda batch: (pathlib.Path("began").touch(), time.sleep(0.05))
save_checkpoint = lambda: pathlib.Path("saved").touch()
"""
# A model of real torch, and recorders for three frameworks' trainers: only what they are asked for is looked at.
RESUMES = """\
import os, torch
from unittest.mock import Mock
model, trainer, engine = torch.nn.Linear(1, 1), Mock(), Mock()
"""
RESUMED = """\
assert start == 6
path = os.environ["BOOTSTRAP_RESUME_FROM"]
trainer.fit.assert_called_once_with(model, ckpt_path=path)
trainer.train.assert_called_once_with(resume_from_checkpoint=path)
engine.load_checkpoint.assert_called_once_with(os.environ["BOOTSTRAP_OUTPUT_DIR"])
print("resumed from", path)
"""
# As transformers' Trainer leaves it, with an empty model.
SAVE = """\
import os
os.makedirs("out/checkpoint-100")
open("out/checkpoint-100/model.safetensors", "wb").write(b"\\2\\0\\0\\0\\0\\0\\0\\0{}")
open("out/checkpoint-100/trainer_state.json", "w").write("{}")
"""
STOPPED = """
until [ -e began ]; do sleep 0.1; done
kill -TERM $!
wait $! || echo "ended with $?"
"""


@pytest.fixture
def reader(seaweedfs: Store) -> Iterator[Reader]:
    if os.geteuid() != 0:
        pytest.skip("lab: a mount namespace needs root")
    place = Path(tempfile.mkdtemp(prefix="reader-", dir="/var/tmp"))
    yield Reader(place, seaweedfs.make_bucket())
    shutil.rmtree(place)


def named_bucket(reader: Reader) -> Bucket:
    """The one that the documentation calls `bucket`."""
    bucket = Bucket(reader.bucket.store, "bucket")
    with suppress(bucket.client.exceptions.BucketAlreadyExists, bucket.client.exceptions.BucketAlreadyOwnedByYou):
        bucket.client.create_bucket(Bucket=bucket.name)
    return bucket


def laptop(reader: Reader, block: str) -> None:
    reader.write("src/train.py", TRAIN)
    assert "trained" in reader.run(block)
    assert (reader.here / "results/model.bin").read_text() == "weights"


def v1(reader: Reader, block: str) -> None:
    reader.bucket.put("code/mnist/train.py", TRAIN)
    reader.environ |= {
        "DLS_APP_URL": reader.bucket.url("code/mnist/"), "DLS_TRAIN_URL": reader.bucket.url("models/"),
        "DLS_USE_DOWNLOADER": "1", "DLS_TASK_INDEX": "0", "DLS_TASK_NUMBER": "1", "DLS_JOB_ID": "job-1",
    }  # fmt: skip
    assert "trained --epochs 10" in reader.run(block, "bootstrap scripts /home/work >/dev/null")
    assert reader.bucket.get("models/model.bin") == b"weights"


def v2(reader: Reader, block: str) -> None:
    job_dir = reader.here / "user-job-dir"
    reader.write("user-job-dir/mnist/train.py", TRAIN)
    reader.environ |= {"MA_JOB_DIR": str(job_dir), "MA_VJ_NAME": "job-1", "MA_NUM_HOSTS": "1", "VC_TASK_INDEX": "0"}
    reader.environ |= {"MA_TASK_NAME": "worker", "MA_LOG_DIR": str(reader.here), "MA_NUM_GPUS": "0"}
    assert "trained --epochs 10" in reader.run(block)


def scripts(reader: Reader, block: str) -> None:
    said = reader.run(block)
    assert "/home/work/run_train.sh" in said
    assert os.access(reader.place / "home/work/run_train.sh", os.X_OK)


def secrets(reader: Reader, block: str) -> None:
    reader.stdin = "the-secret-of-the-store"
    assert "BOOTSTRAP_SECRET__S3_SECRET_ACCESS_KEY=v1:" in reader.run(block)


def clone(reader: Reader, block: str) -> None:
    """scripts/package and pip need an index of packages."""
    reader.clone()
    assert re.search(r"modelarts-bootstrap \d", reader.run(block))


def newcomer(reader: Reader, block: str) -> None:
    """The scripts make their environments, and do all they do; of the suite, which this is part of, one file is run.
    It takes minutes: of pages whose commands are another's, that one's are run.
    """
    whole = max((one.text for one in ALL if one.how == "newcomer"), key=len)
    if block != whole:
        assert commands(block) <= commands(whole)
        return
    reader.clone()
    reader.environ["PYTEST_ADDOPTS"] = "tests/ground/test_backoff.py"
    reader.environ["MYPY_CACHE_DIR"] = str(ROOT / ".mypy_cache")  # of the same files: a minute less
    said = reader.run(block, timeout=1000)
    assert "the same, byte for byte" in said, "the demo"
    assert "ok      mypy" in said and "FAILED" not in said, "the checks"
    assert re.search(r"^\d+ passed", said, re.MULTILINE), "the suite"


def commands(block: str) -> set[str]:
    return {line.partition("#")[0].strip() for line in block.splitlines() if line.partition("#")[0].strip()}


def volcano(reader: Reader, block: str) -> None:
    (reader.here / "examples").mkdir()
    shutil.copy(ROOT / "examples/job.yaml", reader.here / "examples")
    shutil.copy(ROOT / "examples/job-file/train.py", reader.here)
    said = reader.run(block)
    assert "node 0 of 2" in said and "node 1 of 2" in said
    assert "batch.volcano.sh" in (reader.here / "job-volcano.yaml").read_text()


def beforehand(reader: Reader, block: str) -> None:
    reader.write("train.py", TRAIN)
    named_bucket(reader).put("mnist/train.py", TRAIN)
    said = reader.run(block)
    assert "obs://bucket/mnist/" in said
    assert '"level"' in said or '"sources"' in said or '"settings"' in said, "JSON, too"


def logs(reader: Reader, block: str) -> None:
    """Four nodes have run twice."""
    bucket = named_bucket(reader)
    for key in bucket.list("logs/"):
        bucket.delete(key)
    reader.write("train.py", 'import os; print("I am", os.environ["NODE_RANK"])\n')
    asked = "--nodes 4 --platform dls --network loopback --with '--log obs://bucket/logs/'"
    twice = f"for attempt in 1 2; do bootstrap simulate {asked} -- python train.py >/dev/null; done"
    said = reader.run(block, twice)
    assert said.count("I am 0\n") == 3, "of the first node, followed, and of all"
    assert said.count("I am 3\n") == 2, "of all, and of its earlier attempt"
    assert "[3] I am 3\n" in said


def reports(reader: Reader, block: str) -> None:
    """Of a job that was run twice with a log in a bucket, and once with one in a directory."""
    bucket = named_bucket(reader)
    for key in bucket.list("logs/"):
        bucket.delete(key)
    reader.write("train.py", TRAIN)
    run = "bootstrap run --log-file /tmp/job.log --run-dir /tmp/job.run --log {} -- python train.py >/dev/null"
    reader.run(block, "; ".join(run.format(log) for log in ("obs://bucket/logs/", "obs://bucket/logs/", "$PWD/logs/")))
    for name in ("report.html", "why.html"):
        assert (reader.here / name).read_text().startswith("<!")


def outputs(reader: Reader, block: str) -> None:
    bucket = named_bucket(reader)
    for key in bucket.list("models/"):
        bucket.delete(key)
    reader.write("save.py", SAVE)
    said = reader.run(block, "bootstrap run --output out=obs://bucket/models/ --job-dir . -- python save.py >/dev/null")
    assert said.count("checkpoint-100") >= 3 and "verified" in said
    assert (reader.here / "model/checkpoint-100/trainer_state.json").read_text() == "{}"


def rehearsal(reader: Reader, block: str) -> None:
    """With a real torchrun; `kubectl` only looks at what it is given, for want of a cluster."""
    torch = python_with("torch")
    shutil.copy(ROOT / "examples/job.yaml", reader.here)
    reader.write("train.py", TRAIN)
    reader.program("bootstrap", f'#!/bin/sh\nexec {shutil.which("bootstrap", path=reader.environ["PATH"])} "$@"\n')
    reader.come_first(str(Path(torch).parent))
    reader.program("kubectl", '#!/bin/sh\necho "kubectl $*"; cat\n')
    said = reader.run(block)
    assert said.count("trained --epochs 1\n") == 4
    assert said.count("] trained\n") == 3
    assert "no kill at 20 s: had ended" in said
    assert "kubectl create -f -" in said and "apiVersion: batch.volcano.sh/v1alpha1" in said and "my-claim" in said


def saves(reader: Reader, block: str) -> None:
    reader.write("train.py", TRAINS + block)
    said = reader.run("bootstrap run --grace 20 -- python train.py &", behind=STOPPED)
    assert (reader.here / "saved").exists(), said


def passes_on(reader: Reader, block: str) -> None:
    """In a script that bash runs; the training saves as the page shows."""
    (python,) = (one.text for one in ALL if one.how == "saves")
    reader.write("train.py", TRAINS + python)
    reader.write("run.sh", block)
    said = reader.run("bootstrap run --grace 20 -- bash run.sh &", behind=STOPPED)
    assert (reader.here / "saved").exists(), said


def resumes(reader: Reader, block: str) -> None:
    torch = python_with("torch")
    reader.write(
        "first.py",
        'import torch; torch.save({"model": torch.nn.Linear(1, 1).state_dict(), "step": 5}, "out/step-5.pt")',
    )
    reader.write("second.py", RESUMES + block + RESUMED)
    order = f"bootstrap run --output out={reader.bucket.url('m/')} --job-dir"
    first = f"mkdir out again; (cd out/..; {order} . -- {torch} first.py); cp second.py again"
    assert "resumed from" in reader.run(f"{order} again -- {torch} second.py", first)


def manifest(reader: Reader, block: str) -> None:
    """The page's has the fields of a real one, and no others."""
    reader.write("save.py", SAVE)
    reader.run(f"bootstrap run --job-dir . --output out={reader.bucket.url('m/')} -- python save.py")
    (key,) = (key for key in reader.bucket.list("m/.bootstrap/checkpoints/") if key.endswith(".json"))
    assert fields(json.loads(block)) == fields(json.loads(reader.bucket.get(key)))


def fields(value: Any) -> Any:
    """The names in a document, and the kinds of its values."""
    if isinstance(value, dict):
        return {name: fields(one) for name, one in value.items()}
    return [fields(value[0])] if isinstance(value, list) and value else type(value).__name__


SETTINGS: dict[str, Callable[[Reader, str], None]] = {
    one.__name__: one
    for one in (
        laptop, v1, v2, scripts, secrets, clone, newcomer, volcano, beforehand, logs, reports, rehearsal, saves,
        passes_on, resumes, manifest, outputs,
    )
}  # fmt: skip


def test_every_block_is_run_or_is_known_not_to_be() -> None:
    run = [*DOCKERFILES, *(block for block in ALL if block.how in SETTINGS or block.how in IN_CONTAINERS)]
    rest = [block for block in ALL if block not in run]
    assert [(block.page, block.language) for block in rest] == list(NOT_RUN), "<!-- run: SETTING --> in front of it"
    assert {block.how for block in run if block.language != "dockerfile"} == {*SETTINGS, *IN_CONTAINERS}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("block", [block for block in ALL if block.how in SETTINGS], ids=str)
def test_it_runs_as_it_is_printed(reader: Reader, block: Block) -> None:
    SETTINGS[block.how](reader, block.text)
