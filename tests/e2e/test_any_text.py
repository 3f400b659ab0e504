"""One name that is not UTF-8, anywhere, costs nobody a job."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bootstrap.ground.plain_text import plain, plain_document
from tests.e2e.job import Container

ODD = os.fsdecode(b"o\xffdd")


def told(container: Container) -> str:
    """Everything that is said in the end, which has to be UTF-8, and JSON where it is meant to be."""
    json.loads((container.tmp / "job.run/run.json").read_bytes().decode())
    lines = (container.tmp / "job.jsonl").read_bytes().decode()
    for line in lines.splitlines():
        json.loads(line)
    return lines


def test_an_argument(container: Container) -> None:
    result = container.run("--", "printf", "%s", ODD)
    assert (result.code, result.stdout) == (0, b"o\xffdd"), result.stderr
    assert r"o\\xffdd" in told(container) and r"o\xffdd" in result.stderr


def test_the_job_directory_and_an_output_in_it(container: Container, tmp_path: Path) -> None:
    words = ("--job-dir", str(container.work / ODD), "--output", f"{ODD}={tmp_path}/target")
    result = container.run(*words, "--", "sh", "-c", 'echo x >"$0/$0"', ODD)
    assert result.code == 0, result.stderr
    assert sorted(os.listdir(os.fsencode(tmp_path / "target"))) == [b".bootstrap", b"o\xffdd"]
    told(container)


def test_a_name_near_a_command_that_is_missing(container: Container) -> None:
    (container.work / f"train{ODD[1]}.py").touch()
    result = container.run("--", "python", "traim.py")
    assert result.failure == (127, "command-not-found")
    assert r"train\xff.py" in result.stderr


def test_a_variable_an_input_a_failure_and_its_log(container: Container) -> None:
    result = container.run("--input", f"{ODD}=/nowhere/{ODD}", "--", "true", environ={"FOO": ODD, ODD: "1"})
    assert result.failure == (111, "nothing-there")
    told(container)
    assert r"/nowhere/o\xffdd" in container.log.read_bytes().decode()


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"},
        {"LANG": "C", "LC_ALL": "POSIX"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=["ascii", "posix", "latin-1"],
)
def test_a_locale_without_unicode(container: Container, environ: dict[str, str]) -> None:
    result = container.run("--", "printf", "%s", "模型 ü", environ=environ)
    assert (result.code, result.stdout.decode()) == (0, "模型 ü"), result.stderr
    assert "printf %s '模型 ü'" in result.stderr and "模型 ü" in told(container)


def test_texts_are_plain() -> None:
    assert plain("模型") == "模型"
    assert plain(os.fsdecode("模型".encode()) + ODD) == r"模型o\xffdd"
    assert plain("模型".encode().decode("ascii", "surrogateescape")) == "模型", "what came in under LC_ALL=C"
    assert plain("\ud800").isascii()
    document = plain_document({ODD: [Path(ODD), ("x", None, 1.5, True)]})
    assert document == {r"o\xffdd": [r"o\xffdd", ["x", None, 1.5, True]]}
