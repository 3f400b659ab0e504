"""`bootstrap explain`: an id in words, in both languages."""

from __future__ import annotations

import json

from bootstrap.diagnosis.rules import CAUSES
from tests.commands.conftest import Run


def test_an_id_is_explained(bootstrap: Run) -> None:
    text = bootstrap("explain", "module-missing").stdout.decode()
    assert text.startswith("module-missing (environment)\n  a Python module could not be found\n  hint: ")
    assert "找不到 Python 模块" in bootstrap("explain", "module-missing", "--lang", "zh").stdout.decode()


def test_an_exit_code_of_ours_will_do(bootstrap: Run) -> None:
    text = bootstrap("explain", "116").stdout.decode()
    assert text.startswith("disk-full (resources, exit 116)\n")
    done = bootstrap("explain", "1")
    assert done.returncode == 101 and b"no cause has the id or exit code '1'" in done.stderr


def test_all_are_explained_for_programs(bootstrap: Run) -> None:
    found = json.loads(bootstrap("explain", "--format", "json").stdout)
    assert CAUSES.keys() <= {one["id"] for one in found}
    assert {one["exit_code"] for one in found if one["id"] == "disk-full"} == {None, 116}


def test_a_name_that_is_none_has_its_nearest_named(bootstrap: Run) -> None:
    done = bootstrap("explain", "disk-ful")
    assert done.returncode == 101 and b"did you mean disk-full?" in done.stderr
