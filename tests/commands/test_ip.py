"""`bootstrap ip`: addresses alone on stdout, so that scripts can use them; how they were found on stderr."""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest

from tests.commands.conftest import BOOTSTRAP, Run

LOOPBACK = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
TWO_NODES = {
    "DLS_TASK_NUMBER": "2",
    "DLS_TASK_INDEX": "1",
    "BATCH_CUSTOM0_HOSTS": "127.0.0.2:6001",
    "BATCH_CUSTOM1_HOSTS": "localhost:6002",
}


def test_an_interface_asked_for_gives_its_address_and_who_asked(bootstrap: Run) -> None:
    done = bootstrap("ip", "--interface", LOOPBACK)
    assert done.stdout == b"127.0.0.1\n"
    assert done.stderr.decode() == f"{LOOPBACK}: asked for by --interface\n"


@pytest.mark.parametrize("variable", ["BOOTSTRAP_INTERFACE", "DLS_IPOIB_DEVICE", "MODELARTS_IPOIB_DEVICE"])
def test_an_interface_can_be_asked_for_by_a_variable(bootstrap: Run, variable: str) -> None:
    done = bootstrap("ip", DLS_TASK_INDEX="0", **{variable: LOOPBACK})
    assert done.stdout == b"127.0.0.1\n"
    assert done.stderr.decode() == f"{LOOPBACK}: asked for by {variable}\n"


@pytest.mark.parametrize("asked", [["--interface", "no-such0"], []])
def test_an_interface_that_a_person_asked_for_and_is_not_there_is_an_error(bootstrap: Run, asked: list[str]) -> None:
    done = bootstrap("ip", *asked, env={} if asked else {"BOOTSTRAP_INTERFACE": "no-such0"})
    assert done.returncode == 202
    assert done.stdout == b""
    assert b"no-such0 is absent" in done.stderr


def test_an_interface_that_a_platform_names_and_is_not_there_is_passed_over(bootstrap: Run) -> None:
    done = bootstrap("ip", DLS_TASK_INDEX="0", DLS_IPOIB_DEVICE="no-such0")
    assert done.returncode == 0
    assert done.stdout.strip()
    assert b"no-such0 is absent" in done.stderr


def test_all_nodes_come_in_the_jobs_order(bootstrap: Run) -> None:
    assert bootstrap("ip", "--all", env=TWO_NODES).stdout == b"127.0.0.2\n127.0.0.1\n"
    assert bootstrap("ip", "--all", "--ports", env=TWO_NODES).stdout == b"127.0.0.2:6001\n127.0.0.1:6002\n"


def test_programs_get_json(bootstrap: Run) -> None:
    nodes = json.loads(bootstrap("ip", "--all", "--format", "json", env=TWO_NODES).stdout)
    assert nodes == [
        {"rank": 0, "host": "127.0.0.2", "address": "127.0.0.2", "port": 6001},
        {"rank": 1, "host": "localhost", "address": "127.0.0.1", "port": 6002},
    ]
    (own,) = json.loads(bootstrap("ip", "--format", "json", "--interface", LOOPBACK).stdout)
    assert (own["rank"], own["address"]) == (0, "127.0.0.1")


def test_all_nodes_of_a_single_node_job_are_this_one(bootstrap: Run) -> None:
    assert bootstrap("ip", "--all", BOOTSTRAP_INTERFACE=LOOPBACK).stdout == b"127.0.0.1\n"


def test_a_platform_that_contradicts_itself_has_no_nodes_but_this_one_has_its_address(bootstrap: Run) -> None:
    half = {"DLS_TASK_NUMBER": "2", "BOOTSTRAP_INTERFACE": LOOPBACK}
    assert bootstrap("ip", "--all", env=half).returncode == 102
    assert bootstrap("ip", env=half).stdout == b"127.0.0.1\n"


def test_hosts_can_be_named_and_addresses_of_six_get_brackets_before_a_port(bootstrap: Run) -> None:
    done = bootstrap("ip", "--ports", "127.0.0.3:5", "[::1]:6", "localhost")
    assert done.stdout == b"127.0.0.3:5\n[::1]:6\n127.0.0.1\n"


def test_a_name_that_never_exists_ends_the_wait_with_its_own_exit_code(bootstrap: Run) -> None:
    done = bootstrap("ip", "--timeout", "0.3", "never-there.invalid")
    assert done.returncode == 201
    assert b"never-there.invalid" in done.stderr


def test_an_interface_of_other_nodes_cannot_be_asked_for(bootstrap: Run) -> None:
    assert bootstrap("ip", "--all", "--interface", LOOPBACK).returncode == 101


def test_nodes_that_exchange_their_addresses_get_the_same_list() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lists = {"BATCH_WORKER_HOSTS": f"127.0.0.1:{port},127.0.0.1:2", "BATCH_SERVER_HOSTS": "never-there.invalid:9"}
    argv = [BOOTSTRAP, "ip", "--exchange", "--own-role", "--ports", "--timeout", "60"]
    nodes = []
    for index in range(2):
        own = {"DLS_TASK_INDEX": str(index), "BATCH_TASKGROUP_NAME": "worker", "BOOTSTRAP_INTERFACE": LOOPBACK}
        environ = {"PATH": os.defpath, **lists, **own}
        nodes.append(subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    for node in nodes:
        stdout, stderr = node.communicate(timeout=100)
        assert stdout.decode() == f"127.0.0.1:{port}\n127.0.0.1:2\n", stderr.decode()
        assert b"Traceback" not in stderr


def test_an_exchange_between_hosts_that_were_named_needs_to_know_our_own(bootstrap: Run) -> None:
    done = bootstrap("ip", "--exchange", "a:1", "b:2")
    assert done.returncode == 101
    assert b"--own" in done.stderr
    assert bootstrap("ip", "--exchange", "--own", "c:3", "a:1", "b:2").returncode == 103
