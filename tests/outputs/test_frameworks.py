"""Checkpoints that the frameworks themselves have written, published, and loaded again by them."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from bootstrap.job import Ending
from bootstrap.outputs.resume.restore import restore
from tests.lab.engines import python_with
from tests.outputs.conftest import NEVER, Place, end

TORCH = """\
import sys, torch
model = torch.nn.Linear(4, 2)
torch.save({"model": model.state_dict(), "step": 5}, "out/step-5.pt")
import torch.distributed.checkpoint as dcp
dcp.save({"model": model.state_dict()}, checkpoint_id="out/step-6", use_collectives=False)
dcp.save({"model": model.state_dict()}, checkpoint_id="out/step-7")
"""

LOAD_TORCH = """\
import sys, torch
import torch.distributed.checkpoint as dcp
assert torch.load("second/step-5.pt")["step"] == 5
state = {"model": torch.nn.Linear(4, 2).state_dict()}
dcp.load(state, checkpoint_id=sys.argv[1])
before = torch.load("second/step-5.pt")["model"]
assert all(torch.equal(state["model"][name], before[name]) for name in before)
"""

TENSORFLOW = """\
import tensorflow as tf
saved = tf.train.Checkpoint(weights=tf.Variable([1.0, 2.0]))
manager = tf.train.CheckpointManager(saved, "out", max_to_keep=3)
for _ in range(2):
    manager.save()
"""

LOAD_TENSORFLOW = """\
import sys, tensorflow as tf
weights = tf.Variable([0.0, 0.0])
latest = tf.train.latest_checkpoint("second")
assert latest == "second/ckpt-2" and sys.argv[1].endswith("second/ckpt-2"), (latest, sys.argv)
tf.train.Checkpoint(weights=weights).restore(latest).assert_consumed()
assert list(weights.numpy()) == [1.0, 2.0]
"""


PADDLE = """\
import paddle
layer = paddle.nn.Linear(4, 2)
optimizer = paddle.optimizer.Adam(parameters=layer.parameters())
layer(paddle.ones([1, 4])).sum().backward()
optimizer.step()
paddle.distributed.save_state_dict(layer.state_dict(), "out/sharded")
paddle.save(layer.state_dict(), "out/final.pdparams")
paddle.save(optimizer.state_dict(), "out/final.pdopt")
"""

LOAD_PADDLE = """\
import sys, paddle
path = sys.argv[1]
assert path.endswith("second/final.pdparams"), path
layer = paddle.nn.Linear(4, 2)
layer.set_state_dict(paddle.load(path))
before = {name: tensor.numpy().tolist() for name, tensor in layer.state_dict().items()}
assert paddle.load(path.replace(".pdparams", ".pdopt"))
paddle.distributed.load_state_dict(state := layer.state_dict(), "second/sharded")
assert {name: tensor.numpy().tolist() for name, tensor in state.items()} == before
"""


LIGHTNING = """\
import sys, torch, lightning as L
class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, number):
        return self.layer(batch[0]).sum()
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)
    def on_train_start(self):
        print("began at", self.trainer.global_step)
directory, steps, path = sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None
saver = L.pytorch.callbacks.ModelCheckpoint(dirpath=directory, save_last=True, save_top_k=-1, every_n_train_steps=2)
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(8, 4)), batch_size=2)
trainer = L.Trainer(max_steps=steps, accelerator="cpu", logger=False, callbacks=[saver], enable_progress_bar=False)
trainer.fit(Model(), data, ckpt_path=path)
"""

HUGGING_FACE = """\
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
class Tell(TrainerCallback):
    def on_train_begin(self, arguments, state, control, **more):
        print("began at", state.global_step)
directory, steps, path = sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None
model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=8, n_positions=8, vocab_size=16))
tokens = torch.arange(8) % 16
arguments = TrainingArguments(
    directory, max_steps=steps, save_steps=2, save_total_limit=2, report_to=[], use_cpu=True, disable_tqdm=True
)
data = [{"input_ids": tokens, "labels": tokens}] * 16
trainer = Trainer(model, arguments, train_dataset=data, callbacks=[Tell()])
trainer.train(resume_from_checkpoint=path)
trainer.save_model(directory + "/final")
"""

ORBAX = """\
import sys, os, numpy as np, orbax.checkpoint as ocp
manager = ocp.CheckpointManager(os.path.abspath(sys.argv[1]), options=ocp.CheckpointManagerOptions(max_to_keep=3))
if len(sys.argv) > 2:
    step = manager.latest_step()
    assert sys.argv[2].endswith(f"/{step}"), (sys.argv, step)
    back = manager.restore(step, args=ocp.args.StandardRestore({"w": np.zeros(4)}))
    assert back["w"].tolist() == [2.0] * 4, back
    print("began at", step)
else:
    for step in (1, 2):
        manager.save(step, args=ocp.args.StandardSave({"w": np.full(4, float(step))}))
    manager.wait_until_finished()
"""


def run(python: str, script: str, *words: str, cwd: Path) -> str:
    environ = {"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", "HOME": str(cwd), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-c", script, *words], cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def there_and_back(place: Place, tmp_path: Path) -> str:
    publisher = place.publisher(tmp_path / "out")
    publisher.round(NEVER)
    end(publisher)
    again = place.publisher(tmp_path / "second")
    resumed = restore(again, again.contents, reread=place.contents, same_job=True, stop=NEVER, log=place.log)
    assert resumed is not None
    return resumed.path


def test_torch_and_its_distributed_checkpoints(bucket_place: Place, root: Path, tmp_path: Path) -> None:
    python = python_with("torch")
    run(python, TORCH, cwd=tmp_path)
    path = there_and_back(bucket_place, tmp_path)
    assert bucket_place.complete() == ["step-7", "step-6", "step-5.pt"]
    assert path == str(tmp_path / "second/step-7")
    run(python, LOAD_TORCH, path, cwd=tmp_path)


def test_tensorflow(bucket_place: Place, root: Path, tmp_path: Path) -> None:
    python = python_with("tensorflow")
    run(python, TENSORFLOW, cwd=tmp_path)
    path = there_and_back(bucket_place, tmp_path)
    assert bucket_place.complete() == ["ckpt-2", "ckpt-1"]
    run(python, LOAD_TENSORFLOW, path, cwd=tmp_path)


def test_paddle(bucket_place: Place, root: Path, tmp_path: Path) -> None:
    """Which writes what others write last first, and two files that are one checkpoint."""
    python = python_with("paddle")
    run(python, PADDLE, cwd=tmp_path)
    path = there_and_back(bucket_place, tmp_path)
    assert bucket_place.complete() == ["final.pdparams", "sharded"]
    run(python, LOAD_PADDLE, path, cwd=tmp_path)


def test_lightning(bucket_place: Place, root: Path, tmp_path: Path) -> None:
    python = python_with("lightning")
    run(python, LIGHTNING, "out", "6", cwd=tmp_path)
    path = there_and_back(bucket_place, tmp_path)
    names = ["epoch=0-step=2.ckpt", "epoch=0-step=4.ckpt", "epoch=1-step=6.ckpt", "last.ckpt"]
    assert sorted(bucket_place.complete()) == names
    assert path in (str(tmp_path / "second/last.ckpt"), str(tmp_path / "second/epoch=1-step=6.ckpt"))
    assert "began at 6" in run(python, LIGHTNING, "second", "8", path, cwd=tmp_path)


def test_hugging_face(bucket_place: Place, root: Path, tmp_path: Path) -> None:
    python = python_with("transformers")
    run(python, HUGGING_FACE, "out", "6", cwd=tmp_path)
    shutil.rmtree(root / "final")  # as if it had been stopped before
    path = there_and_back(bucket_place, tmp_path)
    assert sorted(bucket_place.complete()) == ["checkpoint-4", "checkpoint-6"]
    assert path == str(tmp_path / "second/checkpoint-6")
    assert "began at 6" in run(python, HUGGING_FACE, "second", "8", path, cwd=tmp_path)
    publisher = bucket_place.publisher(tmp_path / "second")
    end(publisher, Ending(0, ended=time.time()))
    formats = {one.path: one.format for one in bucket_place.contents().checkpoints}
    assert formats["final"] == "model" and formats["checkpoint-8"] == "huggingface"


def test_orbax(bucket_place: Place, root: Path, tmp_path: Path) -> None:
    python = python_with("orbax.checkpoint")
    run(python, ORBAX, "out", cwd=tmp_path)
    path = there_and_back(bucket_place, tmp_path)
    assert bucket_place.complete() == ["2", "1"]
    assert {one.format for one in bucket_place.contents().checkpoints} == {"orbax"}
    assert "began at 2" in run(python, ORBAX, "second", path, cwd=tmp_path)
