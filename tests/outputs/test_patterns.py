"""What checkpoints look like: as the frameworks' own documents and savers show them."""

from __future__ import annotations

import json
import pickle
import time
import zipfile
from pathlib import Path

import pytest

from bootstrap.outputs.local import units
from bootstrap.outputs.local.patterns import is_unfinished
from bootstrap.outputs.local.units import Unit
from bootstrap.storage.schemes import parse
from bootstrap.storage.upload.walk import Item, items_of
from tests.outputs.conftest import tensors, write


def found(root: Path, *globs: str) -> tuple[list[Unit], dict[str, Item]]:
    items = {item.name: item for item in items_of(root, parse("obs://bucket/x/"), [], [])}
    return units.units_of(items, globs), items


def kinds(root: Path, *globs: str) -> dict[str, str]:
    return {unit.path: unit.format if unit.kind == "checkpoint" else unit.kind for unit in found(root, *globs)[0]}


def why_not(root: Path, path: str, *, nodes: int = 1, quiet: float = 3.0, globs: tuple[str, ...] = ()) -> str:
    everything, items = found(root, *globs)
    (unit,) = [unit for unit in everything if unit.path == path]
    return units.unfinished(unit, items, time.time(), quiet, nodes=nodes)


NEMO: dict[str, bytes | str] = {"m-last/weights/__0_0.distcp": "x", "m-last/context/model.yaml": ""}
DCP = pickle.dumps({"a": "__0_0.distcp", "b": "__1_0.distcp"})

# fmt: off
LAYOUTS = {
    "plain torch": (["model.pt", "runs/epoch_3.pth"], {"model.pt": "file", "runs/epoch_3.pth": "file"}),
    "lightning": (
        ["lightning_logs/version_0/checkpoints/epoch=0-step=10.ckpt", "lightning_logs/version_0/hparams.yaml"],
        {
            "lightning_logs/version_0/checkpoints/epoch=0-step=10.ckpt": "file",
            "lightning_logs/version_0/hparams.yaml": "loose",
        },
    ),
    "lightning, sharded": (["x.ckpt/.metadata", "x.ckpt/__0_0.distcp", "x.ckpt/meta.pt"], {"x.ckpt": "lightning"}),
    "lightning, with deepspeed": (
        ["x.ckpt/checkpoint/mp_rank_00_model_states.pt", "x.ckpt/latest", "x.ckpt/zero_to_fp32.py"],
        {"x.ckpt": "lightning"},
    ),
    "lightning, a name that was taken": (["epoch=0-step=10-v1.ckpt"], {"epoch=0-step=10-v1.ckpt": "file"}),
    "torch dcp, each rank its own": (["step-5/__0.metadata", "step-5/__0_0.distcp"], {"step-5": "dcp"}),
    "torch dcp": (["step-5/.metadata", "step-5/__0_0.distcp"], {"step-5": "dcp"}),
    "hugging face": (
        [
            "checkpoint-10/config.json", "checkpoint-10/model.safetensors",
            "checkpoint-10/trainer_state.json", "all_results.json",
        ],
        {"checkpoint-10": "huggingface", "all_results.json": "loose"},
    ),
    "save_pretrained": (
        ["model/config.json", "model/model.safetensors", "log.txt"],
        {"model": "model", "log.txt": "loose"},
    ),
    "save_pretrained into the output itself": (
        ["config.json", "model.safetensors", "checkpoint-10/trainer_state.json"],
        {".": "model", "checkpoint-10": "huggingface"},
    ),
    "deepspeed": (
        [
            "global_step5/mp_rank_00_model_states.pt", "global_step5/zero_pp_rank_0_mp_rank_00_optim_states.pt",
            "latest", "zero_to_fp32.py",
        ],
        {"global_step5": "deepspeed", "latest": "pointer", "zero_to_fp32.py": "loose"},
    ),
    "deepspeed, a tag of one's own": (
        ["my-tag/mp_rank_00_model_states.pt", "latest"], {"my-tag": "deepspeed", "latest": "pointer"},
    ),
    "deepspeed, universal": (
        ["global_step5_universal/zero/a/fp32.pt", "latest_universal"],
        {"global_step5_universal": "deepspeed", "latest_universal": "pointer"},
    ),
    "verl": (
        [
            "global_step_10/actor/model_world_size_2_rank_0.pt", "global_step_10/data.pt",
            "latest_checkpointed_iteration.txt",
        ],
        {"global_step_10": "verl", "latest_checkpointed_iteration.txt": "pointer"},
    ),
    "megatron, distributed": (
        ["iter_0000005/common.pt", "iter_0000005/__0_0.distcp", "iter_0000005/.metadata", "iter_0000005/metadata.json"],
        {"iter_0000005": "megatron"},
    ),
    "an index and its shards, and nothing else": (
        ["m/model-00001-of-00001.safetensors", "m/model.safetensors.index.json"], {"m": "model"},
    ),
    "nemo, one file": (["m.nemo", "m-unfinished"], {"m.nemo": "file", "m-unfinished": "loose"}),
    "safetensors": (
        ["last.safetensors", "a-00001-of-00002.safetensors"],
        {"last.safetensors": "file", "a-00001-of-00002.safetensors": "loose"},
    ),
    "ray": (["run/checkpoint_000003/state.bin"], {"run/checkpoint_000003": "directory"}),
    "composer": (["ep0-ba100-rank0.pt"], {"ep0-ba100-rank0.pt": "file"}),
    "torchtune": (
        ["epoch_0/config.json", "epoch_0/model-00001-of-00001.safetensors", "recipe_state/recipe_state.pt"],
        {"epoch_0": "model", "recipe_state/recipe_state.pt": "file"},
    ),
    "deepspeed below hugging face": (
        [
            "checkpoint-5/global_step5/mp_rank_00_model_states.pt",
            "checkpoint-5/latest", "checkpoint-5/trainer_state.json",
        ],
        {"checkpoint-5": "huggingface"},
    ),
    "megatron": (
        ["iter_0000005/mp_rank_00/model_optim_rng.pt", "latest_checkpointed_iteration.txt"],
        {"iter_0000005": "megatron", "latest_checkpointed_iteration.txt": "pointer"},
    ),
    "tensorflow": (
        ["ckpt-1.index", "ckpt-1.data-00000-of-00002", "ckpt-1.data-00001-of-00002", "checkpoint"],
        {"ckpt-1": "tensorflow", "checkpoint": "pointer"},
    ),
    "keras": (["model.keras", "weights.h5"], {"model.keras": "file", "weights.h5": "file"}),
    "orbax": (["100/_CHECKPOINT_METADATA", "100/default/manifest.ocdbt"], {"100": "orbax"}),
    "paddle": (["final.pdparams", "final.pdopt"], {"final.pdparams": "paddle"}),
    "paddle, without an optimizer": (
        ["final.pdparams", "other.pdopt"], {"final.pdparams": "file", "other.pdopt": "file"},
    ),
    "paddle, distributed": (["dist/0.metadata", "dist/0_0.distcp"], {"dist": "dcp"}),
    "mindspore": (
        ["lenet-1_1875.ckpt", "lenet-graph.meta"],
        {"lenet-1_1875.ckpt": "file", "lenet-graph.meta": "loose"},
    ),
    "mindspore, that was interrupted": (["net-3_8_breakpoint.ckpt"], {"net-3_8_breakpoint.ckpt": "file"}),
    "accelerate": (["checkpoints/checkpoint_3/model.safetensors"], {"checkpoints/checkpoint_3": "directory"}),
    "accelerate, as examples call it": (
        ["checkpoint-500/model.safetensors", "checkpoint-500/random_states_0.pkl"], {"checkpoint-500": "accelerate"},
    ),
    "last and best, as directories": (
        ["last/weights.bin", "runs/best/weights.bin", "latest/weights.bin"],
        {"last": "directory", "runs/best": "directory", "latest": "directory"},
    ),
    "tensorflow, for serving": (
        ["export/saved_model.pb", "export/variables/variables.index", "export/assets/words"], {"export": "saved_model"},
    ),
    "orbax, older": (["params/_METADATA", "params/d/1", "params/manifest.ocdbt"], {"params": "orbax"}),
    "a marker": (["mine/weights.bin", "mine/.checkpoint-complete"], {"mine": "marked"}),
}
# fmt: on


@pytest.mark.parametrize("name", LAYOUTS)
def test_files_are_known_for_what_they_are(root: Path, name: str) -> None:
    files, expected = LAYOUTS[name]
    write(
        root,
        {
            file: tensors(1) if file.endswith(".safetensors") else DCP if file.endswith(".metadata") else "x"
            for file in files
        },
    )
    assert kinds(root) == expected


def test_globs_of_ones_own(root: Path) -> None:
    write(root, {"run-1/state/a.bin": "1", "run-1/state/deep/b.bin": "2", "run-1/c.dat": "3"})
    assert kinds(root, "run-*/state", "*.dat") == {"run-1/state": "yours", "run-1/c.dat": "file"}


@pytest.mark.parametrize(
    ("files", "path", "why"),
    [
        ({"step-5/.metadata": DCP, "step-5/__0_0.distcp": "x"}, "step-5", "__1_0.distcp belongs to it"),
        ({"step-5/__0_0.distcp": "x"}, "step-5", ".metadata belongs to it"),
        ({"dist/0_3.distcp": "x"}, "dist", "3.metadata belongs to it"),
        ({"dist/0.metadata": pickle.dumps("0_0.distcp"), "dist/log": ""}, "dist", "0_0.distcp belongs to it"),
        (
            {"step-5/__0.metadata": "", "step-5/__0_0.distcp": "", "step-5/__1_0.distcp": ""},
            "step-5",
            "__1.metadata belongs",
        ),
        ({"x.ckpt/.metadata": "", "x.ckpt/__0_0.distcp": ""}, "x.ckpt", "no meta.pt"),
        ({"x.ckpt/checkpoint/mp_rank_00_model_states.pt": "x"}, "x.ckpt", "no meta.pt"),
        ({"iter_5/common.pt": "x", "iter_5/.metadata": "", "iter_5/__0_0.distcp": ""}, "iter_5", "no metadata.json"),
        ({"global_step5_universal/a": "x", "latest": "global_step5"}, "global_step5_universal", "no latest_universal"),
        ({"global_step_10/data.pt": "x"}, "global_step_10", "no latest_checkpointed"),
        ({"checkpoint-5/model.safetensors": tensors(1)}, "checkpoint-5", "no trainer_state.json"),
        ({"checkpoint-5/random_states_0.pkl": "x"}, "checkpoint-5", "written to"),
        ({"a.pdparams": "x", "a.pdopt": "x"}, "a.pdparams", "written to"),
        ({"m.ckpt": "x", "m-unfinished": ""}, "m.ckpt", "m-unfinished is beside"),
        ({"m-EMA.ckpt": "x", "m-unfinished": ""}, "m-EMA.ckpt", "m-unfinished is beside"),
        ({"c/mp_rank_00/m.ckpt": "x", "c/m-unfinished": ""}, "c/mp_rank_00/m.ckpt", "c/m-unfinished is beside"),
        ({"checkpoint_5.tmp-17/a": "x"}, "checkpoint_5.tmp-17", "its name"),
        ({"checkpoint-5/training_args.bin": "x"}, "checkpoint-5", "trainer_state.json belongs to it"),
        (
            {"m-last-unfinished": "", "m-last/weights/.metadata": pickle.dumps("__0_0.distcp"), **NEMO},
            "m-last/weights",
            "m-last-unfinished is beside",
        ),
        ({"checkpoint-5/config.json": "{}", "checkpoint-5/optimizer.pt": "x"}, "checkpoint-5", "no trainer_state.json"),
        ({"global_step5/a.pt": "x"}, "global_step5", "no latest"),
        ({"global_step5/a.pt": "x", "latest": "global_step4"}, "global_step5", "no latest"),
        ({"global_step3-5/a.pt": "x", "latest": "global_step9-4"}, "global_step3-5", "no latest"),
        ({"ckpt-1.data-00000-of-00002": "x"}, "ckpt-1", "no .index"),
        ({"ckpt-1.index": "x", "ckpt-1.data-00000-of-00002": "x"}, "ckpt-1", "1 of 2"),
        ({"model/config.json": "{}", "model/model.safetensors": tensors(1)[:-1]}, "model", "safetensors"),
        ({"a.pt": b"PK\x03\x04 and no end"}, "a.pt", "zip"),
        ({"a.pt": b""}, "a.pt", "empty"),
        ({"x/step-1.tmp/a.pt": "x"}, "x/step-1.tmp", "its name"),
        ({"5.orbax-checkpoint-tmp-17/_CHECKPOINT_METADATA": "x"}, "5.orbax-checkpoint-tmp-17", "its name"),
        ({"big/.checkpoint-complete": "", "big-unfinished": ""}, "big", "big-unfinished is beside"),
        ({"step-1/a.pt": "x"}, "step-1", "written to"),
    ],
)
def test_what_is_not_whole_is_told_why(root: Path, files: dict[str, bytes | str], path: str, why: str) -> None:
    write(root, files, age=1)
    assert why in why_not(root, path)


@pytest.mark.parametrize(
    ("evidence", "path"),
    [
        ("checkpoint-5/trainer_state.json", "checkpoint-5"),
        ("step-5/.metadata", "step-5"),
        ("mine/.checkpoint-complete", "mine"),
        ("x.ckpt/meta.pt", "x.ckpt"),
        ("latest", "global_step5"),
    ],
)
def test_what_told_it_of_an_earlier_save_tells_nothing_of_the_next_one_in_its_place(
    root: Path, evidence: str, path: str
) -> None:
    write(root, {evidence: path, f"{path}/a.bin": "1"}, age=50)
    assert why_not(root, path) == ""
    write(root, {f"{path}/a.bin": "2"}, age=1)
    assert "written to" in why_not(root, path)
    everything, items = found(root)
    (unit,) = [unit for unit in everything if unit.path == path]
    assert not units.tells_that_it_is_whole(unit, items)
    write(root, {f"{path}/a.bin": "2"}, age=4)
    assert why_not(root, path) == "", "a rank that came later than what one of them writes last"


def test_a_pointer_that_has_not_come_so_far_is_believed_however_long_nothing_happens(root: Path) -> None:
    """Who hangs while he saves is quiet, too."""
    write(root, {"global_step5/a.pt": "x", "latest": "global_step4"}, age=9000)
    assert "no latest" in why_not(root, "global_step5")
    assert why_not(root, "global_step5", nodes=2) == "there is no latest yet"
    (root / "latest").unlink()
    assert why_not(root, "global_step5") == "", "there may never be one"


@pytest.mark.parametrize(
    "name", ["checkpoint.tmp0a1b2c", "checkpoint.tmpfa1b2c", "ckpt_tmp", "a.pt.in_progress", "x-unfinished"]
)
def test_names_of_work_in_progress(name: str) -> None:
    assert is_unfinished(name) and is_unfinished(f"below/{name}/a.pt")
    assert not is_unfinished("page.tmpl")


def test_some_are_never_whole_however_long_nothing_happens(root: Path) -> None:
    """A rank that waits for the others for an hour, or has been killed, has not finished what it began."""
    write(root, {"step-5/__0_0.distcp": "x", "dist/0_0.distcp": "x", "checkpoint-5/training_args.bin": "x"}, age=9000)
    for path in ("step-5", "dist", "checkpoint-5"):
        assert "belongs to it" in why_not(root, path)


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({"step-5/.metadata": pickle.dumps("__0_0.distcp"), "step-5/__0_0.distcp": "x"}, "step-5"),
        ({"checkpoint-5/config.json": "{}", "checkpoint-5/trainer_state.json": "{}"}, "checkpoint-5"),
        ({"global_step5/a.pt": "x", "latest": "global_step5"}, "global_step5"),
        ({"global_step5/a.pt": "x", "latest": "global_step6"}, "global_step5"),
        ({"global_step9-5/a.pt": "x", "latest": "9-6"}, "global_step9-5"),  # of two numbers the last counts
        ({"iter_0000005/a.pt": "x", "latest_checkpointed_iteration.txt": "5"}, "iter_0000005"),
        ({"mine/.checkpoint-complete": ""}, "mine"),
        ({"5/_CHECKPOINT_METADATA": "{}"}, "5"),
        ({"step-5/__0.metadata": pickle.dumps("__0_0.distcp"), "step-5/__0_0.distcp": "x"}, "step-5"),
        ({"dist/0.metadata": pickle.dumps("0_0.distcp"), "dist/0_0.distcp": "x"}, "dist"),
        ({"global_step_10/data.pt": "x", "latest_checkpointed_iteration.txt": "10"}, "global_step_10"),
        ({"x.ckpt/meta.pt": "x", "x.ckpt/.metadata": ""}, "x.ckpt"),
        ({"x.ckpt/latest": "checkpoint", "x.ckpt/checkpoint/a_optim_states.pt": "x"}, "x.ckpt"),
        (
            {"iter_5/common.pt": "x", "iter_5/.metadata": "", "iter_5/__0_0.distcp": "", "iter_5/metadata.json": ""},
            "iter_5",
        ),
    ],
)
def test_what_tells_that_it_is_whole_need_not_be_quiet(root: Path, files: dict[str, bytes | str], path: str) -> None:
    write(root, files, age=0)
    assert why_not(root, path) == ""


def test_a_real_zip_is_whole(root: Path) -> None:
    with zipfile.ZipFile(root / "a.pt", "w") as archive:
        archive.writestr("data.pkl", b"x" * 1000)
    assert why_not(root, "a.pt") == ""
    with zipfile.ZipFile(root / "a.pt", "a") as archive:
        archive.comment = b"c" * 0xFFFF  # the longest there may be, behind the end
    assert why_not(root, "a.pt") == ""


def test_an_index_names_its_shards(root: Path) -> None:
    shards = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    write(
        root,
        {
            "m/config.json": "{}",
            "m/model.safetensors.index.json": json.dumps(shards),
            "m/model-00001-of-00002.safetensors": tensors(1),
        },
    )
    assert "model-00002-of-00002.safetensors" in why_not(root, "m")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("global_step5", ["global_step5"]),
        ("5", ["global_step5", "iter_0000005"]),
        ("ckpt/iter_0000005\n", ["iter_0000005"]),
        ('model_checkpoint_path: "ckpt-7"\nall_model_checkpoint_paths: "ckpt-7"\n', ["ckpt-7"]),
        ("best.pt", ["best.pt"]),
        ("nothing of the kind", []),
    ],
)
def test_a_pointer_names_checkpoints(root: Path, text: str, names: list[str]) -> None:
    write(
        root,
        {
            "global_step5/a": "",
            "iter_0000005/a": "",
            "ckpt-7.index": "",
            "ckpt-7.data-00000-of-00001": "",
            "best.pt": "x",
            "latest": text,
        },
    )
    everything, items = found(root)
    assert sorted(unit.path for unit in units.named_by(items["latest"], everything)) == names


def test_of_a_kind_only_the_newest_is_needed() -> None:
    assert units.series("out/epoch=3-step=40.ckpt") == units.series("out/epoch=4-step=50.ckpt")
    assert units.series("G_100.pt") != units.series("D_100.pt")
    assert units.series("step100_rank3.pt") != units.series("step100_rank4.pt")
    assert units.series("step100_rank3.pt") == units.series("step200_rank3.pt")
