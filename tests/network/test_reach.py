"""A port that must answer before a launcher starts, and the old address files."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from bootstrap.errors import PathUnusable, PeersMissing
from bootstrap.job import Cluster, Node
from bootstrap.network.addresses import write_address_files
from bootstrap.network.reach import wait_for_port
from tests.lab.heard import Heard


def test_a_port_that_opens_later_is_waited_for() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # taken, but it does not listen yet

        class Stop(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                server.listen()
                return False

        wait_for_port("127.0.0.1", server.getsockname()[1], deadline_s=60, stop=Stop(), log=Heard())


def test_a_port_that_never_opens_is_named() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with pytest.raises(PeersMissing, match=f"127.0.0.1, port {port}") as caught:
            wait_for_port("127.0.0.1", port, deadline_s=0.2, stop=threading.Event(), log=Heard())
        assert "refused" in caught.value.why


def test_a_stop_request_ends_the_wait() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(PeersMissing, match="asked to stop"):
        wait_for_port("127.0.0.1", 1, deadline_s=60, stop=stop, log=Heard())


def test_the_old_address_files_are_written_under_their_old_names(tmp_path: Path) -> None:
    nodes = (Node(0, "a", 6000, address="10.88.0.1"), Node(1, "b", 6001, address="fd00::2"), Node(2, "c"))
    write_address_files(tmp_path, Cluster(nodes, 1))
    assert (tmp_path / ".cluster_ib_ips").read_text() == "10.88.0.1:6000,[fd00::2]:6001,c"
    assert (tmp_path / ".local_ib_ip").read_text() == "fd00::2"
    with pytest.raises(PathUnusable, match="cluster_ib_ips"):
        write_address_files(tmp_path / "absent", Cluster(nodes, 1))
