"""A rehearsal in which the store fails and the machine dies tells what the bucket holds, and whether to go on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from bootstrap.rehearsal.store_faults import StoreFault, failing_store
from tests.lab.stores import Store

TRAIN = """\
import os, time
out = os.environ["BOOTSTRAP_OUTPUT_DIR"]
for n in range(1, 1000):
    open(f"{out}/new.tmp", "w").write(str(n))
    os.replace(f"{out}/new.tmp", f"{out}/last.ckpt")
    time.sleep(0.3)
"""


def simulate(home: Path, store: Store, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home), **store.env()}
    argv = [sys.executable, "-m", "bootstrap", "simulate", "--platform", "dls", "--nodes", "1", *words]
    return subprocess.run(argv, cwd=home, env=environ, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.parametrize("kind", ["503", "reset", "down", "expired", "slow", "corrupt", "full"])
def test_a_store_that_fails_for_a_while_and_a_machine_that_dies(seaweedfs: Store, tmp_path: Path, kind: str) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    bucket = seaweedfs.make_bucket()
    options = f"--output out={bucket.url('m/')} --output-interval 0.5 --store-timeout 60"
    faults = ("--store", f"{kind}@6+1", "--kill", "0@12", "--seed", "3")
    done = simulate(tmp_path, seaweedfs, *faults, "--with", options, "--", "python3", "train.py")
    assert done.returncode == 137, done.stdout + done.stderr
    assert "a next attempt would resume from last.ckpt, verified" in done.stdout
    assert bucket.url("m/") in done.stdout


def test_what_is_there_of_another_job_is_no_reason_to_hope(seaweedfs: Store, tmp_path: Path) -> None:
    url = f"{tmp_path}/nas/"
    words = [sys.executable, "-m", "bootstrap", "run", "--output", f"out={url}", "--", "sh", "-c", "echo 1 > out/a.pt"]
    subprocess.run(
        words, cwd=tmp_path, env={"PATH": os.defpath, "HOME": str(tmp_path)}, capture_output=True, check=True
    )
    done = simulate(tmp_path, seaweedfs, "--network", "loopback", "--with", f"--output out={url}", "--", "true")
    assert done.returncode == 0, done.stderr
    assert "a next attempt would start from the beginning: what is complete there is another job's" in done.stdout


def test_the_same_seed_has_the_same_faults_whatever_comes_first(seaweedfs: Store) -> None:
    bucket = seaweedfs.make_bucket()
    for key in "ab":
        bucket.put(key, b"x" * 1000)

    def seen(seed: int, keys: str) -> dict[str, list[bytes | int]]:
        answers: dict[str, list[bytes | int]] = {"a": [], "b": []}
        for kind in ("503", "corrupt"):
            with failing_store(seaweedfs.endpoint, [StoreFault(kind, 0, 1000)], seed) as endpoint:
                client = replace(seaweedfs, endpoint=endpoint).client(retries={"total_max_attempts": 1})
                for key in keys:
                    try:
                        answers[key].append(client.get_object(Bucket=bucket.name, Key=key)["Body"].read())
                    except ClientError as error:
                        answers[key].append(error.response["ResponseMetadata"]["HTTPStatusCode"])
        return answers

    first = seen(1, "abababababab")
    assert first == seen(1, "aaaaaabbbbbb") != seen(2, "aaaaaabbbbbb")
    for answers in first.values():
        assert set(answers[:6]) == {503, b"x" * 1000}
        for one in answers[6:]:
            assert isinstance(one, bytes) and sum(byte != ord("x") for byte in one) == 1


@pytest.mark.parametrize("text", ["down", "down@1", "burnt@1+2", "down@x+1"])
def test_a_fault_that_is_none_is_refused(seaweedfs: Store, tmp_path: Path, text: str) -> None:
    done = simulate(tmp_path, seaweedfs, "--store", text, "--", "true")
    assert done.returncode == 101
    assert "KIND@SECONDS+SECONDS" in done.stderr


SAVE = """\
import os
out = os.environ["BOOTSTRAP_OUTPUT_DIR"]
for n in range(1, 1000):
    with open(f"{out}/step-{n:03d}.pt", "wb") as file:
        file.write(b"PK\\x03\\x04" + os.urandom(1_000_000) + b"PK\\x05\\x06" + bytes(18))
    print("saved", n, flush=True)
"""


def test_a_disk_that_is_full_at_a_byte(seaweedfs: Store, tmp_path: Path) -> None:
    (tmp_path / "save.py").write_text(SAVE)
    bucket = seaweedfs.make_bucket()
    options = f"--output out={bucket.url('m/')}"
    words = ("--network", "loopback", "--disk", "0@8M", "--directory", str(tmp_path / "nodes"), "--format", "json")
    done = simulate(tmp_path, seaweedfs, *words, "--with", options, "--", "python3", "save.py")
    if "rehearse as root, where file systems may be mounted" in done.stderr:
        pytest.skip("lab: needs the right to mount")
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    saved = [int(word) for word in re.findall(r"saved (\d+)", done.stderr)]
    assert 3 <= max(saved) <= 8
    assert f"a next attempt would resume from step-{max(saved):03d}.pt, verified" in done.stderr
    assert "[disk-full, exit 1]" in done.stderr
    assert "delivered, of a command that failed" in done.stderr
    (node,) = json.loads(done.stdout)
    assert node["hurt"][0].startswith("disk of 8.4 MB, ")
    (half,) = (tmp_path / "nodes/node-0").rglob(f"step-{max(saved) + 1:03d}.pt")
    assert half.stat().st_size < 1_000_000, "what was on the disk stays in the node's directory"
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


@pytest.mark.parametrize("text", ["1@5M", "0@", "0@much", "5M", "0@0"])
def test_a_disk_that_is_none_is_refused(seaweedfs: Store, tmp_path: Path, text: str) -> None:
    done = simulate(tmp_path, seaweedfs, "--disk", text, "--", "true")
    assert done.returncode == 101
    assert "NODE@BYTES" in done.stderr


def test_outputs_are_each_nodes_own_beside_all_that_is_here(seaweedfs: Store, tmp_path: Path) -> None:
    (tmp_path / "lib/data").mkdir(parents=True)
    (tmp_path / "lib/words.py").write_text("WORD = 'here'\n")
    (tmp_path / "lib/results").mkdir()
    (tmp_path / "lib/results/old.txt").write_text("of before")
    script = "import lib.words, os; print(lib.words.WORD, os.listdir('lib/results'), os.path.isdir('lib/data'));"
    script += "open('lib/results/' + os.environ['VC_TASK_INDEX'] + '.txt', 'w').write('x')"
    (tmp_path / "train.py").write_text(script)
    url = f"{tmp_path}/nas/"
    words = ("--platform", "volcano", "--nodes", "2", "--network", "loopback", "--directory", str(tmp_path / "nodes"))
    done = simulate(tmp_path, seaweedfs, *words, "--with", f"--output lib/results={url}", "--", "python3", "train.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("here [] True") == 2
    assert sorted(str(path.relative_to(url)) for path in Path(url).rglob("*.txt")) == ["0.txt", "node-1/1.txt"]
    assert [path.name for path in (tmp_path / "lib/results").iterdir()] == ["old.txt"]
