"""The bootstraps of a job meet, wait for each other and tell of failures: real sockets, real processes."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from bootstrap.errors import PeersMissing
from bootstrap.job import Cluster, Node
from bootstrap.peers import server as peer_server
from bootstrap.peers.meeting import _connect, meet
from bootstrap.peers.node_info import NodeInfo, placed
from bootstrap.peers.protocol import secret_of
from bootstrap.peers.server import PeerServer, tune
from bootstrap.peers.session import Arrival, NodeFailure, Peers, told
from bootstrap.values import asdict
from tests.conftest import lab_or_skip
from tests.lab.heard import Heard
from tests.lab.netns import Host, ip, running_hosts
from tests.lab.processes import end
from tests.lab.waiting import until

SECRET = b"the job's"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def cluster(size: int, rank: int) -> Cluster:
    return Cluster(tuple(Node(i, "127.0.0.1" if i == 0 else "") for i in range(size)), rank)


def join(
    size: int, rank: int, port: int, *, secret: bytes = SECRET, deadline_s: float = 60.0, stop: object = None
) -> Peers:
    return meet(
        cluster(size, rank),
        NodeInfo(f"host-{rank}", f"10.88.{rank + 1 >> 8}.{rank + 1 & 255}", "ib0"),
        port=port,
        secret=secret,
        deadline_s=deadline_s,
        stop=stop or threading.Event(),
        log=Heard(),
    )


@contextmanager
def together(size: int, port: int = 0) -> Iterator[list[Peers]]:
    """``size`` nodes that have met."""
    port = port or free_port()
    with ThreadPoolExecutor(size) as pool:
        peers = list(pool.map(lambda rank: join(size, rank, port), range(size)))
        try:
            yield peers
        finally:
            list(pool.map(Peers.close, reversed(peers)))


def side_by_side(calls: list[Callable[[], object]]) -> list[object]:
    """What each call gave, or the error that it raised."""

    def outcome(call: Callable[[], object]) -> object:
        try:
            return call()
        except PeersMissing as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


# --- meeting -------------------------------------------------------------------------------------------------------


def test_every_node_learns_every_address() -> None:
    with together(3) as peers:
        for rank, mine in enumerate(peers):
            nodes = placed(cluster(3, rank), mine.members).nodes
            assert [node.address for node in nodes] == ["10.88.0.1", "10.88.0.2", "10.88.0.3"]
            assert [node.host for node in nodes] == ["127.0.0.1", "host-1", "host-2"]
            assert mine.members[2] == NodeInfo("host-2", "10.88.0.3", "ib0")


def test_the_meeting_port_is_free_for_anybody_once_all_have_met() -> None:
    port = free_port()
    with together(4, port), socket.socket() as plain:  # without SO_REUSEADDR, as the fussiest launcher would bind it
        plain.bind(("0.0.0.0", port))
        plain.listen()


def test_node_0_may_come_last() -> None:
    port = free_port()
    with ThreadPoolExecutor(2) as pool:
        early = pool.submit(join, 2, 1, port)
        time.sleep(0.5)  # long enough for it to have been refused at least once; the test holds without it too
        late = pool.submit(join, 2, 0, port)
        early.result().close()
        late.result().close()


def test_nodes_that_do_not_come_are_named_on_all_the_others() -> None:
    port = free_port()
    outcomes = side_by_side([lambda: join(4, 0, port, deadline_s=3), lambda: join(4, 2, port, deadline_s=30)])
    for error in outcomes:
        assert isinstance(error, PeersMissing)
        assert "2 of 4 nodes did not come" in str(error)
        assert "node 1 (name unknown), node 3 (name unknown)" in error.where


def test_node_0_that_gives_up_is_not_among_those_who_did_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own connection ends before the conversation does, and who is awaited may be told in between."""
    monkeypatch.setattr(peer_server, "_PROGRESS", 0.01)
    server = PeerServer(3, SECRET, 0, 60.0)
    try:
        hellos = [{"rank": rank, "info": asdict(NodeInfo(f"host-{rank}", "10.0.0.1"))} for rank in (0, 2)]
        node_0, other = (_connect(["127.0.0.1"], server.meeting_port, hello, SECRET, 10.0)[0] for hello in hellos)
        with closing(node_0), closing(other):
            node_0.socket.shutdown(socket.SHUT_WR)
            with suppress(OSError):
                while True:
                    node_0.hear()
            time.sleep(0.2)  # twenty times who is awaited could be told
            server.close()
            said = [other.hear()]
            while "over" not in said[-1]:
                said.append(other.hear())
        assert {str(line["awaited"]) for line in said if "awaited" in line} == {"[1]"}
    finally:
        server.close()


def test_a_node_0_that_cannot_be_reached_is_named_with_the_reason() -> None:
    port = free_port()
    with pytest.raises(PeersMissing) as caught:
        join(2, 1, port, deadline_s=0.5)
    assert f"127.0.0.1, port {port}" in str(caught.value)
    assert "refused" in caught.value.why.lower()


def test_another_jobs_node_is_refused_and_does_not_count() -> None:
    port = free_port()
    outcomes = side_by_side(
        [lambda: join(2, 0, port, deadline_s=3), lambda: join(2, 1, port, deadline_s=2, secret=b"another")]
    )
    assert "1 of 2 nodes did not come" in str(outcomes[0])
    assert "another secret or another job" in str(outcomes[1])


def test_a_node_does_not_believe_a_server_that_lacks_the_secret() -> None:
    server = PeerServer(2, b"another", 0, 60.0)
    try:
        with pytest.raises(PeersMissing, match="another secret or another job"):
            join(2, 1, server.meeting_port, deadline_s=0.5)
    finally:
        server.close()


def test_two_nodes_that_claim_one_rank_are_told() -> None:
    port = free_port()

    def claim(host: str) -> Peers:
        return meet(
            cluster(3, 1),
            NodeInfo(host, "10.0.0.9"),
            port=port,
            secret=SECRET,
            deadline_s=3,
            stop=threading.Event(),
            log=Heard(),
        )

    outcomes = side_by_side([lambda: join(3, 0, port, deadline_s=4), lambda: claim("a"), lambda: claim("b")])
    assert any("has said already that it is node 1" in str(error) for error in outcomes[1:])


def connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port))
    except ConnectionRefusedError:
        return None


@pytest.mark.parametrize(
    "garbage", [b"", b"GET / HTTP/1.1\r\n\r\n", b"{}\n{}\n", b'{"nonce": []}\n\xff\xfe\n', b"[" * 70_000]
)
def test_strangers_at_the_port_disturb_nobody(garbage: bytes) -> None:
    port = free_port()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(join, 2, 0, port)
        with until(lambda: connected(port), "nobody listens") as stranger:
            stranger.sendall(garbage)
            second = pool.submit(join, 2, 1, port)
            second.result().close()
            first.result().close()


def test_a_stop_request_ends_the_meeting() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(PeersMissing, match="asked to stop"):
        join(2, 0, free_port(), stop=stop)
    with pytest.raises(PeersMissing, match="asked to stop"):
        join(2, 1, free_port(), stop=stop)


def test_who_gave_up_before_all_had_come_does_not_count_and_may_come_back_from_elsewhere() -> None:
    server = PeerServer(2, SECRET, 0, 60.0)
    try:
        for address in ("10.0.0.1", "10.0.0.9"):  # its new container has another
            with pytest.raises(PeersMissing) as caught:
                meet(
                    cluster(2, 1),
                    NodeInfo("host-1", address),
                    port=server.meeting_port,
                    secret=SECRET,
                    deadline_s=2.5,
                    stop=threading.Event(),
                    log=Heard(),
                )
            assert caught.value.where == "node 0 (127.0.0.1)", "it had come itself"
    finally:
        server.close()


def test_a_port_that_is_taken_is_said_at_once() -> None:
    with socket.create_server(("", 0)) as taken, pytest.raises(PeersMissing, match="cannot listen"):
        join(2, 0, taken.getsockname()[1])


def test_the_secret_differs_from_job_to_job_and_with_what_a_person_sets() -> None:
    one = cluster(2, 0)
    assert secret_of(one, "job-1") == secret_of(cluster(2, 1), "job-1")
    by_another_name = Cluster((Node(0, "job-master-0"), *one.nodes[1:]), 0)
    assert secret_of(one, "job-1") == secret_of(by_another_name, "job-1")
    assert len({secret_of(one, "job-1"), secret_of(one, "job-2"), secret_of(one, "job-1", "given")}) == 3


def test_a_job_of_256_nodes_meets_and_waits_for_each_other() -> None:
    with together(256) as peers:
        assert len({info.address for mine in peers[:3] for info in mine.members}) == 256
        calls = [
            lambda mine=mine: mine.barrier("fetch", took={"fetch": 1.0}, deadline_s=60, stop=threading.Event())
            for mine in peers
        ]
        tables = side_by_side(calls)  # type: ignore[arg-type]
        assert all(len(table) == 256 for table in tables)  # type: ignore[arg-type]


# --- the barrier ---------------------------------------------------------------------------------------------------


def test_the_barrier_opens_when_all_have_come_and_tells_who_took_how_long() -> None:
    with together(3) as peers:

        def come(rank: int) -> Callable[[], object]:
            took = {"fetch": rank * 1.5}
            return lambda: peers[rank].barrier("fetch", took=took, deadline_s=60, stop=threading.Event())

        tables = side_by_side([come(rank) for rank in range(3)])
        assert tables[0] == tables[1] == tables[2]
        assert [(a.rank, a.host, a.took["fetch"]) for a in tables[0]] == [  # type: ignore[attr-defined]
            (0, "host-0", 0.0),
            (1, "host-1", 1.5),
            (2, "host-2", 3.0),
        ]


def test_who_is_awaited_at_a_barrier_is_named() -> None:
    with together(3) as peers, pytest.raises(PeersMissing) as caught:
        peers[0].barrier("fetch", took={}, deadline_s=2.5, stop=threading.Event())
    assert caught.value.where == "node 1 (host-1), node 2 (host-2)"


def test_a_failure_ends_the_wait_at_a_barrier() -> None:
    with together(2) as peers:
        threading.Timer(0.2, peers[1].failed, [{"step": "fetch", "code": 111}]).start()
        with pytest.raises(PeersMissing, match=r"node 1 \(host-1\) failed: step fetch, code 111"):
            peers[0].barrier("fetch", took={}, deadline_s=60, stop=threading.Event())


def test_who_listens_for_failures_has_heard_before_a_barrier_ends_because_of_one() -> None:
    stop = threading.Event()

    def listen(failure: NodeFailure) -> None:
        time.sleep(0.5)  # a console that is slow, say
        stop.set()

    with together(2) as peers:
        peers[0].on_failure(listen)
        threading.Timer(0.1, peers[1].failed, [{"step": "fetch"}]).start()
        with pytest.raises(PeersMissing):
            peers[0].barrier("fetch", took={}, deadline_s=60, stop=threading.Event())
        assert stop.is_set(), "so that the end is the stop that was asked for, not a node that is missing"


def test_the_barriers_table_shows_who_was_last() -> None:
    arrivals = [Arrival(0, "a", {"fetch": 1.25}, 0.0), Arrival(1, "host-b", {"fetch": 61.0, "unpack": 2.0}, 61.75)]
    assert told(arrivals) == [
        "node  host    fetch   unpack  came after",
        "0     a       1.2 s   -       0.0 s",
        "1     host-b  61.0 s  2.0 s   61.8 s  <- the last",
    ]
    assert told([]) == ["node  host  came after"]


# --- failures ------------------------------------------------------------------------------------------------------


def heard_by(mine: Peers) -> tuple[list[NodeFailure], threading.Event]:
    heard: list[NodeFailure] = []
    there = threading.Event()

    def listen(failure: NodeFailure) -> None:
        heard.append(failure)
        there.set()

    mine.on_failure(listen)
    return heard, there


def test_a_failure_is_told_to_all_the_others_and_not_to_itself() -> None:
    with together(3) as peers:
        told = [heard_by(mine) for mine in peers]
        peers[1].failed({"exit": 137, "first rank": 9})
        for rank in (0, 2):
            heard, there = told[rank]
            assert there.wait(30)
            assert heard == [NodeFailure(1, "host-1", False, {"exit": 137, "first rank": 9})]
        assert told[1][0] == []


def test_only_the_first_failure_is_announced_and_all_are_kept_in_one_order() -> None:
    with together(3) as peers:
        heard, there = heard_by(peers[0])
        peers[2].failed({"exit": 1})
        assert there.wait(30)
        second = heard_by(peers[1])[1]
        assert second.wait(30), "a listener that comes late is told what is known"
        peers[1].failed({"exit": 143})
        until(lambda: len(peers[0].failures) >= 2)
        assert [failure.rank for failure in peers[0].failures] == [2, 1]
        assert [failure.rank for failure in heard] == [2]


def test_a_failure_told_in_the_last_moment_arrives() -> None:
    for failing in (0, 1):
        with together(2) as peers:
            heard, there = heard_by(peers[1 - failing])
            peers[failing].failed({"exit": 3})
            peers[failing].close()
            assert there.wait(30)
            assert heard[0].facts == {"exit": 3}


def test_leaving_in_peace_is_no_failure() -> None:
    with together(3) as peers:
        told = [heard_by(mine)[0] for mine in peers]
        peers[2].close()
        peers[0].close()
        assert peers[1].wait_for_node_0(threading.Event()) is None
        assert told == [[], [], []]


def test_leaving_otherwise_is_one() -> None:
    with together(3) as peers:
        heard, there = heard_by(peers[0])
        peers[2].close(in_peace=False)
        assert there.wait(30)
        assert heard == [NodeFailure(2, "host-2", True, {})]


def test_a_failure_that_node_0_no_longer_hears_is_known_to_its_own_node() -> None:
    with together(2) as peers:
        peers[0].failed({"exit": 1})
        peers[0].close()
        peers[1].failed({"exit": 3})
        news = peers[1].all_news(30, threading.Event())
        assert [(failure.rank, failure.facts) for failure in news] == [(0, {"exit": 1}), (1, {"exit": 3})]


def test_the_others_may_wait_for_node_0_to_end() -> None:
    with together(3) as peers:
        threading.Timer(0.2, peers[0].failed, [{"exit": 7}]).start()  # bad news alone is no end yet
        threading.Timer(0.4, peers[0].ended, [7]).start()
        assert [mine.wait_for_node_0(threading.Event()) for mine in peers[1:]] == [7, 7]


NODE = """
import sys, threading
from bootstrap.job import Cluster, Node
from bootstrap.peers.node_info import NodeInfo, placed
from bootstrap.peers.meeting import meet
class Log:
    def info(self, event, **facts): pass
    debug = warning = error = info
rank, port, master = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
names = sys.argv[4].split(",")
cluster = Cluster(tuple(Node(i, name) for i, name in enumerate([master, *names[1:]])), rank)
own = NodeInfo(names[rank], f"10.88.0.{rank + 1}")
peers = meet(cluster, own, port=port, secret=b"s", deadline_s=float(sys.argv[5]),
             stop=threading.Event(), log=Log(), silence_s=3)
there = threading.Event()
peers.on_failure(lambda failure: (print(failure, flush=True), there.set()))
print("met", [node.address for node in placed(cluster, peers.members).nodes], flush=True)
there.wait(120)
peers.close()
"""


@contextmanager
def processes(commands: list[list[str]]) -> Iterator[list[subprocess.Popen[str]]]:
    running = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands]
    try:
        yield running
    finally:
        for process in running:
            end(process)


@pytest.mark.parametrize("victim", [0, 2])
def test_a_bootstrap_that_is_killed_is_noticed_by_all_the_others(victim: int) -> None:
    port = str(free_port())
    commands = [[sys.executable, "-c", NODE, str(rank), port, "127.0.0.1", "a,b,c", "60"] for rank in range(3)]
    with processes(commands) as running:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("met")
        running[victim].kill()
        for rank, process in enumerate(running):
            if rank != victim:
                assert process.stdout is not None
                assert process.stdout.readline() == f"node {victim} ({'abc'[victim]}) is gone without a word\n"


def on_machines(machines: list[Host], deadline_s: str, ranks: list[int]) -> list[list[str]]:
    names = ",".join(machine.name for machine in machines)
    return [
        machines[rank].argv(sys.executable, "-c", NODE, str(rank), "29499", "node-1", names, deadline_s)
        for rank in ranks
    ]


@pytest.mark.netns
def test_machines_meet_by_name_and_learn_their_infiniband_addresses(tmp_path: Path) -> None:
    with (
        lab_or_skip(),
        running_hosts(3, tmp_path) as machines,
        processes(on_machines(machines, "60", [2, 1, 0])) as running,
    ):
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "met ['10.88.0.1', '10.88.0.2', '10.88.0.3']\n"


@pytest.mark.netns
def test_machines_that_have_only_ipv6_meet_as_well(tmp_path: Path) -> None:
    with lab_or_skip(), running_hosts(2, tmp_path) as machines:
        lines = ["::1 localhost"]
        for number, machine in enumerate(machines, 1):
            ip("-n", machine.namespace, "address", "flush", "dev", "eth0")
            ip("-n", machine.namespace, "address", "add", f"fd00:77::{number}/64", "dev", "eth0", "nodad")
            lines.append(f"fd00:77::{number} {machine.name}")
        machines[0].hosts.write_text("\n".join([*lines, ""]))
        with processes(on_machines(machines, "60", [1, 0])) as running:
            for process in running:
                assert process.stdout is not None
                assert process.stdout.readline() == "met ['10.88.0.1', '10.88.0.2']\n"


@pytest.mark.netns
def test_a_machine_that_is_cut_off_is_named(tmp_path: Path) -> None:
    with lab_or_skip(), running_hosts(3, tmp_path) as machines:
        machines[1].link("eth0", "down")
        with processes(on_machines(machines, "4", [0, 1, 2])) as running:
            said = [process.communicate(timeout=60)[1] for process in running]
        assert "1 of 3 nodes did not come (node 1 (node-2))" in said[0]
        assert "node 1 (node-2)" in said[2]
        assert "node 0 could not be reached (node-1, port 29499)" in said[1]


@pytest.mark.parametrize(
    ("silence", "kept_alive", "idle"), [(60.0, 1, 20), (2.0, 1, 1), (0.0, 0, None), (30 * 86400.0, 1, 10922)]
)
def test_the_kernel_is_told_how_long_a_peer_may_be_silent(silence: float, kept_alive: int, idle: int | None) -> None:
    with socket.socket() as connection:
        tune(connection, silence)
        assert bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) == bool(kept_alive)
        if idle is not None:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle


@pytest.mark.netns
def test_a_machine_that_is_cut_off_in_the_middle_is_noticed_on_both_sides(tmp_path: Path) -> None:
    with (
        lab_or_skip(),
        running_hosts(3, tmp_path) as machines,
        processes(on_machines(machines, "60", [0, 1, 2])) as running,
    ):
        heard = [process.stdout for process in running]
        for lines in heard:
            assert lines is not None
            assert lines.readline().startswith("met")
        machines[1].link("eth0", "down")
        assert [lines.readline() for lines in heard if lines] == [
            "node 1 (node-2) is gone without a word\n",
            "node 0 (node-1) is gone without a word\n",
            "node 1 (node-2) is gone without a word\n",
        ]
