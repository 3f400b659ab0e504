"""The code's requirements: where they are looked for, which index they come from, and how pip ends."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from bootstrap.errors import RequirementsFailed
from bootstrap.job import Job, PlatformFacts
from bootstrap.launchers.python.activate import places_of
from bootstrap.launchers.python.requirements import find, found_by, index, install
from tests.storage.conftest import MemoryLog


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_stands_in_its_place_is_neither_followed_nor_waited_for(kind: str, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "elsewhere").write_text("mine")
    if kind == "link":
        (scratch / "requirements.log").symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(scratch / "requirements.log")
    with pytest.raises(RequirementsFailed, match=r"cannot be kept .*requirements\.log.*(link|pipe)"):
        install(
            tmp_path / "requirements.txt",
            sys.executable,
            dict(os.environ),
            prefix=None,
            scratch=scratch,
            stop=threading.Event(),
            log=MemoryLog(),
        )
    assert (tmp_path / "elsewhere").read_text() == "mine"


THEIRS = {"MA_PIP_URL": " http://index/simple ", "MA_PIP_HOST": " index "}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        ({"MA_PIP_HOST": "index"}, {}),
        ({"MA_PIP_URL": " "}, {}),
        ({"MA_PIP_URL": "http://index/simple"}, {"PIP_INDEX_URL": "http://index/simple"}),
        (THEIRS, {"PIP_INDEX_URL": "http://index/simple", "PIP_TRUSTED_HOST": "index"}),
        ({**THEIRS, "PIP_INDEX_URL": "http://mine"}, {}),
        ({**THEIRS, "PIP_CONFIG_FILE": "/mine"}, {}),
    ],
)
def test_the_platforms_index_is_used_where_the_user_has_none(environ: dict[str, str], expected: dict[str, str]) -> None:
    assert index(environ) == expected


def test_what_the_job_has_stands_before_what_the_requirements_bring(tmp_path: Path) -> None:
    for version in ("3.9", "3.10"):
        (tmp_path / f"lib/python{version}/site-packages").mkdir(parents=True)
    found = found_by(tmp_path, {"PATH": "/usr/bin:/bin", "PYTHONPATH": "/job/b::/job/a"})
    assert found["PATH"] == f"/usr/bin:/bin:{tmp_path}/bin"
    both = [f"{tmp_path}/lib/python3.{minor}/site-packages" for minor in (10, 9)]
    assert found["PYTHONPATH"].split(":") == ["/job/b", "/job/a", *both]
    bare = found_by(tmp_path, {})
    assert bare["PYTHONPATH"].split(":") == both and bare["PATH"] == f"{os.defpath}:{tmp_path}/bin"


@pytest.mark.parametrize(
    ("command", "places"),
    [
        ("python train.py", ["work", "job/code", "work", "job"]),  # it is there
        ("python sub/train.py", ["work/sub", "job/code", "work", "job"]),
        ("sub/train.py", ["work/sub", "job/code", "work", "job"]),
        ("bash sub/run.sh", ["job/code", "work", "job"]),  # bash is somewhere on PATH
        ("python -m pkg.train", ["job/code", "work", "job"]),
        ("./run.sh", ["work", "job/code", "work", "job"]),
        ("run.sh", ["job/code", "work", "job"]),
    ],
)
def test_requirements_are_looked_for_beside_the_program_first(command: str, places: list[str], tmp_path: Path) -> None:
    work, job_dir = tmp_path / "work", tmp_path / "job"
    (work / "sub").mkdir(parents=True)
    (work / "train.py").write_text("")
    dirs = (str(job_dir), str(work), "", "")
    job = Job(PlatformFacts("local", ""), tuple(command.split()), *dirs, code="obs://b/code/")
    assert [str(place.relative_to(tmp_path)) for place in places_of(job)] == places
    assert places_of(Job(job.facts, job.command, *dirs))[-2:] == [work, job_dir]
    assert find(places_of(job)) is None
    (job_dir / "code").mkdir(parents=True)
    (job_dir / "code/requirements.txt").write_text("")
    (job_dir / "pip-requirements.txt").write_text("")
    assert find(places_of(job)) == job_dir / "code/requirements.txt", "the place before the name"
    (job_dir / "code/pip-requirement.txt").write_text("")
    assert find(places_of(job)) == job_dir / "code/pip-requirement.txt"


def test_a_stop_ends_pip_where_it_hangs_and_the_next_attempt_begins_again(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("labthing==1.0\n")
    prefix = tmp_path / "env"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").symlink_to(sys.executable)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=lambda: silent.accept() and stop.set(), daemon=True).start()
        environ = {**os.environ, "MA_PIP_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/", "PYTHONPATH": "/nowhere"}
        with pytest.raises(RequirementsFailed, match="asked to stop"):
            install(
                tmp_path / "requirements.txt",
                sys.executable,
                environ,
                prefix=prefix,
                scratch=tmp_path / "made/scratch",
                stop=stop,
                log=MemoryLog(),
            )
    assert list(prefix.glob(".bootstrap-requirements-*")) == []


def test_into_an_environment_they_go_once_and_the_command_needs_no_variables(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    prefix = tmp_path / "env"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin/python").symlink_to(sys.executable)
    began = time.monotonic()
    first, second = (
        install(
            tmp_path / "requirements.txt",
            sys.executable,
            dict(os.environ),
            prefix=prefix,
            scratch=tmp_path / "scratch",
            stop=threading.Event(),
            log=MemoryLog(),
        )
        for _ in range(2)
    )
    assert 0 < first.seconds < time.monotonic() - began
    assert (first.variables, second.variables, second.seconds) == ({}, {}, 0.0)
