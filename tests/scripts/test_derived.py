"""A boot script in the manner of those that people derived from the old one runs against a real store as it did."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lab.stores import Bucket, Store
from tests.scripts.conftest import Image, text

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "derived_boot.sh"

TRAIN = """
import os, pathlib, sys
import helper
print("training with", helper.NAME, os.environ["SECRET"], sys.argv[1:])
pathlib.Path(os.environ["DLS_LOCAL_CACHE_PATH"], "model.bin").write_bytes(bytes(range(256)))
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def derived(image: Image, tmp_path: Path, bucket: Bucket, store: Store) -> Image:
    for name in ("logs", "cache", "keys"):
        (tmp_path / name).mkdir()
    image.program("dls-decryptor", '#!/bin/sh\ncat "$1/$2"\n')
    (tmp_path / "keys" / "cipher").write_text("it's secret\n")
    image.environ |= {
        **store.env(),
        "DLS_JOB_ID": "joba1b-20190101",
        "DLS_DLKS_JOB_ID": "dlks-1",
        "DLS_TASK_INDEX": "0",
        "DLS_TASK_NUMBER": "1",
        "DLS_APP_URL": bucket.url("proj/app/"),
        "DLS_TRAIN_URL": bucket.url("proj/out"),
        "DLS_UPLOAD_LOG_OBS_DIR": bucket.url("proj/logs/", scheme="obs"),
        "DLS_USE_DOWNLOADER": "1",
        "DLS_USE_UPLOADER": "1",
        "DLS_AES__SECRET": "cipher",
        "DLS_DECRYPTOR_KEY_FILE": str(tmp_path / "keys"),
        "LOG_DIR": str(tmp_path / "logs"),
        "DLS_LOCAL_CACHE_PATH": str(tmp_path / "cache"),
    }
    shutil.copy(EXAMPLE, image.home)
    bucket.put_tree("proj/app/", {"train.py": TRAIN, "helper.py": "NAME = 'helper'\n"})
    return image


def test_a_derived_script_fetches_trains_and_delivers(derived: Image, bucket: Bucket) -> None:
    done = derived.run("bash", derived.home / EXAMPLE.name, "python", "app/train.py", "3", "a b", cwd=Path(os.sep))
    assert done.returncode == 3, text(done)
    assert b"upload result: 0" in done.stdout
    delivered = bucket.tree("proj/")
    assert delivered["out/model.bin"] == bytes(range(256))
    assert delivered["logs/dls-log-dlks-1/dls-task-0.log"] == b"training with helper it's secret ['3', 'a b']\n"


def test_a_derived_script_whose_code_is_missing_ends_with_its_own_127_and_tells_why_in_its_log(
    derived: Image, bucket: Bucket
) -> None:
    done = derived.run(
        "bash", derived.home / EXAMPLE.name, "python", "app/train.py", env={"DLS_APP_URL": bucket.url("proj/ap/")}
    )
    assert done.returncode == 127, text(done)
    log = bucket.get("proj/logs/dls-log-dlks-1/dls-task-0.log").decode()
    assert log.startswith("App download error: \n")
    assert "proj/app" in log  # the nearest that exists
    assert "success" not in log
