"""``--launcher auto``: the engine by what the program imports, and the command as it is wherever there is doubt."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.job import Cluster, Node
from bootstrap.launchers.auto import choose
from bootstrap.launchers.table import LAUNCHERS
from bootstrap.settings import knobs

TWO = Cluster((Node(0, "a"), Node(1, "b")), 0, 8, "the test")


@pytest.mark.parametrize(
    ("text", "launcher"),
    [
        ("import torch\n", "torchrun"),
        ("import torch\nimport deepspeed\n", "deepspeed"),
        ("def main():\n    from paddle.distributed import fleet\n", "paddle"),
        ("import horovod.torch as hvd\nimport torch\n", "mpi"),
        ("import torchvision_like\n", "direct"),
        ("# import torch\nprint('import torch')\n", "direct"),
        ("import mindspore", "msrun"),
    ],
)
def test_a_script_is_judged_by_what_it_imports(tmp_path: Path, text: str, launcher: str) -> None:
    (tmp_path / "train.py").write_text(text)
    found = choose(("python", "-u", "train.py", "--lr", "1"), TWO, str(tmp_path))
    assert found.launcher == launcher
    assert "train.py" in found.reason


@pytest.mark.parametrize(
    "command", [("torchrun", "train.py"), ("python", "-m", "torch.distributed.run", "train.py"), ("bash", "run.sh")]
)
def test_a_command_that_starts_its_own_processes_is_left_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "train.py").write_text("import torch")
    assert choose(command, TWO, str(tmp_path)).launcher == "direct"


def test_one_process_needs_no_launcher(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch")
    assert choose(("train.py",), Cluster((Node(0, "a"),), slots=1), str(tmp_path)).launcher == "direct"
    assert choose(("train.py",), Cluster((Node(0, "a"),), slots=8), str(tmp_path)).launcher == "torchrun"


def test_the_setting_offers_every_launcher() -> None:
    knob = next(knob for name, knob, _ in knobs() if name == "launcher")
    for name in ("auto", *LAUNCHERS):
        assert knob.parse(name) == name
        assert name in knob.help
    with pytest.raises(ValueError, match="torchrun"):
        knob.parse("torchrum")
