"""The same with the real thing: PyTorch's data loader, alone and in the ranks of torchrun."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.lab.engines import python_with
from tests.lab.waiting import until
from tests.process.conftest import Start

TRAIN = """
import os, signal, sys, time
import torch
from torch.utils.data import DataLoader, Dataset

class Numbers(Dataset):
    def __len__(self): return 1_000_000
    def __getitem__(self, index): time.sleep(0.001); return index

asked = []
if __name__ == "__main__":
    rank = os.environ.get("LOCAL_RANK", "")
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    left = 5
    for number, batch in enumerate(DataLoader(Numbers(), batch_size=8, num_workers=2)):
        if number == 2:
            open("ready" + rank, "w").close()
        if asked:
            left -= 1  # some batches more: the end of a worker would be noticed
            time.sleep(0.1)
        if not left:
            torch.save({"asked": len(asked)}, "saved" + rank)
            break
"""


@pytest.mark.parametrize("way", ["alone", "script", "torchrun", "torchrun in a script"])
def test_an_emergency_checkpoint_is_written_though_a_data_loader_has_workers(
    boot: Start, directory: Path, way: str
) -> None:
    python = python_with("torch")
    (directory / "train.py").write_text(TRAIN)
    torchrun = f"{python} -m torch.distributed.run --standalone --nproc-per-node 2 train.py"
    (directory / "run.sh").write_text(f"{torchrun if 'torchrun' in way else f'{python} train.py'}\ntouch next\n")
    argv = {"alone": [python, "train.py"], "torchrun": torchrun.split()}.get(way, ["bash", "run.sh"])
    ranks = ["0", "1"] if "torchrun" in way else [""]
    run = boot(*argv, grace=120, environ={"OMP_NUM_THREADS": "1"})
    until(lambda: all((directory / f"ready{rank}").exists() for rank in ranks), limit=120)
    run.signal(signal.SIGTERM)
    code = run.wait(90)
    assert all((directory / f"saved{rank}").exists() for rank in ranks), run.output
    assert code == (0 if argv[0] != "bash" else 143), run.output
    assert not (directory / "next").exists()
