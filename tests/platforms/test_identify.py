"""Platforms are told apart from realistic environments, and the reason says by what."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bootstrap.errors import PlatformIncomplete, UsageError
from bootstrap.platforms import PLATFORMS, identify, salvage

ANY_CONTAINER = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/root",
    "HOSTNAME": "3f1c9a",
    "LANG": "C.UTF-8",
}
V1 = {
    **ANY_CONTAINER,
    "DLS_TASK_INDEX": "0",
    "DLS_TASK_NUMBER": "1",
    "DLS_JOB_ID": "jobab12cd34",
    "DLS_APP_URL": "s3://bkt/code/",
    "BATCH_JOB_ID": "jobab12cd34",
    "BATCH_jobab12cd34.0_HOSTS": "jobab12cd34-0:6666",
    "MA_INPUTS": "",
}
V2 = {
    **ANY_CONTAINER,
    "MA_VJ_NAME": "ma-job-0b5e",
    "MA_TASK_NAME": "worker",
    "MA_NUM_HOSTS": "1",
    "MA_JOB_DIR": "/home/ma-user/modelarts/user-job-dir",
    "VC_TASK_INDEX": "0",
    "VC_WORKER_HOSTS": "ma-job-0b5e-worker-0.ma-job-0b5e",
    "VC_WORKER_NUM": "1",
}
VOLCANO = {
    **ANY_CONTAINER,
    "VC_TASK_INDEX": "0",
    "VK_TASK_INDEX": "0",
    "VC_WORKER_HOSTS": "train-worker-0.train",
    "VC_WORKER_NUM": "1",
}
PAI = {
    **ANY_CONTAINER,
    "MASTER_ADDR": "dlc1a2b-master-0",
    "MASTER_PORT": "23456",
    "WORLD_SIZE": "2",
    "RANK": "1",
    "NPROC_PER_NODE": "8",
}


@pytest.mark.parametrize(
    ("environ", "platform", "evidence"),
    [
        (V1, "dls", "DLS_TASK_INDEX"),
        ({**ANY_CONTAINER, "BATCH_CUSTOM0_HOSTS": "h0:6000"}, "dls", "BATCH_CUSTOM0_HOSTS"),
        ({**ANY_CONTAINER, "BATCH_jobx.0_HOSTS": "h0:6000"}, "dls", "BATCH_jobx.0_HOSTS"),
        (V2, "modelarts", "MA_VJ_NAME"),
        ({**V2, "DLS_TASK_NUMBER": "1"}, "modelarts", "MA_VJ_NAME"),
        (VOLCANO, "volcano", "VC_TASK_INDEX"),
        ({**ANY_CONTAINER, "VK_TASK_INDEX": "0"}, "volcano", "VK_TASK_INDEX"),
        ({**VOLCANO, "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "x"}, "volcano", "VC_WORKER_HOSTS"),
        (PAI, "rank-env", "RANK, WORLD_SIZE, MASTER_ADDR"),
        (ANY_CONTAINER, "local", "no platform"),
        ({**ANY_CONTAINER, "BATCH_SIZE": "64", "MASTER_ADDR": "localhost"}, "local", "no platform"),
        ({**ANY_CONTAINER, "DLS_TASK_NUMBER": ""}, "local", "no platform"),
        ({**PAI, "LOCAL_RANK": "0"}, "local", "no platform"),
        ({**ANY_CONTAINER, "MA_INPUTS": "{}"}, "local", "no platform"),
    ],
)
def test_a_platform_is_told_by_its_own_variables(
    environ: dict[str, str], platform: str, evidence: str, tmp_path: Path
) -> None:
    facts = identify(environ, root=tmp_path)
    assert facts.platform == platform
    assert evidence in facts.reason


def test_volcano_is_told_by_its_mounted_files_alone(tmp_path: Path) -> None:
    (tmp_path / "etc/volcano").mkdir(parents=True)
    (tmp_path / "etc/volcano/worker.host").write_text("train-worker-0.train\n")
    facts = identify(ANY_CONTAINER, root=tmp_path)
    assert (facts.platform, facts.reason) == ("volcano", "Volcano: /etc/volcano/worker.host")


def test_a_name_overrides_the_environment(tmp_path: Path) -> None:
    facts = identify(V1, name="local", root=tmp_path)
    assert facts.platform == "local"
    assert "asked for by name" in facts.reason


@pytest.mark.parametrize("name", [platform.name for platform in PLATFORMS])
def test_any_platform_asked_for_where_nothing_is_set_is_a_single_node(name: str, tmp_path: Path) -> None:
    facts = identify({}, name=name, root=tmp_path)
    assert facts.cluster.size == 1
    assert facts.defaults["log_file"].value.endswith(".log")


def test_an_unknown_name_is_refused_with_the_near_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        identify({}, name="volcanoo", root=tmp_path)
    assert "did you mean volcano?" in str(caught.value)
    assert "rank-env" in caught.value.remedy


def test_an_interface_named_by_the_platform_becomes_the_default_the_newer_name_first(tmp_path: Path) -> None:
    both = {"DLS_IPOIB_DEVICE": "ib1", "MODELARTS_IPOIB_DEVICE": "ib2"}
    facts = identify(both, root=tmp_path)
    assert (facts.defaults["interface"].value, facts.defaults["interface"].source) == ("ib2", "MODELARTS_IPOIB_DEVICE")
    assert "interface" not in identify({}, root=tmp_path).defaults


@pytest.mark.parametrize(
    ("environ", "files", "slots"),
    [
        ({}, [], 0),
        ({"NPROC_PER_NODE": "4", "MA_NUM_GPUS": "8"}, [], 4),
        ({"NPROC_PER_NODE": "gpu", "MA_NUM_GPUS": "8"}, [], 8),
        ({"MA_NUM_GPUS": "0"}, [], 0),
        ({"CUDA_VISIBLE_DEVICES": "0,1,3"}, [], 3),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, [], 0),
        ({"CUDA_VISIBLE_DEVICES": "-1,0,1"}, [], 0),
        ({"CUDA_VISIBLE_DEVICES": "0, 2, -1, 1"}, [], 2),
        ({"ASCEND_RT_VISIBLE_DEVICES": "0,1"}, [], 2),
        ({}, ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"], 2),
        ({}, ["davinci0", "davinci1", "davinci2", "davinci_manager"], 3),
    ],
)
def test_slots_are_asked_for_or_counted(environ: dict[str, str], files: list[str], slots: int, tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for name in files:
        (tmp_path / "dev" / name).touch()
    assert identify(environ, root=tmp_path).cluster.slots == slots


def test_a_broken_environment_still_says_where_its_log_goes() -> None:
    environ = {
        "DLS_TASK_INDEX": "1",
        "DLS_TASK_NUMBER": "2",
        "DLS_USE_UPLOADER": "1",
        "DLS_UPLOAD_LOG_OBS_DIR": "/logs/here",
        "DLS_DLKS_JOB_ID": "j1",
    }
    with pytest.raises(PlatformIncomplete):
        identify(environ)
    facts = salvage(environ)
    assert facts.platform == "dls"
    assert facts.defaults["log"].value == "obs://logs/here/dls-log-j1/"
    assert facts.defaults["log_file"].value == "/tmp/dls-task-1.log"


@pytest.mark.parametrize("sign", [".dockerenv", "run/.containerenv"])
def test_docker_and_podman_leave_ten_seconds_and_a_kubelet_more(sign: str, tmp_path: Path) -> None:
    assert "grace" not in identify({}, root=tmp_path).defaults
    assert "grace" not in identify({"KUBERNETES_SERVICE_HOST": "h"}, root=tmp_path).defaults
    (tmp_path / sign).parent.mkdir(exist_ok=True)
    (tmp_path / sign).touch()
    assert identify({}, root=tmp_path).defaults["grace"].value == "10"
    assert "grace" not in identify({"KUBERNETES_SERVICE_HOST": "h"}, root=tmp_path).defaults


def test_a_log_file_lies_in_the_place_for_temporary_files_in_a_directory_of_each_run(tmp_path: Path) -> None:
    for environ, directory in (({}, "/tmp"), ({"TMPDIR": "/scratch"}, "/scratch")):
        log_file = identify(environ, root=tmp_path).defaults["log_file"]
        assert re.fullmatch(
            rf"{directory}/bootstrap-\d{{8}}T\d{{6}}-{os.getpid()}/bootstrap-task-0\.log", log_file.value
        )
        assert log_file.source == ("TMPDIR" if environ else "default")
