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
