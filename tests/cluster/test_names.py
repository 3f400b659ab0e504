"""Names of nodes: late ones, a name server that speaks TCP only, and ModelArts v1's own tool for that."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.nodes import BOOTSTRAP, SYSTEM, Node, story, two_nodes
from tests.network.test_resolve import name_server

pytestmark = [pytest.mark.netns, pytest.mark.timeout(240)]

ASK = "import socket; print('asked:', socket.gethostbyname('job-custom0-0'))"


def asks_a_name_server(node: Node, tmp_path: Path) -> tuple[str, ...]:
    """The front of a command on ``node``, whose hosts file knows no node: it has to ask node 0's machine."""
    (tmp_path / "no-hosts").write_text("127.0.0.1 localhost\n")
    (tmp_path / "resolv.conf").write_text("nameserver 10.77.0.1\noptions timeout:1 attempts:1\n")
    script = f"mount --bind {tmp_path}/no-hosts /etc/hosts && mount --bind {tmp_path}/resolv.conf /etc/resolv.conf"
    return ("sh", "-c", f'{script} && exec "$@"', "sh")


@pytest.mark.parametrize(("spoken", "after"), [("udp", 20.0), ("tcp", 6.0)])
def test_a_name_that_appears_late_is_waited_for(spoken: str, after: float, tmp_path: Path) -> None:
    with (
        two_nodes("dls", tmp_path, DLS_USE_DNS_TCP="1" if spoken == "tcp" else "") as nodes,
        name_server(nodes[0].host, tmp_path, spoken) as records,
    ):
        command = ("--meet", "port", "--", sys.executable, "-c", ASK)
        nodes[1].start(*command, front=asks_a_name_server(nodes[1], tmp_path))
        nodes[1].wait_for("said", "connect ")
        began = time.monotonic()
        nodes[0].start(*command)
        nodes[1].wait_for("said", "waiting for a name")  # it says so, and who it is that does not answer
        time.sleep(max(0.0, began + after - time.monotonic()))  # as long as a pod may take to be ready
        records.write_text("10.77.0.1 job-custom0-0\n")
        assert [node.end() for node in nodes] == [0, 0], story(nodes)
        assert "a name is there now" in nodes[1].said
        assert "asked: 10.77.0.1\n" in nodes[1].said, "the command asks as we do"
        assert nodes[0].record["met"]["seconds"] > after / 2, "node 0 waited for it"


def test_a_name_server_that_speaks_tcp_only_needs_the_platforms_wish(tmp_path: Path) -> None:
    with (
        two_nodes("dls", tmp_path, BOOTSTRAP_PEER_TIMEOUT="3") as nodes,
        name_server(nodes[0].host, tmp_path, "tcp", "10.77.0.1 job-custom0-0\n"),
    ):
        front = asks_a_name_server(nodes[1], tmp_path)
        nodes[1].start("--meet", "port", "--", sys.executable, "-c", ASK, front=front)
        assert nodes[1].end() == 203
        assert "job-custom0-0 could not be resolved" in nodes[1].said and "name servers 10.77.0.1" in nodes[1].said


# --- dls-dns-fixer ---------------------------------------------------------------------------------------------------


def with_tools(tmp_path: Path, tools: dict[str, str], *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A job of one node, with these programs of the old image on its PATH."""
    (tmp_path / "bin").mkdir()
    for name, script in tools.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    own = {
        "PATH": f"{tmp_path}/bin:{SYSTEM}",
        "DLS_TASK_INDEX": "0",
        "BOOTSTRAP_JOB_DIR": str(tmp_path),
        "BOOTSTRAP_LOG_FILE": str(tmp_path / "job.log"),
    }
    argv = [BOOTSTRAP, "run", *words, "--", "sh", "-c", f'echo "command $RES_OPTIONS" >> {tmp_path}/calls']
    return subprocess.run(
        argv, env={**own, **environ}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100
    )


FIXER = 'echo "fixer $# $RES_OPTIONS" >> "${0%/bin/*}/calls"'


def test_the_old_tool_is_run_first_of_all_and_keys_are_asked_for_over_tcp_as_well(tmp_path: Path) -> None:
    client = 'echo "client $RES_OPTIONS" >> "${0%/bin/*}/calls"; while read cipher; do echo plain; done'
    key = {"DLS_KEY_ENDPOINT": "https://keys.example", "DLS_KEY_JOB_ID": "7", "DLS_AES__TOKEN": "abc"}
    tools = {"dls-dns-fixer": FIXER, "dls-key-client": client}
    done = with_tools(tmp_path, tools, DLS_USE_DNS_TCP="1", RES_OPTIONS="ndots:2", **key)
    assert done.returncode == 0, done.stdout
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["fixer 0 ndots:2 use-vc", "client ndots:2 use-vc", "command ndots:2 use-vc"]
    assert f"{tmp_path}/bin/dls-dns-fixer ended with 0" in done.stdout


@pytest.mark.parametrize("switch", ["0", ""])
def test_the_old_tool_is_left_alone_without_the_wish(switch: str, tmp_path: Path) -> None:
    assert with_tools(tmp_path, {"dls-dns-fixer": FIXER}, DLS_USE_DNS_TCP=switch).returncode == 0
    assert (tmp_path / "calls").read_text() == "command \n"


@pytest.mark.parametrize(
    ("script", "told"),
    [("exit 3", "ended with 3"), ("exec sleep 60", "did not work, and is not needed")],
)
def test_an_old_tool_that_fails_costs_nothing(script: str, told: str, tmp_path: Path) -> None:
    done = with_tools(tmp_path, {"dls-dns-fixer": script}, DLS_USE_DNS_TCP="1")
    assert done.returncode == 0, done.stdout
    assert told in done.stdout
    assert (tmp_path / "calls").read_text() == "command use-vc\n"
