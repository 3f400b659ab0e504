"""What a script starts with ``&`` and does not wait for: waited for under the old names, never dropped in silence."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.job import BOOTSTRAP, SCRIPTS, Container

RANKS = (
    f"for i in 0 1; do {sys.executable} -c"
    " \"import time; time.sleep(1.5); open('out/model-$i.txt', 'w').write('done')\" & done"
)
SERVER = (
    f"{sys.executable} -c \"import socket, time; s = socket.create_server(('127.0.0.1', 0)); open('up', 'w');"
    ' time.sleep(60)" & while ! [ -e up ]; do sleep 0.02; done'
)


def models(container: Container) -> list[str]:
    return sorted(path.name for path in (container.work / "out").glob("model-*"))


@pytest.fixture
def ranks(container: Container) -> Container:
    (container.work / "out").mkdir()
    (container.work / "run.sh").write_text(RANKS + "\n")
    (container.work / "serve.sh").write_text(SERVER + "\n")
    return container


def test_they_are_named_with_the_remedy(ranks: Container) -> None:
    result = ranks.run("--", "bash", "run.sh")
    assert (result.code, models(ranks)) == (0, [])
    (note,) = result.record["user"]["notes"]
    assert note in result.stderr and note.startswith("2 processes were still at work") and "`wait`" in note
    assert len(result.record["user"]["cut_short"]) == 2


def test_where_outputs_are_ordered_it_is_no_success(ranks: Container, tmp_path: Path) -> None:
    result = ranks.run("--output", f"out={tmp_path / 'target'}", "--", "bash", "run.sh")
    assert result.code == 120, result.stderr
    assert result.record["reason_id"] == "processes-cut-short"


def test_that_may_be_allowed(ranks: Container, tmp_path: Path) -> None:
    result = ranks.run("--allow-undelivered", "--output", f"out={tmp_path / 'target'}", "--", "bash", "run.sh")
    assert result.code == 0, result.stderr


def test_a_server_that_is_left_means_nothing(ranks: Container, tmp_path: Path) -> None:
    result = ranks.run("--output", f"out={tmp_path / 'target'}", "--", "bash", "serve.sh")
    assert result.code == 0, result.stderr
    assert result.record["user"]["cut_short"] == []
    assert "only serve" in result.stderr


def test_they_are_waited_for_if_that_is_wished(ranks: Container, tmp_path: Path) -> None:
    result = ranks.run("--wait-for-output", "--output", f"out={tmp_path / 'target'}", "--", "bash", "run.sh")
    assert result.code == 0, result.stderr
    assert models(ranks) == ["model-0.txt", "model-1.txt"]
    delivered = sorted(path.name for path in (tmp_path / "target").iterdir())
    assert delivered == [".bootstrap", "model-0.txt", "model-1.txt"], "the manifests and what was waited for"
    assert "waiting for processes that still hold its output" in result.stderr


@pytest.mark.parametrize(("setting", "found"), [("", ["model-0.txt", "model-1.txt"]), ("0", [])])
def test_the_old_boot_command_waits_as_it_always_did(ranks: Container, setting: str, found: list[str]) -> None:
    home = ranks.home / "work"
    home.mkdir()
    for name in ("run_train.sh", "run_bootstrap.sh"):
        shutil.copy(SCRIPTS / name, home)
    environ = {"BOOTSTRAP_BIN": BOOTSTRAP, "BOOTSTRAP_JOB_DIR": str(ranks.work)}
    environ |= {"BOOTSTRAP_WAIT_FOR_OUTPUT": setting} if setting else {}
    result = ranks.run(argv=["bash", str(home / "run_train.sh"), "bash", "run.sh"], environ=environ)
    assert result.code == 0, result.stderr
    assert models(ranks) == found


def test_a_stop_while_they_are_waited_for_asks_them(ranks: Container) -> None:
    (ranks.work / "run.sh").write_text(
        f'{sys.executable} -c "import signal, sys, time;'
        " signal.signal(15, lambda *_: (open('saved', 'w'), sys.exit(0)));"
        " open('ready', 'w'); time.sleep(60)\" &\n"
    )
    with ranks.running("--wait-for-output", "--", "bash", "run.sh") as process:
        ranks.wait_for(ranks.work / "ready")
        process.terminate()
        result = ranks.finish(process)
    assert (ranks.work / "saved").exists(), result.stderr
    assert result.code == 0


RANK = (
    "import socket, sys, time; s = socket.create_server(('127.0.0.1', 0)); open(f'up{sys.argv[-1]}', 'w');"
    " time.sleep(30)"
)


@pytest.mark.parametrize(
    ("environ", "code", "options"),
    [
        ("LOCAL_RANK=$i", RANK, ""),
        ("RANK=$i", RANK, ""),
        ('TF_CONFIG=\'{"task": {"type": "worker", "index": \'$i\'}}\'', RANK, ""),
        ("", RANK, "--local_rank=$i"),
        ("", RANK, "--job_name=worker --task_index $i"),
        ("", RANK.replace("time.sleep(30)", "[x for x in iter(int, 1)]"), ""),
    ],
    ids=["local-rank", "rank", "tf-config", "rank-option", "task-index", "computes"],
)
def test_a_rank_that_listens_for_other_ranks_is_no_server(
    ranks: Container, tmp_path: Path, environ: str, code: str, options: str
) -> None:
    (ranks.work / "run.sh").write_text(
        f'for i in 0 1; do {environ} {sys.executable} -c "{code}" {options} $i & done\n'
        "while ! [ -e up0 -a -e up1 ]; do sleep 0.02; done\n"
    )
    result = ranks.run("--output", f"out={tmp_path / 'target'}", "--", "bash", "run.sh")
    assert result.code == 120, result.stderr
    assert len(result.record["user"]["cut_short"]) == 2


@pytest.mark.parametrize("options", ["", "--job_name=ps --task_index=0"])
def test_a_server_with_the_job_s_own_rank_is_one(ranks: Container, tmp_path: Path, options: str) -> None:
    """A platform's RANK is everybody's, and a parameter server serves for ever."""
    (ranks.work / "run.sh").write_text(
        f'{sys.executable} -c "{RANK}" {options} 0 &\nwhile ! [ -e up0 ]; do sleep 0.02; done\n'
    )
    environ = {"RANK_ID": "0", "DEVICE_ID": "0"}
    result = ranks.run("--output", f"out={tmp_path / 'target'}", "--", "bash", "run.sh", environ=environ)
    assert result.code == 0, result.stderr
    assert "`wait`" in result.stderr and result.record["user"]["cut_short"] == []


def test_the_remedy_is_not_what_has_been_done_already(ranks: Container, tmp_path: Path) -> None:
    (ranks.work / "run.sh").write_text("sleep 30 > train.log 2>&1 &\nexec 1>&- 2>&-; sleep 0.2\n")
    result = ranks.run("--wait-for-output", "--output", f"out={tmp_path / 'target'}", "--", "bash", "run.sh")
    assert result.code == 120, result.stderr
    assert "or set --wait-for-output" not in result.stderr


def test_who_is_left_by_one_that_ends_at_once_is_found(ranks: Container) -> None:
    """Parents that fork and end one behind the other hide from a single look at /proc."""
    (ranks.work / "run.sh").write_text("( ( sh -c 'sleep 1; touch out/model-0' ) & ) &\n")
    for _ in range(5):
        result = ranks.run("--wait-for-output", "--", "bash", "run.sh")
        assert (result.code, models(ranks)) == (0, ["model-0"]), result.stderr
        (ranks.work / "out" / "model-0").unlink()


@pytest.mark.parametrize("option", ["--timeout", "--stall-timeout"])
def test_a_limit_that_ends_the_wait_is_no_success(ranks: Container, option: str) -> None:
    (ranks.work / "run.sh").write_text("sleep 30 &\n")
    result = ranks.run("--wait-for-output", option, "0.5", "--", "bash", "run.sh")
    assert result.code == 143, result.stderr
    assert result.record["reason_id"] == f"stopped-by-{option.strip('-').split('-')[0]}"


def test_a_stop_that_ends_who_did_not_save_is_no_success(ranks: Container) -> None:
    ended = "while kill -0 $$ 2>/dev/null; do sleep 0.02; done"  # and its status has been taken
    (ranks.work / "run.sh").write_text(f"( {ended}; sleep 0.2; touch ready; exec sleep 30 ) &\n")
    with ranks.running("--wait-for-output", "--", "bash", "run.sh") as process:
        ranks.wait_for(ranks.work / "ready")
        process.terminate()
        result = ranks.finish(process)
    assert result.code == 143, result.stderr


ON_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


@pytest.mark.parametrize(("wait", "code", "found"), [([], 120, []), (["--wait-for-output"], 0, ["model-0"])])
def test_a_terminal_that_ends_with_the_command_takes_nobody_in_silence(
    ranks: Container, tmp_path: Path, wait: list[str], code: int, found: list[str]
) -> None:
    """`docker run -t`: the command is the leader of its terminal's session, at whose end the kernel sends HUP."""
    (ranks.work / "run.sh").write_text("sh -c 'sleep 1; touch out/model-0' &\n")
    argv = [sys.executable, "-c", ON_A_TERMINAL, BOOTSTRAP, "run", "--job-dir", str(ranks.work), *wait]
    result = ranks.run(argv=[*argv, "--output", f"out={tmp_path / 'target'}", "--", "bash", "run.sh"])
    assert (result.code, models(ranks)) == (code, found), result.stdout
    assert wait or b"cut short" in result.stdout
