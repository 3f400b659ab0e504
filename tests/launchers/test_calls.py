"""A command that is a launcher, or a script that calls one: seen, told of the nodes, never started through one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.job import Cluster, Node
from bootstrap.launchers import LAUNCHERS
from bootstrap.launchers.calls import of_command
from bootstrap.launchers.decide import Decision, decide
from bootstrap.launchers.launcher import Call
from bootstrap.launchers.plan import Situation

TWO = Cluster((Node(0, "a", 6000, address="10.0.0.1"), Node(1, "b", 6001, address="10.0.0.2")), 1, 8, "the test")
ONE = Cluster((Node(0, "a"),), 0, 8, "the test")
EVERY_CALL = [(row.name, words) for row in LAUNCHERS.values() for words in row.calls]


def as_command(words: str) -> tuple[str, ...]:
    return ("python", "-u", *words.split()) if words.startswith("-m") else tuple(words.split())


def values(made: Decision, command: tuple[str, ...], cluster: Cluster = TWO, **environ: str) -> dict[str, str]:
    situation = Situation(cluster, command, environ, address="10.0.0.2", directory="/tmp/d", job_id="job-7")
    plan = made.plan(situation)
    assert plan.command in (command, ()), "it is run as it is"
    return {variable.name: variable.value for variable in plan.variables}


@pytest.mark.parametrize(("launcher", "words"), EVERY_CALL)
@pytest.mark.parametrize("asked", [name for name in LAUNCHERS if name != "direct"])
def test_a_command_that_is_a_launcher_runs_once_whatever_launcher_is_asked_for(
    asked: str, launcher: str, words: str, tmp_path: Path
) -> None:
    command = (*as_command(words), "train.py", "--lr", "1")
    made = decide(asked, command, TWO, str(tmp_path), {})
    values(made, command)
    (warning,) = made.warnings
    assert words.removeprefix("-m ") in warning and f"--launcher {asked}" in warning


@pytest.mark.parametrize(("launcher", "words"), EVERY_CALL)
def test_a_shell_script_that_calls_a_launcher_runs_once(launcher: str, words: str, tmp_path: Path) -> None:
    line = " ".join(as_command(words))
    (tmp_path / "run.sh").write_text(f"#!/bin/bash\nset -e\ncd code\n{line} \\\n  train.py\n")
    command = ("bash", "-e", "run.sh")
    made = decide("torchrun", command, TWO, str(tmp_path), {})
    values(made, command)
    assert "run.sh, line 4" in made.warnings[0] and words.removeprefix("-m ") in made.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "torchrun train.py",
        "cd code && exec torchrun train.py",
        "if true; then torchrun train.py; fi",
        "CUDA_VISIBLE_DEVICES=0 nohup torchrun train.py > log 2>&1 &",
        "for i in 1; do\n  timeout 5m torchrun train.py | tee log\ndone",
        'CMD="torchrun --nnodes 1 train.py"\neval $CMD',
        "LAUNCH=(torchrun --max-restarts 0)\n${LAUNCH[@]} train.py",
        "/opt/conda/bin/torchrun train.py",
        "$PYTHON -m torch.distributed.run train.py",
        "declare -a RUN='torchrun train.py'; $RUN",
        "bash -c torchrun",
        "${PY:-python} -u -m torch.distributed.launch train.py",
        "python3.10 -W ignore -m torch.distributed.run train.py",
        "python /opt/conda/bin/torchrun train.py",
        "bash inner.sh",
        ". ./inner.sh",
        'bash "$(dirname $0)/inner.sh"',
        "sh -c 'torchrun train.py'",
        "python $(which torchrun) train.py",
        "nice -n 10 torchrun train.py",
        "export RUN='torchrun train.py'; $RUN",
        "(cd code; torchrun train.py)",
        "run() {\n  torchrun train.py\n}\nrun",
        "out=$(torchrun train.py)",
        'echo "step 1 # of 2"; torchrun train.py',
        "echo 'it is # 1' \"and # 2\"; torchrun train.py",
        "echo a#1; torchrun train.py",
        "`which torchrun` train.py",
        "python -um torch.distributed.run train.py",
        "python -mtorch.distributed.run train.py",
        "conda run --no-capture-output -n torch torchrun train.py",
        "uv run --with einops torchrun train.py",
        "sudo -E -u ma-user torchrun train.py",
        "env -u OMP_NUM_THREADS A=1 torchrun train.py",
        "su - ma-user -c 'torchrun train.py'",
        'script -qec "torchrun train.py" /dev/null',
        "timeout -s INT 5m numactl --cpunodebind 0 --membind=0 torchrun train.py",
        "nsys profile -o report --trace=cuda,nvtx torchrun train.py",
        "tini -s -- gosu ma-user torchrun train.py",
        "flock -n /tmp/lock torchrun train.py",
        "bash -euo pipefail -c 'torchrun train.py'",
        "tini -- bash inner.sh",
        "cd code && bash deeper.sh",
        "bash code/outer.sh",
    ],
)
def test_a_call_is_found_however_it_is_written(text: str, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    for name, line in (("inner.sh", "torchrun"), ("code/deeper.sh", "torchrun"), ("code/outer.sh", "bash deeper.sh")):
        (tmp_path / name).write_text(f"{line} train.py\n")
    (tmp_path / "run.sh").write_text(f"#!/bin/bash\n{text}\n")
    for command in (("bash", "run.sh"), ("./run.sh",), ("python", "run.sh"), ("bash", "-c", text)):
        (call, *_) = of_command(command, str(tmp_path))
        assert (call.launcher, call.certain) == ("torchrun", True), command


@pytest.mark.parametrize(
    "command",
    [
        ("conda", "run", "-p", "/opt/torch", "torchrun", "train.py"),
        ("timeout", "5m", "bash", "run.sh"),
        ("tini", "--", "bash", "run.sh"),
        ("tini", "--", "./run.sh"),
        ("sudo", "-u", "ma-user", "bash", "-c", "torchrun train.py"),
        ("busybox", "sh", "run.sh"),
        ("mpirun", "-n", "2", "python", "train.py"),
        ("mpirun.openmpi", "-n", "2", "python", "train.py"),
        ("/usr/bin/mpiexec.hydra", "-n", "2", "python", "train.py"),
        ("accelerate-launch", "train.py"),
        ("llamafactory-cli", "train", "sft.yaml"),
    ],
    ids=" ".join,
)
def test_a_command_is_looked_at_behind_what_runs_it(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/bash\ntorchrun train.py\n")
    (tmp_path / "run.sh").chmod(0o755)
    (call, *_) = of_command(command, str(tmp_path))
    assert call.certain
    made = decide("torchrun", command, TWO, str(tmp_path), {})
    values(made, command)
    assert made.warnings


@pytest.mark.parametrize("asked", ["direct", "auto"])
@pytest.mark.parametrize(
    ("words", "warned"),
    [
        ("accelerate launch train.py", True),
        ("accelerate launch --num_processes 8 train.py", True),
        ("python -m accelerate.commands.launch train.py", True),
        ("accelerate launch --num_machines 2 --machine_rank 1 train.py", False),
        ("accelerate launch --config_file c.yaml train.py", False),
        ("colossalai run train.py", True),
        ("colossalai run --hostfile h train.py", False),
        ("llamafactory-cli train sft.yaml", False),
        ("srun train", False),
    ],
)
def test_a_launcher_that_reads_no_variables_is_warned_of_on_several_nodes(
    words: str, warned: bool, asked: str, tmp_path: Path
) -> None:
    made = decide(asked, tuple(words.split()), TWO, str(tmp_path), {})
    assert bool(made.warnings) == warned
    assert decide(asked, tuple(words.split()), ONE, str(tmp_path), {}).warnings == ()


@pytest.mark.parametrize(
    "text", ["echo start torchrun now", "pip install torchrun", "grep torchrun log", "which torchrun || exit 1"]
)
def test_a_name_that_is_only_mentioned_is_a_doubt_and_no_call(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text(f"{text}\npython train.py\n")
    (call,) = of_command(("bash", "run.sh"), str(tmp_path))
    assert not call.certain
    made = decide("torchrun", ("bash", "run.sh"), TWO, str(tmp_path), {})
    assert made.call is None and "names torchrun" in made.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        "# torchrun train.py\npython train.py",
        "python train.py  # not torchrun",
        "python train.py --deepspeed ds.json",
        "pip install deepspeed\npython train.py",
        "python torchrun_like.py",
        "./my-torchrun.sh",
        "python -m torch.distributed.runner",
        "timeout 5m train --with deepspeed",
        "timeout 5m ./train --engine deepspeed",
        "env A=1 python train.py deepspeed",
        "bash -o pipefail -c 'python train.py'",
        "fine-tune run",
    ],
)
def test_what_is_no_launcher_is_not_taken_for_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text(f"{text}\n")
    assert of_command(("bash", "run.sh"), str(tmp_path)) == []


@pytest.mark.parametrize(
    "command", [("python", "train.py"), ("bash", "absent.sh"), ("bash",), ("bash", "-c"), ("train.py",), ("./train",)]
)
def test_commands_without_a_script_have_no_calls(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch  # torchrun\n")
    (tmp_path / "train").write_bytes(b"\x7fELF torchrun")
    assert of_command(command, str(tmp_path)) == []


@pytest.mark.parametrize(
    ("command", "first", "found"),
    [
        ("bash run", "", True),
        ("./run.sh", "", True),  # execve gives it to a shell
        ("./run", "#!/usr/bin/env bash", True),
        ("./run", "#!/bin/sh -e", True),
        ("./run", "#!/usr/bin/python3", False),
        ("./run", "as bash would", False),
        ("run.sh", "", False),  # somewhere on PATH, and not here
        ("python run", "#!/bin/sh", False),
        ("python run.bash", "", True),
    ],
)
def test_a_file_is_a_shell_script_by_who_runs_it_its_name_or_its_first_line(
    command: str, first: str, found: bool, tmp_path: Path
) -> None:
    for name in ("run", "run.sh", "run.bash"):
        (tmp_path / name).write_text(f"{first}\ntorchrun train.py\n")
    calls = of_command(tuple(command.split()), str(tmp_path))
    assert [call.launcher for call in calls] == (["torchrun"] if found else [])


def test_a_certain_call_stands_before_one_that_is_only_mentioned(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("pip install deepspeed torchrun\ntorchrun train.py\nmpirun train.py\n")
    calls = of_command(("bash", "run.sh"), str(tmp_path))
    assert [(call.words, call.certain) for call in calls][:2] == [("torchrun", True), ("mpirun", True)]
    assert all(not call.certain for call in calls[2:])


def test_direct_says_nothing_where_nothing_is_called_or_there_is_one_node(tmp_path: Path) -> None:
    for command, cluster in ((("python", "train.py"), TWO), (("torchrun", "train.py"), ONE)):
        made = decide("direct", command, cluster, str(tmp_path), {})
        assert (made.launcher.name, made.call, made.warnings) == ("direct", None, ())


def test_scripts_that_call_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("bash run.sh\n")
    assert of_command(("bash", "run.sh"), str(tmp_path)) == []


def test_each_script_is_read_once_however_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("bash one.sh\nbash ./one.sh\nbash two.sh\n")
    (tmp_path / "one.sh").write_text("bash two.sh\ntorchrun a.py\n")
    (tmp_path / "two.sh").symlink_to("one.sh")
    (call,) = of_command(("bash", "run.sh"), str(tmp_path))
    assert call.where == "one.sh, line 2"


def test_what_is_no_text_is_no_script_and_what_is_no_utf_8_is(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_bytes(b"torchrun train.py\n\0")
    assert of_command(("bash", "run.sh"), str(tmp_path)) == []
    (tmp_path / "run.sh").write_bytes("echo 训练\ntorchrun train.py\n".encode("gb18030"))
    (call,) = of_command(("bash", "run.sh"), str(tmp_path))
    assert call.where == "run.sh, line 2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torchrun --nnodes 2 train.py", "--nnodes"),
        ("--nnodes=2 torchrun", "--nnodes"),
        ("torchrun --node-rank=1", "--node_rank"),
        ("ARGS=(--nnodes 2)", "--nnodes"),
        ("ARGS='--nnodes' torchrun", "--nnodes"),
        ("torchrun \\\n\t--nnodes\\\n\t2", "--nnodes"),
        ("echo no--nnodes --nnodes-min 1; torchrun --nnodes 2", "--nnodes"),
        ("torchrun no--nnodes --nnodes-min 1 train.py", ""),
    ],
)
def test_a_call_says_a_flag_as_a_whole_word_in_either_spelling(text: str, said: str) -> None:
    assert Call("torchrun", "torchrun", "run.sh", text).says("--nnodes", "--node_rank") == said


# --- auto ----------------------------------------------------------------------------------------------------------


def test_auto_tells_the_launcher_in_a_script_of_the_nodes_and_leaves_its_devices_to_its_flags(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("python -m paddle.distributed.launch --gpus 0,1 train.py\n")
    made = decide("auto", ("bash", "run.sh"), TWO, str(tmp_path), {})
    assert made.launcher.name == "paddle" and made.by_address
    found = values(made, ("bash", "run.sh"))
    assert found["PADDLE_MASTER"] == "10.0.0.1:6000"
    assert (found["PADDLE_NNODES"], found["PADDLE_RANK"], found["POD_IP"]) == ("2", "1", "10.0.0.2")
    assert (found["MASTER_ADDR"], found["NODE_RANK"]) == ("10.0.0.1", "1"), (
        "the script may use the common names as well"
    )
    assert "PADDLE_NPROC_PER_NODE" not in found and "RANK" not in found
    (tmp_path / "run.sh").write_text("python -m paddle.distributed.launch train.py\n")
    again = decide("auto", ("bash", "run.sh"), TWO, str(tmp_path), {})
    assert values(again, ("bash", "run.sh"))["PADDLE_NPROC_PER_NODE"] == "8"


def test_auto_tells_torchrun_by_its_own_variables(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("torchrun train.py\n")
    made = decide("auto", ("bash", "run.sh"), TWO, str(tmp_path), {})
    found = values(made, ("bash", "run.sh"), PET_MASTER_PORT="7")
    assert (found["PET_NNODES"], found["PET_NODE_RANK"], found["PET_MASTER_ADDR"]) == ("2", "1", "10.0.0.1")
    assert "PET_MASTER_PORT" not in found, "what the user has set stays"


def test_auto_has_node_0_alone_run_a_script_that_calls_mpirun(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("mpirun -np 16 python train.py\n")
    made = decide("auto", ("bash", "run.sh"), TWO, str(tmp_path), {})
    situation = Situation(TWO, ("bash", "run.sh"), {}, directory="/tmp/d")
    assert made.plan(situation).follows_node_0


@pytest.mark.parametrize(("name", "call"), [("msrun", "msrun train.py"), ("deepspeed", "deepspeed train.py")])
def test_auto_says_where_it_can_tell_a_launcher_nothing(name: str, call: str, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text(f"{call}\n")
    made = decide("auto", ("bash", "run.sh"), TWO, str(tmp_path), {})
    assert made.launcher.name == "direct"
    assert f"BOOTSTRAP_LAUNCHER={name}" in made.warnings[0] and "MASTER_ADDR" in made.warnings[0]


# --- direct --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("bash", "run.sh"), ("torchrun", "train.py")])
def test_direct_warns_of_a_launcher_that_nobody_tells_of_the_nodes(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("torchrun train.py\n")
    made = decide("direct", command, TWO, str(tmp_path), {})
    assert (made.launcher.name, made.call) == ("direct", None)
    assert "BOOTSTRAP_LAUNCHER=auto" in made.warnings[0]
    assert decide("direct", command, ONE, str(tmp_path), {}).warnings == (), "a single node has nobody to be told of"
    assert decide("direct", command, TWO, str(tmp_path), {"PET_NNODES": "2"}).warnings == ()


@pytest.mark.parametrize("flags", ["--nnodes 2", "--nnodes=2", "--node-rank $R", "--rdzv_endpoint=h:1", "--standalone"])
def test_direct_says_nothing_of_a_launcher_that_knows_the_nodes(flags: str, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text(f'ARGS="{flags}"\ntorchrun $ARGS train.py\n')
    assert decide("direct", ("bash", "run.sh"), TWO, str(tmp_path), {}).warnings == ()


def test_direct_tells_paddle_of_the_nodes_where_a_script_of_paddle_1_means_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("python -m paddle.distributed.launch --cluster_node_ips=$IPS train.py\n")
    made = decide("direct", ("bash", "run.sh"), TWO, str(tmp_path), {})
    found = values(made, ("bash", "run.sh"))
    assert found["PADDLE_NNODES"] == "2"
    assert "--cluster_node_ips" in made.warnings[0] and "BOOTSTRAP_LAUNCHER=paddle" in made.warnings[0]
    cloud = decide("direct", ("bash", "run.sh"), TWO, str(tmp_path), {"PADDLE_TRAINERS": "10.0.0.1,10.0.0.2"})
    assert (cloud.call, cloud.warnings) == (None, ()), "somebody else tells it"


@pytest.mark.parametrize("shell", ["bash", "/bin/bash", "/bin/sh", "/usr/bin/env"])
def test_a_program_is_no_script(shell: str, tmp_path: Path) -> None:
    """`docker run -it IMAGE /bin/bash`, and `bash /bin/ls`: a megabyte of machine code, read as words, has any name."""
    assert of_command((shell,), str(tmp_path)) == []
    assert of_command(("bash", "/bin/bash"), str(tmp_path)) == []


def test_a_script_may_have_words_that_no_file_can_be_called(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text(f"bash {'x' * 5000}\n/{'y' * 300}/z\ntorchrun train.py\n")
    (call,) = of_command(("bash", "run.sh"), str(tmp_path))
    assert call.words == "torchrun"
