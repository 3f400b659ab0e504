"""From what the platform says and what somebody chose to one job: who wins, where things lie, whose part is whose."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap.assemble import INSIDE, assemble, inner
from bootstrap.job import SINGLE_NODE, Cluster, Input, Job, Node, Output, PlatformFacts, Sourced
from bootstrap.settings import resolve

PLATFORMS_LOG = {"log_file": Sourced("/tmp/dls-task-2.log", "DLS_TASK_INDEX")}


def facts(rank: int = 0, nodes: int = 3, **more: Any) -> PlatformFacts:
    cluster = Cluster(tuple(Node(number, f"worker-{number}") for number in range(nodes)), rank)
    return PlatformFacts("dls", "", cluster=cluster, **more)


def job(known: PlatformFacts, variables: Mapping[str, str] | None = None, **options: Any) -> Job:
    return assemble(known, resolve(options, variables or {}, known.defaults), ("python", "train.py"))


def test_an_option_stands_before_a_variable_before_the_platform_in_every_place() -> None:
    named = {name: Sourced(f"/platform/{name}", "THEIRS") for name in ("code", "job_dir", "log", "log_file")}
    variables = {f"BOOTSTRAP_{name.upper()}": f"/variable/{name}" for name in named}
    options = {name: f"/option/{name}" for name in named}
    for given, chosen, sources in (
        (job(facts(defaults=named), variables, **options), "option", ("--code", "--log")),
        (job(facts(defaults=named), variables), "variable", ("BOOTSTRAP_CODE", "BOOTSTRAP_LOG")),
        (job(facts(defaults=named)), "platform", ("THEIRS", "THEIRS")),
    ):
        assert (given.code, given.job_dir) == (f"/{chosen}/code", f"/{chosen}/job_dir")
        assert (given.log, given.log_file) == (f"/{chosen}/log", f"/{chosen}/log_file")
        assert (given.code_source, given.log_source) == sources


def test_what_nobody_names_is_here_and_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = job(facts(rank=2))
    assert (plain.job_dir, plain.work_dir) == (str(tmp_path), str(tmp_path))
    assert (plain.log_file, plain.run_dir) == ("/tmp/bootstrap-task-2.log", "/tmp/bootstrap-task-2.run")
    assert (plain.code, plain.log, plain.output_dir, plain.inputs, plain.outputs) == ("", "", "", (), ())


def test_relative_places_are_below_the_one_that_stands_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = job(facts(), job_dir="job", work_dir="../work", log_file="own.log", output=["out=s3://bucket/out/"])
    assert (given.job_dir, given.work_dir) == (f"{tmp_path}/job", f"{tmp_path}/work")
    assert (given.log_file, given.run_dir) == (f"{tmp_path}/own.log", f"{tmp_path}/own.run")
    assert given.output_dir == f"{tmp_path}/work/out"
    far = job(facts(), job_dir="/job", work_dir="/work", output=["/out=s3://bucket/out/"])
    assert (far.work_dir, far.output_dir) == ("/work", "/out")


# --- which node's part -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rank", "own"), [(0, ""), (1, "/node-1"), (2, "/node-2")])
def test_a_run_dir_that_is_named_may_be_shared_and_each_node_has_its_part(rank: int, own: str) -> None:
    assert job(facts(rank), run_dir="/nas/run").run_dir == f"/nas/run{own}"


@pytest.mark.parametrize(("rank", "own"), [(0, ""), (1, "/node-1/"), (2, "/node-2/")])
@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_log_file_that_a_person_names_is_every_nodes_and_has_a_directory_of_each(
    rank: int, own: str, by: str
) -> None:
    options = {"log": "s3://bucket/logs"}
    known = facts(rank, defaults=PLATFORMS_LOG)
    if by == "option":
        given = job(known, log_file="/cache/train.log", **options)
    else:
        given = job(known, {"BOOTSTRAP_LOG_FILE": "/cache/train.log"}, **options)
    assert given.log == f"s3://bucket/logs{own}"


def test_the_platforms_own_name_tells_nodes_apart_whoever_says_it() -> None:
    known = facts(2, defaults=PLATFORMS_LOG)
    assert job(known, log="s3://bucket/logs/").log == "s3://bucket/logs/"
    assert job(known, log="s3://bucket/logs/", log_file="/cache/dls-task-2.log").log == "s3://bucket/logs/"
    assert job(known, log="s3://bucket/logs/", log_file="/cache/dls-task-0.log").log == "s3://bucket/logs/node-2/"
    assert job(facts(2), log="s3://bucket/logs/").log == "s3://bucket/logs/"  # our default has the rank in it
    assert job(facts(2), log="s3://bucket/logs/", log_file="/x.log").log == "s3://bucket/logs/node-2/"
    assert job(known, log_file="/cache/train.log").log == ""


def test_one_that_stands_apart_has_a_place_of_its_own_under_any_name() -> None:
    alone = replace(facts(0, 1, defaults=PLATFORMS_LOG), apart="task-0/node-1/")
    assert job(alone, log="s3://bucket/logs/").log == "s3://bucket/logs/task-0/node-1/"
    assert job(alone, log="s3://bucket/logs/", log_file="/x.log").log == "s3://bucket/logs/task-0/node-1/"
    assert job(alone, run_dir="/nas/run").run_dir == "/nas/run/task-0/node-1"


# --- inputs and outputs ----------------------------------------------------------------------------------------------


def test_an_input_that_is_asked_for_takes_the_place_of_the_platforms_of_that_name() -> None:
    known = facts(
        inputs=(Input("data", "s3://bucket/theirs/", "/d", "MA_INPUTS"), Input("more", "s3://b/m/", "/m", "MA_INPUTS"))
    )
    found = job(known, input=["data=s3://bucket/ours/", "extra=s3://bucket/extra/"]).inputs
    assert [(item.name, item.url, item.directory, item.source) for item in found] == [
        ("data", "s3://bucket/ours/", "data", "--input"),
        ("extra", "s3://bucket/extra/", "extra", "--input"),
        ("more", "s3://b/m/", "/m", "MA_INPUTS"),
    ]


def test_the_first_output_that_is_asked_for_is_the_one_the_command_is_told() -> None:
    known = facts(outputs=(Output("theirs", "s3://bucket/theirs/", "MA_OUTPUTS", "model", True),))
    given = job(known, job_dir="/job", output=["out=s3://bucket/out/", "/far=s3://bucket/far/"])
    assert given.output_dir == "/job/out"
    assert [(one.directory, one.source, one.name, one.by_platform) for one in given.outputs] == [
        ("/job/out", "--output", "", False),
        ("/far", "--output", "", False),
        ("/job/theirs", "MA_OUTPUTS", "model", True),
    ]
    assert job(known, job_dir="/job").output_dir == "/job/theirs"


@pytest.mark.parametrize(
    ("theirs", "wanted", "by_platform"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_what_the_platform_syncs_is_its_own_unless_it_is_asked_of_us(
    theirs: bool, wanted: bool, by_platform: bool
) -> None:
    known = facts(outputs=(Output("/o", "s3://bucket/o/", "MA_OUTPUTS", "o", theirs),))
    given = job(known, platform_outputs=wanted)
    assert given.outputs[0].by_platform is by_platform
    assert given.delivered_outputs == (() if by_platform else given.outputs)


def test_an_output_of_a_url_alone_lies_on_the_cache_disk_or_beside_the_job(tmp_path: Path) -> None:
    known = facts(outputs=(Output("", "s3://bucket/train/", "DLS_TRAIN_URL", "train_url"),))
    assert job(replace(known, scratch=str(tmp_path)), job_dir="/home/job").output_dir == f"{tmp_path}/outputs"
    assert job(replace(known, scratch=f"{tmp_path}/gone"), job_dir="/home/job").output_dir == "/home/outputs"
    assert job(known, job_dir="/home/job").output_dir == "/home/outputs"
    assert job(known, job_dir="/home/job", work_dir="/cache/work").output_dir == "/cache/outputs"


# --- a bootstrap in a bootstrap --------------------------------------------------------------------------------------


def test_one_inside_another_leaves_the_platforms_work_to_it_and_does_what_it_is_asked() -> None:
    named = {
        name: Sourced(f"/platform/{name}", "THEIRS") for name in ("code", "job_dir", "log", "log_file", "interface")
    }
    known = facts(
        1,
        defaults=named,
        inputs=(Input("data", "s3://bucket/d/", "/d", "MA_INPUTS"),),
        outputs=(Output("/o", "s3://bucket/o/", "MA_OUTPUTS"),),
        remove=("RANK",),
        warnings=("kept",),
    )
    within = inner(known, "/outer.run")
    assert within.cluster == known.cluster and within.cluster != SINGLE_NODE
    assert (within.remove, within.warnings, len(within.notes)) == ((), ("kept",), 1)
    assert {name: value.value for name, value in within.defaults.items()} == {
        "job_dir": "/platform/job_dir",
        "interface": "/platform/interface",
        "log_file": f"/outer.run/inner-{os.getpid()}.log",
    }
    assert within.defaults["log_file"].source == INSIDE
    nothing = job(within)
    assert (nothing.code, nothing.log, nothing.inputs, nothing.outputs) == ("", "", (), ())
    asked = job(within, code="/code/", input=["data=/data/"], output=["out=/results/"], log="/logs/")
    assert (asked.code, asked.log, len(asked.inputs), len(asked.outputs)) == ("/code/", "/logs/", 1, 1)
