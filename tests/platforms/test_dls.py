"""ModelArts v1: every shape of its environment, and every way in which it can contradict itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError, ClusterMismatch, DeclarationUnreadable, PlatformIncomplete
from bootstrap.job import Input, Output, PlatformFacts
from bootstrap.platforms import identify

SINGLE = {
    "HOME": "/home/work",
    "HOSTNAME": "jobab12cd34-0",
    "DLS_TASK_INDEX": "0",
    "DLS_TASK_NUMBER": "1",
    "DLS_JOB_ID": "job-ab12cd34",
    "DLS_DLKS_JOB_ID": "dlks77",
    "DLS_APP_URL": "s3://bkt/project/code/",
    "DLS_TRAIN_URL": "s3://bkt/project/out/",
    "DLS_UPLOAD_LOG_OBS_DIR": "s3://bkt/project/log/",
    "DLS_USE_DOWNLOADER": "1",
    "DLS_USE_UPLOADER": "1",
    "BATCH_jobab12cd34.0_HOSTS": "jobab12cd34-0:6666",
}


def nodes_of(count: int, index: int, **more: str) -> dict[str, str]:
    hosts = {f"BATCH_CUSTOM{i}_HOSTS": f"job-custom{i}-0:{6000 + i}" for i in range(count)}
    return {"DLS_TASK_NUMBER": str(count), "DLS_TASK_INDEX": str(index), "DLS_JOB_ID": "j", **hosts, **more}


@pytest.fixture
def read(tmp_path: Path):
    return lambda environ: identify(environ, name="dls", root=tmp_path)


def test_a_single_node_reads_the_variable_with_a_dot_in_its_name(read) -> None:
    cluster = read(SINGLE).cluster
    assert (cluster.size, cluster.me.host, cluster.me.port) == (1, "jobab12cd34-0", 6666)
    assert cluster.source == "BATCH_jobab12cd34.0_HOSTS"


def test_the_defaults_are_where_the_old_script_put_things(read) -> None:
    facts: PlatformFacts = read(SINGLE)
    values = {name: sourced.value for name, sourced in facts.defaults.items()}
    assert values == {
        "code": "s3://bkt/project/code/",
        "log": "s3://bkt/project/log/dls-log-dlks77/",
        "log_file": "/tmp/dls-task-0.log",
        "job_dir": "/home/work/user-job-dir",
    }
    assert facts.defaults["code"].source == "DLS_APP_URL"
    assert facts.outputs == (Output("", "s3://bkt/project/out/", "DLS_TRAIN_URL", name="train_url"),)
    assert facts.job_id == "job-ab12cd34"


def test_the_home_that_the_platform_names_beats_home(read) -> None:
    facts = read({**SINGLE, "DLS_USER_HOME_DIR": "/home/ma-user/"})
    assert facts.defaults["job_dir"].value == "/home/ma-user/user-job-dir"


def test_a_log_folder_without_an_id_keeps_its_old_name(read) -> None:
    assert read({**SINGLE, "DLS_DLKS_JOB_ID": ""}).defaults["log"].value.endswith("/dls-log-unknown-id/")


@pytest.mark.parametrize("off", ["", "0"])
def test_the_uploader_switched_off_gives_no_log_url(read, off: str) -> None:
    assert "log" not in read({**SINGLE, "DLS_USE_UPLOADER": off}).defaults


def test_an_uploader_without_a_target_is_a_warning(read) -> None:
    facts = read({**SINGLE, "DLS_UPLOAD_LOG_OBS_DIR": ""})
    assert "log" not in facts.defaults
    assert "DLS_UPLOAD_LOG_OBS_DIR" in facts.warnings[0]


def test_the_downloader_switched_off_means_a_local_path(read) -> None:
    facts = read({**SINGLE, "DLS_APP_URL": "/mnt/nas/code", "DLS_USE_DOWNLOADER": "0"})
    assert facts.defaults["code"].value == "/mnt/nas/code"
    assert any("DLS_USE_DOWNLOADER is off" in note for note in facts.notes)


def test_an_empty_code_url_is_fine(read) -> None:
    assert "code" not in read({**SINGLE, "DLS_APP_URL": ""}).defaults


def test_hosts_are_in_the_order_of_their_numbers_not_of_the_alphabet(read) -> None:
    cluster = read(nodes_of(12, 11)).cluster
    assert [node.host for node in cluster.nodes] == [f"job-custom{i}-0" for i in range(12)]
    assert (cluster.me.rank, cluster.me.port, cluster.master.port) == (11, 6011, 6000)
    assert cluster.source == "BATCH_CUSTOM0_HOSTS to BATCH_CUSTOM11_HOSTS"


def test_ipv6_hosts_keep_both_halves(read) -> None:
    environ = nodes_of(2, 0, BATCH_CUSTOM0_HOSTS="[fd00::1]:6000", BATCH_CUSTOM1_HOSTS="fd00::2")
    assert [(node.host, node.port) for node in read(environ).cluster.nodes] == [("fd00::1", 6000), ("fd00::2", None)]


def test_preset_engines_list_their_workers_with_commas(read) -> None:
    environ = {"DLS_TASK_NUMBER": "2", "DLS_TASK_INDEX": "1", "BATCH_WORKER_HOSTS": "h0:2222,h1:2223,"}
    assert [(node.host, node.port) for node in read(environ).cluster.nodes] == [("h0", 2222), ("h1", 2223)]


def test_parameter_servers_come_first_in_the_global_order(read) -> None:
    environ = {
        "DLS_TASK_NUMBER": "2",
        "DLS_TASK_INDEX": "1",
        "BATCH_WORKER_HOSTS": "h0:2222,h1:2222",
        "BATCH_SERVER_HOSTS": "h0:3333",
        "BATCH_TASKGROUP_NAME": "worker",
    }
    facts = read(environ)
    roles = [(node.role, node.host, node.port) for node in facts.cluster.nodes]
    assert roles == [("ps", "h0", 3333), ("worker", "h0", 2222), ("worker", "h1", 2222)]
    assert facts.cluster.node_rank == 2
    assert "share one machine" in facts.warnings[0]
    server = read({**environ, "BATCH_TASKGROUP_NAME": "server", "DLS_TASK_INDEX": "0"})
    assert server.cluster.node_rank == 0


@pytest.mark.parametrize(("servers", "workers", "index", "rank"), [(2, 2, 1, 3), (3, 1, 0, 3), (1, 3, 2, 3)])
def test_a_role_behind_one_of_several_hosts_counts_all_of_them(
    read, servers: int, workers: int, index: int, rank: int
) -> None:
    environ = {
        "DLS_TASK_INDEX": str(index),
        "BATCH_WORKER_HOSTS": ",".join(f"w{number}:2222" for number in range(workers)),
        "BATCH_SERVER_HOSTS": ",".join(f"s{number}:2222" for number in range(servers)),
        "BATCH_TASKGROUP_NAME": "worker",
    }
    cluster = read(environ).cluster
    assert (cluster.node_rank, cluster.me.host) == (rank, f"w{index}")


@pytest.mark.parametrize("index", ["1", "2"], ids=["within its role", "of all nodes"])
def test_with_roles_the_platforms_own_host_says_what_the_index_counts(read, index: str) -> None:
    environ = {
        "DLS_TASK_NUMBER": "3",
        "DLS_TASK_INDEX": index,
        "BATCH_WORKER_HOSTS": "h0:2222,h1:2222",
        "BATCH_SERVER_HOSTS": "h0:3333",
        "BATCH_TASKGROUP_NAME": "worker",
        "BATCH_CURRENT_HOST": "h1:2222",
    }
    assert read(environ).cluster.node_rank == 2


def test_the_platforms_own_host_finds_the_rank_when_there_is_no_index(read) -> None:
    environ = nodes_of(11, 0, BATCH_CURRENT_HOST="job-custom10-0:6010")
    del environ["DLS_TASK_INDEX"]
    assert read(environ).cluster.node_rank == 10


def test_a_container_name_finds_the_rank_by_whole_labels(read) -> None:
    environ = nodes_of(12, 0, HOSTNAME="job-custom1-0")
    del environ["DLS_TASK_INDEX"]
    assert read(environ).cluster.node_rank == 1


def test_a_container_with_another_name_is_a_warning_only(read) -> None:
    facts = read(nodes_of(2, 1, HOSTNAME="gpu-machine-7"))
    assert facts.cluster.node_rank == 1
    assert "gpu-machine-7" in facts.warnings[0]
    assert read(nodes_of(2, 1, HOSTNAME="job-custom1-0")).warnings == ()


def without(environ: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}


@pytest.mark.parametrize(
    ("environ", "error", "named"),
    [
        ({"DLS_TASK_NUMBER": "2", "DLS_TASK_INDEX": "0"}, PlatformIncomplete, "DLS_TASK_NUMBER=2"),
        ({"DLS_TASK_INDEX": "3"}, PlatformIncomplete, "DLS_TASK_INDEX=3"),
        (without(nodes_of(2, 0), "DLS_TASK_INDEX"), PlatformIncomplete, "nothing says which of 2"),
        (nodes_of(2, 0, DLS_TASK_INDEX="one"), PlatformIncomplete, "'one'"),
        (nodes_of(2, 0, DLS_TASK_INDEX="-1"), PlatformIncomplete, "'-1'"),
        (nodes_of(2, 0, DLS_TASK_NUMBER="２"), PlatformIncomplete, "DLS_TASK_NUMBER"),
        (nodes_of(2, 2), ClusterMismatch, "DLS_TASK_INDEX=2"),
        (nodes_of(3, 0, DLS_TASK_NUMBER="2"), ClusterMismatch, "DLS_TASK_NUMBER says 2 nodes, but the host list has 3"),
        (nodes_of(1, 0, DLS_TASK_NUMBER="2"), ClusterMismatch, "says 2 nodes, but the host list has 1 node ("),
        (without(nodes_of(3, 0), "BATCH_CUSTOM1_HOSTS"), PlatformIncomplete, "BATCH_CUSTOM1_HOSTS"),
        (nodes_of(2, 0, BATCH_CUSTOM1_HOSTS="job-custom0-0:6000"), ClusterMismatch, "job-custom0-0:6000"),
        (nodes_of(2, 0, BATCH_CUSTOM1_HOSTS="h1:port"), PlatformIncomplete, "h1:port"),
        (nodes_of(2, 0, BATCH_CUSTOM1_HOSTS=":6000"), PlatformIncomplete, "BATCH_CUSTOM1_HOSTS"),
        (nodes_of(2, 0, BATCH_CUSTOM1_HOSTS="[fd00::1:6000"), PlatformIncomplete, "brackets"),
        (nodes_of(2, 0, BATCH_CURRENT_HOST="job-custom9-0:6000"), ClusterMismatch, "BATCH_CURRENT_HOST"),
        (nodes_of(2, 0, BATCH_CURRENT_HOST="job-custom1-0:6001"), ClusterMismatch, "DLS_TASK_INDEX=0"),
    ],
)
def test_what_contradicts_itself_is_named(
    read, environ: dict[str, str], error: type[BootstrapError], named: str
) -> None:
    with pytest.raises(error) as caught:
        read(environ)
    assert named in str(caught.value)


# --- strangers ----------------------------------------------------------------------------------------------------

STRANGERS = {
    "JOB9Z8_20190101_WORKER_0_SERVICE_HOST": "10.0.0.9",
    "JOBAB1_20190202_WORKER_0_SERVICE_HOST": "10.0.0.1",
    "KUBERNETES_SERVICE_HOST": "10.247.0.1",
    "JOB_NAME": "mine",
    "MY_12345678_X": "mine",
}


def test_strangers_job_variables_are_removed_and_our_own_kept(read) -> None:
    facts = read({**SINGLE, **STRANGERS, "DLS_JOB_ID": "jobab1-20190202"})
    assert facts.remove == ("JOB9Z8_20190101_WORKER_0_SERVICE_HOST", "KUBERNETES_SERVICE_HOST")


def test_without_a_job_id_no_job_variable_is_called_a_strangers(read) -> None:
    assert read({**SINGLE, **STRANGERS, "DLS_JOB_ID": ""}).remove == ("KUBERNETES_SERVICE_HOST",)


def test_kubernetes_variables_stay_where_kubectl_is_the_way_to_the_other_nodes(tmp_path: Path) -> None:
    account = tmp_path / "var/run/secrets/kubernetes.io/serviceaccount"
    account.mkdir(parents=True)
    environ = {**nodes_of(2, 0), **STRANGERS, "DLS_JOB_ID": "other"}
    assert "KUBERNETES_SERVICE_HOST" in identify(environ, root=tmp_path).remove
    (account / "token").write_text("t")
    facts = identify(environ, root=tmp_path)
    assert "KUBERNETES_SERVICE_HOST" not in facts.remove
    assert any("kubectl" in note for note in facts.notes)
    assert "KUBERNETES_SERVICE_HOST" in identify({**SINGLE, **STRANGERS}, root=tmp_path).remove


# --- name resolution over TCP ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "added"),
    [
        ({"DLS_USE_DNS_TCP": "1"}, {"RES_OPTIONS": "use-vc"}),
        ({"DLS_USE_DNS_TCP": "1", "RES_OPTIONS": "ndots:2"}, {"RES_OPTIONS": "ndots:2 use-vc"}),
        ({"DLS_USE_DNS_TCP": "1", "RES_OPTIONS": "use-vc"}, {}),
        ({"DLS_USE_DNS_TCP": "0"}, {}),
        ({}, {}),
    ],
)
def test_names_are_asked_for_over_tcp_when_the_platform_says_so(read, environ, added) -> None:
    assert read({**SINGLE, **environ}).environ == added


# --- declared inputs ---------------------------------------------------------------------------------------------


def test_declared_inputs_land_below_the_home_of_the_user(read) -> None:
    declared = {
        "inputs": [
            {
                "name": "demo",
                "description": "x",
                "parameter": {"label": "code_dir", "value": "my-sub-dir"},
                "data_source": {"obs": {"obs_url": "s3://bkt/some/dir/"}},
            },
            {
                "name": "ds",
                "parameter": {"label": "data_dir", "value": "d2"},
                "data_source": {"dataset": {"dataset_id": "i1", "obs_url": "s3://bkt/x.manifest"}},
            },
        ]
    }
    facts = read({**SINGLE, "MA_INPUTS": json.dumps(declared)})
    assert facts.inputs == (
        Input("demo", "s3://bkt/some/dir/", "/home/work/modelarts/inputs/my-sub-dir", "MA_INPUTS inputs[0]"),
        Input("ds", "s3://bkt/x.manifest", "/home/work/modelarts/inputs/d2", "MA_INPUTS inputs[1]"),
    )
    assert "manifest" in facts.warnings[0]


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('{"inputs": [', "line 1, column 13", '{"inputs": ['),
        ("[]", "MA_INPUTS", "an object"),
        ('{"inputs": {}, "x": 1}', "", ""),
        ('{"inputs": "x"}', "MA_INPUTS inputs", "a list"),
        ('{"inputs": [7]}', "MA_INPUTS inputs[0]", "found 7"),
        ('{"inputs": [{"name": "a"}]}', "MA_INPUTS inputs[0].parameter", "found null"),
        ('{"inputs": [{"parameter": {"value": "../etc"}}]}', "inputs[0].parameter.value", "../etc"),
        ('{"inputs": [{"parameter": {"value": "/etc"}}]}', "inputs[0].parameter.value", "/etc"),
        ('{"inputs": [{"parameter": {"value": "d"}, "data_source": {"ftp": {}}}]}', "data_source", "one of obs"),
        (
            '{"inputs": [{"parameter": {"value": "d"}, "data_source": {"obs": {"obs_url": ""}}}]}',
            "inputs[0].data_source.obs.obs_url",
            "not empty",
        ),
        ("[" * 100_000, "MA_INPUTS", ""),
    ],
)
def test_an_unreadable_declaration_names_the_place_and_shows_an_excerpt(read, text: str, where: str, why: str) -> None:
    environ = {**SINGLE, "MA_INPUTS": text}
    if not where:  # an empty list, in whatever form, declares nothing
        assert read(environ).inputs == ()
        return
    with pytest.raises(DeclarationUnreadable) as caught:
        read(environ)
    assert where in caught.value.where
    assert why in caught.value.why


def test_a_missing_node_is_named_beside_the_last_that_is_there(read) -> None:
    hosts = {f"BATCH_CUSTOM{position}_HOSTS": f"host-{position}:1" for position in (0, 2, 3, 5)}
    with pytest.raises(PlatformIncomplete) as caught:
        read({"DLS_TASK_NUMBER": "6", "DLS_TASK_INDEX": "0", **hosts})
    assert caught.value.where == "BATCH_CUSTOM1_HOSTS, BATCH_CUSTOM4_HOSTS"
    assert caught.value.why == "BATCH_CUSTOM5_HOSTS is set"
    with pytest.raises(PlatformIncomplete) as caught:
        read({"DLS_TASK_NUMBER": "9", "DLS_TASK_INDEX": "0", "BATCH_CUSTOM6_HOSTS": "host-6:1"})
    assert caught.value.where == ", ".join(f"BATCH_CUSTOM{position}_HOSTS" for position in range(5)), "five at most"


@pytest.mark.parametrize(
    ("count", "told"),
    [(3, "DLS_JOB_ID, DLS_APP_URL, DLS_DATA_URL"), (5, "DLS_JOB_ID, DLS_APP_URL, DLS_DATA_URL and 2 more")],
)
def test_three_signs_of_it_are_named_and_the_rest_counted(count: int, told: str, tmp_path: Path) -> None:
    signs = ("DLS_JOB_ID", "DLS_APP_URL", "DLS_DATA_URL", "DLS_TRAIN_URL", "DLS_UPLOAD_LOG_OBS_DIR")[:count]
    found = identify({name: "/bucket/x/" for name in signs}, root=tmp_path).reason
    assert found.endswith(f": {told}")
