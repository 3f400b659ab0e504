"""Ascend's rank table: waited for, read, and converted from the platform's form (0.1) to the frameworks' (1.0).

Facts from Huawei's documentation and its published launcher: the platform writes ``jobstart_hccl.json`` into the
directory that ``RANK_TABLE_FILE`` names (``/user/config``) while the job starts. The file may be there before its
``status`` is ``completed``, and it may be seen half-written. In 0.1 all counts are texts; instances are ordered by the
number at the end of ``pod_name``, since the list itself is in no order. Where ``RANK_TABLE_FILE_V_1_0`` is set, it
already points at a 1.0 file. Which part of the table is this node's is told by the pod's name in 0.1 (several pods may
share a server), by the host's address in 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ClusterMismatch, DeclarationUnreadable, PeersMissing
from ..ground.json_text import load_json
from ..ground.wait import Wait
from ..job import Log, StopRequest
from ..values import dataclass, replace

FILE_NAME = "jobstart_hccl.json"
_DEFAULT_DIRECTORY = "/user/config"
_POD_NAMES = ("BATCH_TASK_CURRENT_INSTANCE", "MA_CURRENT_INSTANCE_NAME", "HOSTNAME")  # ModelArts v1, v2, Kubernetes
_HOST_ADDRESSES = ("MA_CURRENT_HOST_IP", "BATCH_TASK_CURRENT_HOST_IP", "MA_CURRENT_IP")

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator: ``rank`` counts over the job, ``index`` within its node; ``device_id`` is the driver's."""

    rank: int
    index: int
    device_id: str
    device_ip: str
    server_id: str


def location(environ: Mapping[str, str]) -> Path:
    """Where the platform's table is or will be. The variable names a directory, or, once converted, the file."""
    ready = environ.get("RANK_TABLE_FILE_V_1_0", "").strip()
    if ready:
        return Path(ready)
    path = Path(environ.get("RANK_TABLE_FILE", "").strip() or _DEFAULT_DIRECTORY)
    return path if path.suffix == ".json" else path / FILE_NAME


def wait_for_table(path: Path, *, deadline_s: float, stop: StopRequest, log: Log) -> Table:
    """The completed table, of either form. Half-written and unfinished ones are read again until ``deadline_s``.

    Raises :class:`PeersMissing` at the deadline or when a stop was asked for, with what was seen last.
    """
    wait = Wait("waiting for the rank table", deadline_s=deadline_s, stop=stop, log=log, longest=0.5)
    while not isinstance(seen := _look(path), dict):
        if not wait.again(path=str(path), seen=seen):
            raise PeersMissing(
                "the rank table was not completed" + (wait.cause or f" in {deadline_s:g} s"),
                where=str(path),
                why=seen,
                remedy="in a job with an image of its own, set RANK_TABLE_FILE=/user/config, or no table is written",
            )
    return seen


def _look(path: Path) -> Table | str:
    """The completed table, or in words what is there instead."""
    try:
        table = load_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        return str(error.strerror)
    except ValueError:  # half of a file, or half of a character
        return "the file is not complete JSON yet"
    if not isinstance(table, dict):
        return "the file holds no table"
    status = table.get("status")
    return table if status == "completed" else f"its status is {status!r}"


def convert(table: Table) -> Table:
    """A completed table in its 1.0 form; one that has it already is returned as it is.

    Raises :class:`DeclarationUnreadable` naming the field.
    """
    if _is_new(table):
        try:
            devices(table)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _unreadable(error) from error
        return table
    try:
        instances = _instances(table)
        servers: dict[str, list[dict[str, str]]] = {}
        rank = 0
        for instance in instances:
            members = servers.setdefault(str(instance["server_id"]), [])
            for device in instance["devices"]:
                members.append(
                    {
                        "device_id": str(device["device_id"]),
                        "device_ip": str(device["device_ip"]),
                        "rank_id": str(rank),
                    }
                )
                rank += 1
    except (KeyError, TypeError, AttributeError) as error:
        raise _unreadable(error) from error
    return {
        "version": "1.0",
        "status": "completed",
        "server_count": str(len(servers)),
        "server_list": [{"server_id": server, "device": members} for server, members in servers.items()],
    }


def _unreadable(error: Exception) -> DeclarationUnreadable:
    return DeclarationUnreadable(
        "the rank table has another shape than expected",
        where=FILE_NAME,
        why=f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error),
        remedy="the table is written by the platform: report it there",
    )


def _instances(table: Table) -> list[Any]:
    """The instances of the first group that has devices, in the order of their pods."""
    groups = [group for group in table["group_list"] if str(group.get("device_count", "")) != "0"]
    instances: list[Any] = groups[0]["instance_list"] if groups else []

    def order(instance: Any) -> int:
        number = re.search(r"-(\d+)$", str(instance["pod_name"]))
        if number is None:
            raise TypeError(f"pod_name {instance['pod_name']!r} does not end in a number")
        return int(number[1])

    return sorted(instances, key=order)


def _is_new(table: Table) -> bool:
    return table.get("version") == "1.0" or "server_list" in table


def devices(table: Table) -> list[Device]:
    """Every device of a 1.0 table, in the order of ranks."""
    found = [
        Device(int(one["rank_id"]), index, one["device_id"], one["device_ip"], server["server_id"])
        for server in table["server_list"]
        for index, one in enumerate(server["device"])
    ]
    return sorted(found, key=lambda device: device.rank)


def own_devices(table: Table, environ: Mapping[str, str]) -> list[Device]:
    """The devices of this node in the platform's table, of either form, in the order of ranks.

    Raises :class:`ClusterMismatch` when neither the pod's name nor the host's address is in the table, and
    :class:`DeclarationUnreadable` as :func:`convert` does.
    """
    everywhere = devices(convert(table))
    first = 0
    for instance in () if _is_new(table) else _instances(table):
        count = len(instance["devices"])
        if instance["pod_name"] in (environ.get(name) for name in _POD_NAMES):
            mine = everywhere[first : first + count]
            return [replace(device, index=index) for index, device in enumerate(mine)]
        first += count
    server = _own_server(sorted({device.server_id for device in everywhere}), environ)
    return [device for device in everywhere if device.server_id == server]


def _own_server(servers: list[str], environ: Mapping[str, str]) -> str:
    if len(servers) == 1:
        return servers[0]
    for name in _HOST_ADDRESSES:
        if environ.get(name, "") in servers:
            return environ[name]
    known = [f"{name}={environ[name]}" for name in (*_POD_NAMES, *_HOST_ADDRESSES) if environ.get(name)]
    raise ClusterMismatch(
        "this node is not in the rank table",
        where=", ".join(known) or f"none of {', '.join((*_POD_NAMES, *_HOST_ADDRESSES))} is set",
        why=f"its servers are {', '.join(servers) or '(none)'}",
    )


def job_name(environ: Mapping[str, str]) -> str:
    """The job as the names of logs have it: v2's ``ma-job-<uuid>`` is called ``modelarts-job-<uuid>`` there."""
    v2 = environ.get("MA_VJ_NAME", "").replace("ma-job", "modelarts-job", 1)
    return environ.get("BATCH_JOB_ID") or v2 or environ.get("DLS_JOB_ID") or "job"


def process_environment(device: Device, size: int, table_path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What the process of one device gets, as ModelArts' own launcher gives it: the *logical* index as device id."""
    return {
        **({} if environ.get("JOB_ID") else {"JOB_ID": job_name(environ)}),
        "RANK_TABLE_FILE": str(table_path),
        "RANK_ID": str(device.rank),
        "RANK_SIZE": str(size),
        "DEVICE_ID": str(device.index),
        "ASCEND_DEVICE_ID": str(device.index),
        **({} if environ.get("HCCL_CONNECT_TIMEOUT") else {"HCCL_CONNECT_TIMEOUT": "1800"}),
    }
