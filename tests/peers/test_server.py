"""The server under strangers, crowds and nodes that speak nonsense: bounded, silent, and there for those who belong."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import PeersMissing
from bootstrap.peers.client import PeerClient, Refused
from bootstrap.peers.first_failure import of, words
from bootstrap.peers.marks import Marks
from bootstrap.peers.meeting import meet
from bootstrap.peers.messages import facts_of, seconds_of
from bootstrap.peers.node_info import NodeInfo
from bootstrap.peers.server import PeerServer
from bootstrap.peers.session import NodeFailure, Peers
from tests.lab.fuzzing import fuzz
from tests.lab.heard import Heard
from tests.lab.waiting import until
from tests.peers.test_session import SECRET, cluster, free_port, together

INFO = {"host": "h", "address": "10.0.0.1", "interface": "ib0"}


@contextmanager
def server_of(size: int) -> Iterator[PeerServer]:
    server = PeerServer(size, SECRET, 0, 60.0)
    try:
        yield server
    finally:
        server.close()


def connect(server: PeerServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.meeting_port), timeout=30)


def ended(connection: socket.socket) -> bytes:
    """What comes until the other side ends it."""
    said = b""
    try:
        while more := connection.recv(1 << 16):
            said += more
    except ConnectionResetError:
        pass
    return said


def channel(server: PeerServer, hello: dict[str, Any], secret: bytes = SECRET) -> PeerClient:
    """As far as a node that says ``hello`` comes; the caller hears whether it is let in."""
    with closing(PeerClient("127.0.0.1", server.meeting_port, secret, 30)) as way:
        way.say({"rank": 0})
        port = way.hear()["channel"]
    assert isinstance(port, int)
    line = PeerClient("127.0.0.1", port, secret, 30)
    line.say(hello)
    return line


# --- strangers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"x" * 2000, b"{}\n", b'{"nonce": 5}\n', b'{"nonce": "' + b"a" * 5000 + b'"}\n'])
def test_a_stranger_is_cut_off_after_a_kilobyte_or_a_line_that_is_none(said: bytes) -> None:
    with server_of(2) as server, connect(server) as stranger:
        stranger.sendall(said)
        assert b'"nonce"' in ended(stranger)


def test_strangers_hold_no_places_and_little_memory(tmp_path: Path) -> None:
    """600 who each send most of a kilobyte and wait: only so many are kept, and a node comes in at once."""
    with server_of(2) as server:
        strangers = []
        try:
            for _ in range(600):
                strangers.append(connect(server))
                strangers[-1].sendall(b"{" + b" " * 1000)
            node = channel(server, {"rank": 1, "info": INFO})
            assert node.hear()["welcome"] == 1
            node.close()
            strangers[0].settimeout(10)
            assert b"nonce" in ended(strangers[0]), "the oldest had to make room"
            assert len(server._connections._passing) <= 300
        finally:
            for stranger in strangers:
                stranger.close()


CROWD = """
import resource, socket, sys, threading, time
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from bootstrap.peers.server import PeerServer
server = PeerServer(2, b"the job's", 0, 60.0)
print(server.meeting_port, flush=True)
sys.stdin.readline()
with open("/dev/null"):  # there is room for our own files, whatever comes
    print("trouble:", server.trouble, flush=True)
server.close()
"""


def test_where_files_are_few_strangers_do_not_use_them_up_and_nothing_is_printed() -> None:
    command = [sys.executable, "-c", CROWD]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as p:
        assert p.stdout is not None
        port = int(p.stdout.readline())
        strangers = [socket.create_connection(("127.0.0.1", port)) for _ in range(400)]
        time.sleep(0.3)
        out, err = p.communicate("\n", timeout=60)
        for stranger in strangers:
            stranger.close()
    assert (p.returncode, out, err) == (0, "trouble: \n", "")


FULL = """
import os, resource, socket, sys, time
from bootstrap.peers.server import PeerServer
server = PeerServer(2, b"the job's", 0, 60.0)
strangers = [socket.socket() for _ in range(8)]
resource.setrlimit(resource.RLIMIT_NOFILE, (1 + max(map(int, os.listdir("/proc/self/fd"))), 9999))
for stranger in strangers:
    stranger.connect(("127.0.0.1", server.meeting_port))
began = time.process_time()
time.sleep(1)
print(server.trouble, time.process_time() - began < 0.3, flush=True)
server.close()
"""


def test_at_the_limit_of_open_files_the_server_waits_and_says_so() -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "node 0 can take no more connections: Too many open files True\n"
    assert done.stderr == ""


def test_a_line_that_drips_ends_at_the_deadline() -> None:
    """A server that is none: a byte now and then keeps no node for longer than it has."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            accepted, _ = server.accept()
            with accepted:
                try:
                    while True:
                        accepted.sendall(b"{")
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            PeerClient("127.0.0.1", server.getsockname()[1], SECRET, 0.5)
        assert time.monotonic() - began < 10


def test_a_stranger_that_listens_at_node_0s_port_cannot_fill_a_nodes_memory() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def flood() -> None:
            accepted, _ = server.accept()
            with accepted:
                try:
                    while True:
                        accepted.sendall(b"x" * 65_536)
                except OSError:
                    pass

        threading.Thread(target=flood, daemon=True).start()
        with pytest.raises(ValueError, match="without an end"):
            PeerClient("127.0.0.1", server.getsockname()[1], SECRET, 30)


def test_a_crowd_that_comes_at_once_is_let_in_at_once() -> None:
    """More than asyncio's accept queue of 100: none of them has to ask the kernel a second time."""
    with server_of(400) as server:
        began = time.monotonic()
        crowd = [socket.socket() for _ in range(400)]
        for each in crowd:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", server.meeting_port))
        for each in crowd:
            each.setblocking(True)
            assert each.recv(1) == b"{"
            each.close()
        assert time.monotonic() - began < 10, "one whose SYN is dropped asks again after 1, 3, 7, ... seconds"


# --- jobs without an id --------------------------------------------------------------------------------------------


def test_another_jobs_node_is_refused_by_what_surely_differs_and_both_are_told() -> None:
    port, heard = free_port(), Heard()
    outcomes: list[object] = []

    def join(rank: int, code: str, log: Heard) -> None:
        marks = Marks.of(sure={"--code": code}, likely={"the command": ["python", "train.py"]})
        info = NodeInfo(f"host-of-{code}", "10.0.0.1")
        try:
            meet(
                cluster(2, rank),
                info,
                port=port,
                secret=SECRET,
                deadline_s=2,
                stop=threading.Event(),
                log=log,
                marks=marks,
            ).close()
        except PeersMissing as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=join, args=(rank, code, heard)) for rank, code in ((0, "a"), (1, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted("1 of 2 nodes did not come" in str(each) for each in outcomes) == [False, True]
    assert any("this is another job's node 0: --code is not what it is there" in str(each) for each in outcomes)
    assert any("host-of-b came as node 1 and was refused: --code" in line for line, _ in heard.lines)


def test_what_may_differ_is_told_on_both_sides_and_the_nodes_meet() -> None:
    port, logs, peers = free_port(), [Heard(), Heard()], [None, None]

    def join(rank: int) -> None:
        marks = Marks.of(sure={"--code": "a"}, likely={"the command": ["python", f"{rank}.py"]})
        peers[rank] = meet(  # type: ignore[call-overload]
            cluster(2, rank),
            NodeInfo(f"h{rank}", "10.0.0.1"),
            port=port,
            secret=SECRET,
            deadline_s=60,
            stop=threading.Event(),
            log=logs[rank],
            marks=marks,
        )

    threads = [threading.Thread(target=join, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine in reversed(peers):
        mine.close()  # type: ignore[attr-defined]
    for log in logs:
        assert any("the command is not what it is" in line for line, _ in log.lines)


# --- nodes that speak nonsense -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hello",
    [
        {},
        {"rank": True, "info": INFO},
        {"rank": 7, "info": INFO},
        {"rank": 1, "info": {"host": ["h"]}},
        {"rank": 1, "info": None},
        {"rank": 1, "info": {**INFO, "address": "$(reboot)"}},
        {"rank": 1, "info": {**INFO, "address": "10.0.0.1\n10.0.0.2"}},
        {"rank": 1, "info": {**INFO, "host": "h\n10.0.0.2 other"}},
        {"rank": 1, "info": {**INFO, "interface": "ib0 \x1b[2J"}},
        {"rank": 1, "info": {**INFO, "host": "\ud800"}},
        {"rank": 1, "info": INFO, "job": 5},
        {"rank": 1, "info": INFO, "job": [1, 2]},
    ],
)
def test_a_node_that_introduces_itself_with_nonsense_is_not_let_in(hello: dict[str, Any]) -> None:
    with server_of(2) as server:
        line = channel(server, hello)
        with pytest.raises((OSError, ValueError, Refused)):
            while "refused" not in (said := line.hear()):
                assert "welcome" not in said
            raise Refused(str(said["refused"]))
        line.close()
        assert server._members == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KNOWN = st.sampled_from(
    ["exit_code", "rank", "rank_exit_code", "node", "at", "step", "why", "host", "traceback", "words", "code"]
)


@fuzz(100)
@given(st.dictionaries(KNOWN, JSON), st.floats(0, 2e9))
def test_whatever_a_node_says_of_its_failure_can_be_told(said: dict[str, Any], heard: float) -> None:
    try:
        facts = facts_of(json.loads(json.dumps(said)))
    except ValueError:
        return
    failure = NodeFailure(1, "host-1", False, facts, heard)
    assert "node 1 (host-1)" in str(failure)
    first = of([failure])
    assert first is not None
    assert words(first).startswith("The first to fail was")
    json.dumps(first, ensure_ascii=False).encode()


def test_a_text_that_no_file_can_hold_is_no_fact() -> None:
    assert facts_of({"step": "\ud800", "why": "gone", "\udfff": 1}) == {"why": "gone"}


SAYS = st.dictionaries(st.sampled_from(["arrive", "took", "failed", "ended", "bye", "x"]), JSON, min_size=1)


@fuzz(20)
@given(st.lists(SAYS, max_size=5))
def test_the_server_outlives_whatever_a_node_says(messages: list[dict[str, Any]]) -> None:
    with server_of(2) as server:
        line = channel(server, {"rank": 1, "info": INFO})
        assert line.hear()["welcome"] == 1
        try:
            for message in messages:
                line.say(message)
        except OSError:
            pass  # it has ended the conversation with us
        line.close()
        again = channel(server, {"rank": 1, "info": INFO})
        assert again.hear()["welcome"] == 1
        again.close()


ENDLESS = 10**400  # JSON knows integers that no float can hold


@pytest.mark.parametrize(
    "said",
    [
        {"arrive": "ready", "took": {"fetch": ENDLESS}},
        {"arrive": "ready", "took": {"fetch": float("nan")}},
        {"failed": {"exit_code": ENDLESS, "at": ENDLESS}},
        {"ended": ENDLESS},
        {"look": "\ud800"},
    ],
)
def test_a_number_that_is_none_ends_a_connection_and_not_the_server(said: dict[str, Any]) -> None:
    with server_of(2) as server:
        line = channel(server, {"rank": 1, "info": INFO})
        assert line.hear()["welcome"] == 1
        line.say(said)
        again = channel(server, {"rank": 1, "info": INFO})
        assert again.hear()["welcome"] == 1
        again.close()
        line.close()


def test_a_node_that_comes_again_has_one_connection() -> None:
    with server_of(2) as server:
        first = channel(server, {"rank": 1, "info": INFO})
        assert first.hear()["welcome"] == 1
        again = channel(server, {"rank": 1, "info": INFO})
        assert again.hear()["welcome"] == 1
        with pytest.raises(OSError):
            while True:
                first.hear()
        assert len(server._connections._kept) == 1
        again.close()


def test_nodes_that_ask_all_others_to_look_at_the_same_moment_are_told_once() -> None:
    asked: list[str] = []
    with together(3) as peers:
        peers[0].on_look(asked.append)
        for mine in peers:
            mine.look("no output for 60 s")
        for mine in peers:
            mine.looked()
        assert all(mine.wait_until_all_looked(30, threading.Event()) for mine in peers)
    assert len(asked) <= 1


MEMBER = {**INFO, "share": ""}


@pytest.mark.parametrize(
    "said",
    [
        {"members": 5},
        {"members": [{"host": 5}]},
        {"members": []},
        {"members": [MEMBER]},
        {"members": [MEMBER] * 3},
        {"members": [MEMBER, {**MEMBER, "address": "no address"}]},
        {"open": "ready", "arrivals": []},
        {"open": "ready", "arrivals": [{"rank": 0, "host": "h", "after": 0.0}]},
        {"open": "ready", "arrivals": [{"rank": 0, "host": "h", "after": ENDLESS}] * 2},
        {"open": "ready", "arrivals": [{"rank": 0, "host": "h", "after": 1e308}] * 2},
        {"awaited": [2], "count": 1, "at": ""},
        {"awaited": [1], "count": 9, "at": ""},
        {"failures": [{"rank": 0, "host": "h", "said": {}}]},
        {"failures": [{"rank": 99, "host": "h", "said": {}}]},
        {"failures": [{}]},
        {"ended": "1"},
        {"awaited": ["x"]},
        {"open": [], "arrivals": []},
        {"open": "x", "arrivals": [{"rank": 0}]},
    ],
)
def test_a_node_ends_the_conversation_with_a_server_that_speaks_nonsense(said: dict[str, Any]) -> None:
    with server_of(2) as server:
        mine = Peers(1, 2, channel(server, {"rank": 1, "info": INFO}), None)
        try:
            until(lambda: 1 in server._members, "node 1 is not there")
            server._tell(json.dumps(said).encode())
            assert not mine.all_here(30, threading.Event())
            assert "the connection to node 0 broke" in mine.lost
        finally:
            mine.close()


@pytest.mark.parametrize("said", [ENDLESS, 1e308, 1e11, -1.0, float("nan"), True, "5", None])
def test_seconds_are_what_a_date_can_be_made_of(said: object) -> None:
    with pytest.raises(ValueError, match="no seconds"):
        seconds_of(said)


def test_a_failure_in_words_of_another_version_is_told_as_well_as_can_be() -> None:
    with together(2) as peers:
        peers[1].failed({"code": 1, "words": "gone"})
        news = peers[0].all_news(0.5, threading.Event())
        first = of(news)
        assert first is not None
        assert words(first) == "The first to fail was node 1 (host-1)"


# --- many ----------------------------------------------------------------------------------------------------------


def test_of_many_failures_the_first_few_and_any_that_was_earlier_are_told() -> None:
    with together(12) as peers:
        now = time.time()
        for mine in peers[1:]:
            mine.failed({"exit_code": 1, "at": now + mine.rank})
        peers[1].ended(1)
        time.sleep(0.3)
        peers[0].failed({"exit_code": 9, "at": now - 5.0})
        for mine in (peers[0], *peers[2:]):
            mine.ended(1)
        for mine in peers:
            news = mine.all_news(30, threading.Event())
            first = of(news)
            assert first is not None
            assert (first["node"], first["exit_code"]) == (0, 9)
            assert len(news) <= 11


def test_a_node_that_the_kernel_gave_up_was_lost_when_its_silence_began() -> None:
    lost = NodeFailure(1, "a", True, {}, heard=1000.0)
    later = NodeFailure(2, "b", False, {"at": 1001.0, "exit_code": 1}, heard=1002.0)
    first = of([later, lost])
    assert first is not None
    assert first["lost"]
