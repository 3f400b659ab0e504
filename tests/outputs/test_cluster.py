"""Two nodes in networks of their own, real sharded checkpoints of torch, one node killed: what is complete is whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.job import Credentials, Endpoint
from bootstrap.outputs.resume.restore import fetch_one
from bootstrap.rehearsal.machines import can_have_namespaces
from bootstrap.storage.open import Stores
from tests.lab.engines import python_with
from tests.outputs.conftest import NEVER, Heard, Place

TRAIN = """\
import os, time, torch, torch.distributed as dist, torch.distributed.checkpoint as dcp
dist.init_process_group("gloo")
rank, out = dist.get_rank(), os.environ["BOOTSTRAP_OUTPUT_DIR"]
for n in range(1, 1000):
    dcp.save({f"w{rank}": torch.full((4,), float(n))}, checkpoint_id=f"{out}/step-{n:04d}")
    print("saved", n, flush=True)
    time.sleep(1.0)
"""

LOAD = """\
import sys, torch, torch.distributed.checkpoint as dcp
state = {"w0": torch.zeros(4), "w1": torch.zeros(4)}
dcp.load(state, checkpoint_id=sys.argv[1], no_dist=True)
assert torch.equal(state["w0"], state["w1"]) and state["w0"][0] == float(sys.argv[2]), state
"""


@pytest.mark.netns
@pytest.mark.parametrize("shared", [False, True], ids=["apart", "shared"])
def test_one_of_two_nodes_is_killed(tmp_path: Path, shared: bool) -> None:
    if not can_have_namespaces():
        pytest.skip("needs network namespaces")
    python = python_with("torch")
    (tmp_path / "train.py").write_text(TRAIN)
    options = f"--launcher torchrun --output out={tmp_path}/nas/ --output-interval 1 --peer-timeout 90"
    argv = [sys.executable, "-m", "bootstrap", "simulate", "--platform", "volcano", "--nodes", "2", "--slots", "1"]
    argv += ["--network", "namespaces", "--directory", str(tmp_path / "nodes"), "--kill", "1@45"]
    argv += ["--with", options + (" --shared-outputs" if shared else ""), "--", "python", "train.py"]
    environ = {"PATH": f"{Path(python).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=280, check=False)
    place = Place(f"{tmp_path}/nas/", Stores(Endpoint("http://127.0.0.1:9"), lambda: Credentials("a", "b"), Heard()))
    contents = place.contents()
    complete = [one for one in contents.checkpoints if one.complete]
    assert complete, done.stdout[-4000:]
    for one in complete:
        names = {file.path.rpartition("/")[2] for file in one.files_for(0)}
        assert names == {".metadata", "__0_0.distcp", "__1_0.distcp"}, one
    chosen = complete[0].path
    fetch_one(
        place.target(),
        lambda contents: next(one for one in contents.checkpoints if one.path == chosen and one.complete),
        tmp_path / "here",
        NEVER,
        place.log,
    )
    words = [str(tmp_path / "here" / complete[0].path), str(int(complete[0].path[-4:]))]
    loaded = subprocess.run([python, "-c", LOAD, *words], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    assert f"would resume from {complete[0].path}, verified" in done.stdout
