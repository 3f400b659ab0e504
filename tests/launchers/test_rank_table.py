"""Ascend's rank table: late, half-written, of the old form."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import ClusterMismatch, DeclarationUnreadable, PeersMissing
from bootstrap.launchers.rank_table import (
    convert,
    devices,
    job_name,
    location,
    own_devices,
    process_environment,
    wait_for_table,
)


class Quiet:
    def _hear(self, event: str, **facts: object) -> None: ...

    debug = info = warning = error = _hear


def instance(number: int, server: str, *device_ids: str) -> dict[str, Any]:
    return {
        "pod_name": f"job11aa22bb-job-t-{number}",
        "server_id": server,
        "devices": [{"device_id": d, "device_ip": f"192.1.{number}.{d}"} for d in device_ids],
    }


def old_table(*instances: dict[str, Any]) -> dict[str, Any]:
    group = {"group_name": "job-t", "device_count": "2", "instance_count": "2", "instance_list": list(instances)}
    empty = {"group_name": "ps", "device_count": "0", "instance_count": "0", "instance_list": []}
    return {"status": "completed", "group_count": "2", "group_list": [empty, group]}


OLD = old_table(instance(10, "10.1.0.7", "1"), instance(2, "10.1.0.6", "0"), instance(0, "10.1.0.5", "4", "5"))
NEW = {
    "version": "1.0",
    "status": "completed",
    "server_count": "3",
    "server_list": [
        {
            "server_id": "10.1.0.5",
            "device": [
                {"device_id": "4", "device_ip": "192.1.0.4", "rank_id": "0"},
                {"device_id": "5", "device_ip": "192.1.0.5", "rank_id": "1"},
            ],
        },
        {"server_id": "10.1.0.6", "device": [{"device_id": "0", "device_ip": "192.1.2.0", "rank_id": "2"}]},
        {"server_id": "10.1.0.7", "device": [{"device_id": "1", "device_ip": "192.1.10.1", "rank_id": "3"}]},
    ],
}


def test_the_old_form_becomes_the_new_one_in_the_order_of_the_pods_numbers() -> None:
    assert convert(OLD) == NEW


def test_the_first_group_that_has_devices_counts_also_where_it_does_not_say_how_many() -> None:
    uncounted = [
        {name: value for name, value in group.items() if name != "device_count"} for group in OLD["group_list"]
    ]
    second = old_table(instance(0, "10.1.0.9", "7"))["group_list"][1]
    assert convert({**OLD, "group_list": [OLD["group_list"][0], uncounted[1], second]}) == NEW


def test_the_new_form_is_left_as_it_is() -> None:
    assert convert(NEW) is NEW


def test_pods_that_share_a_server_are_one_server() -> None:
    table = convert(old_table(instance(1, "10.1.0.5", "1"), instance(0, "10.1.0.5", "0")))
    assert table["server_count"] == "1"
    assert [d["rank_id"] for d in table["server_list"][0]["device"]] == ["0", "1"]


def test_a_job_without_devices_has_an_empty_table() -> None:
    assert convert({"status": "completed", "group_list": []})["server_count"] == "0"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"status": "completed"}, "'group_list' is missing"),
        (old_table({"pod_name": "p-0"}), "'server_id' is missing"),
        (old_table({"pod_name": "p", "server_id": "s", "devices": []}), "does not end in a number"),
        ({"group_list": [7]}, "'int' object"),
        ({"version": "1.0", "status": "completed"}, "'server_list' is missing"),
        ({"server_list": [{"server_id": "s", "device": [{"device_id": "0"}]}]}, "'rank_id' is missing"),
        ({"server_list": [{"server_id": "s", "device": [{"rank_id": "x"}]}]}, "invalid literal"),
    ],
)
def test_a_table_of_another_shape_is_named(broken: dict[str, Any], named: str) -> None:
    with pytest.raises(DeclarationUnreadable, match=named):
        convert(broken)


def test_a_device_knows_its_rank_and_its_place_on_its_server() -> None:
    found = devices(NEW)
    assert [(d.rank, d.index, d.device_id, d.server_id) for d in found] == [
        (0, 0, "4", "10.1.0.5"),
        (1, 1, "5", "10.1.0.5"),
        (2, 0, "0", "10.1.0.6"),
        (3, 0, "1", "10.1.0.7"),
    ]
    told = process_environment(found[1], 4, Path("/t/v1.json"), {})
    assert told == {
        "RANK_TABLE_FILE": "/t/v1.json",
        "RANK_ID": "1",
        "RANK_SIZE": "4",
        "DEVICE_ID": "1",
        "ASCEND_DEVICE_ID": "1",
        "HCCL_CONNECT_TIMEOUT": "1800",
        "JOB_ID": "job",
    }
    assert "HCCL_CONNECT_TIMEOUT" not in process_environment(found[1], 4, Path("/t"), {"HCCL_CONNECT_TIMEOUT": "7200"})


def places(table: dict[str, Any], **environ: str) -> list[tuple[int, int]]:
    return [(device.rank, device.index) for device in own_devices(table, environ)]


@pytest.mark.parametrize("variable", ["BATCH_TASK_CURRENT_INSTANCE", "MA_CURRENT_INSTANCE_NAME", "HOSTNAME"])
def test_a_pod_has_its_own_devices_though_another_shares_its_server(variable: str) -> None:
    table = old_table(instance(1, "10.1.0.5", "2", "3"), instance(0, "10.1.0.5", "0", "1"))
    assert places(table, **{variable: "job11aa22bb-job-t-1"}) == [(2, 0), (3, 1)]


def test_a_node_that_no_pod_is_named_after_has_the_devices_of_its_host() -> None:
    assert places(OLD, HOSTNAME="other", BATCH_TASK_CURRENT_HOST_IP="10.1.0.6") == [(2, 0)]
    assert places(NEW, HOSTNAME="job11aa22bb-job-t-0", MA_CURRENT_HOST_IP="10.1.0.7") == [(3, 0)]
    assert places({"server_list": NEW["server_list"][:1]}) == [(0, 0), (1, 1)], "the only server needs no name"


def test_a_node_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(ClusterMismatch, match=r"10\.1\.0\.5, 10\.1\.0\.6") as caught:
        own_devices(OLD, {"HOSTNAME": "other", "MA_CURRENT_HOST_IP": "10.9.9.9"})
    assert caught.value.where == "HOSTNAME=other, MA_CURRENT_HOST_IP=10.9.9.9"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"BATCH_JOB_ID": "jobab12", "DLS_JOB_ID": "x"}, "jobab12"),
        ({"MA_VJ_NAME": "ma-job-1-2"}, "modelarts-job-1-2"),
        ({"DLS_JOB_ID": "x"}, "x"),
        ({}, "job"),
    ],
)
def test_the_job_is_named_as_the_platforms_logs_name_it(environ: dict[str, str], name: str) -> None:
    assert job_name(environ) == name


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({}, "/user/config/jobstart_hccl.json"),
        ({"RANK_TABLE_FILE": "/user/config"}, "/user/config/jobstart_hccl.json"),
        ({"RANK_TABLE_FILE": "/x/table.json"}, "/x/table.json"),
        ({"RANK_TABLE_FILE": "/user/config", "RANK_TABLE_FILE_V_1_0": "/y/v1.json"}, "/y/v1.json"),
    ],
)
def test_the_variable_names_a_directory_or_the_file(environ: dict[str, str], path: str) -> None:
    assert str(location(environ)) == path


def test_a_table_that_comes_in_pieces_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "jobstart_hccl.json"
    pieces = [json.dumps({**OLD, "status": "initializing"}), json.dumps(OLD)[:100], json.dumps(OLD)]

    class Stop(threading.Event):
        """Each wait is the moment for the platform's next write."""

        def wait(self, timeout: float | None = None) -> bool:
            path.write_text(pieces.pop(0))
            return False

    assert wait_for_table(path, deadline_s=60, stop=Stop(), log=Quiet()) == OLD
    assert pieces == []


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), ('{"status": "init', "not complete JSON"), ('{"status": "x"}', "'x'"), ("[]", "no table")],
)
def test_a_table_that_never_comes_ends_the_wait_with_what_was_seen(
    tmp_path: Path, content: str | None, why: str
) -> None:
    path = tmp_path / "jobstart_hccl.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PeersMissing) as caught:
        wait_for_table(path, deadline_s=0.2, stop=threading.Event(), log=Quiet())
    assert why in caught.value.why
    assert "RANK_TABLE_FILE=/user/config" in caught.value.remedy
