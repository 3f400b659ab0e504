"""Two jobs on one master address, to which no platform gives an id: they must not train together unnoticed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.e2e.job import Container
from tests.peers.test_session import free_port


def node_of(root: Path, rank: int, port: str, *words: str, **environ: str) -> tuple[Container, subprocess.Popen[bytes]]:
    container = Container(root)
    container.environ.update(
        MASTER_ADDR="127.0.0.1", RANK=str(rank), WORLD_SIZE="2", BOOTSTRAP_MEET_PORT=port, BOOTSTRAP_PEER_TIMEOUT="3"
    )
    argv = container.argv("--barrier", "--interface", "lo", *words)
    process = subprocess.Popen(
        argv,
        cwd=container.work,
        env={**container.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return container, process


def said(*nodes: tuple[Container, subprocess.Popen[bytes]]) -> list[tuple[int, str]]:
    return [(result.code, result.stderr) for result in (container.finish(process) for container, process in nodes)]


def test_another_master_port_is_another_job(tmp_path: Path) -> None:
    port, command = str(free_port()), ("--", "echo", "trained")
    of_a = node_of(tmp_path / "a", 0, port, *command, MASTER_PORT="29500")
    of_b = node_of(tmp_path / "b", 1, port, *command, MASTER_PORT="29600")
    (code_a, said_a), (code_b, said_b) = said(of_a, of_b)
    assert (code_a, code_b) == (203, 203)
    assert "came as node 1 and was refused: MASTER_PORT is not what it is here" in said_a
    assert "this is another job's node 0: MASTER_PORT is not what it is there" in said_b


def test_another_command_may_be_another_job(tmp_path: Path) -> None:
    port = str(free_port())
    nodes = [node_of(tmp_path / str(rank), rank, port, "--", "echo", f"--rank={rank}") for rank in range(2)]
    (code_0, said_0), (code_1, said_1) = said(*nodes)
    assert (code_0, code_1) == (0, 0), said_0 + said_1
    assert "the command is not what it is here" in said_0
    assert "the command is not what it is at node 0" in said_1
