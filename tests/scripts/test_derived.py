"""Boot scripts that people derived from the old one run unchanged, against a real store, and do what they did."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.stores import Bucket, Store
from tests.scripts.conftest import Image, text

# In the manner of the derived scripts in public repositories: code by the old functions, the command through the
# logger, then a cache directory to the output URL, then the log, then its own code from all three.
DERIVED = r"""#!/bin/bash
DLS_USER_HOME_DIR="$(cd "$(dirname "$0")"; pwd -P)"
cd "$DLS_USER_HOME_DIR"
DLS_USER_JOB_DIR="$DLS_USER_HOME_DIR/user-job-dir"
export PYTHONPATH="$DLS_USER_JOB_DIR:$PYTHONPATH"
source utils.sh
dls_fix_dns
unset_job_env_except_self "$DLS_JOB_ID"
decrypt_dls_aes_env

log="$LOGS/dls-task-$DLS_TASK_INDEX.log"
mkdir -p "$DLS_USER_JOB_DIR" && cd "$DLS_USER_JOB_DIR"
dls_create_log "$log"
tail -F "$log" 2>/dev/null &
TAIL_PID=$!
trap 'kill $TAIL_PID' EXIT

dls_get_app "$DLS_APP_URL" 2>&1 | tee "$LOGS/downloader.log"
if [ "${PIPESTATUS[0]}" = "0" ]
then
    stdbuf -oL -eL "$@" 2>&1 | dls_logger "$log"
    RET_CODE=${PIPESTATUS[0]}
else
    (echo "App download error: "; cat "$LOGS/downloader.log") | dls_logger "$log"
    RET_CODE=127
fi
dls_upload_train "$CACHE" "$DLS_TRAIN_URL" 2>&1
echo "upload result: ${PIPESTATUS[0]}"
if [ ! -z "$DLS_USE_UPLOADER" ] && [ "$DLS_USE_UPLOADER" != "0" ]
then
    dls_upload_log "$log" "$DLS_UPLOAD_LOG_OBS_DIR" 2>&1 | tee -a "$LOGS/downloader.log"
    [ "${PIPESTATUS[0]}" = 0 ] || (echo "Log upload error: "; cat "$LOGS/downloader.log") | dls_logger "$log" "append"
fi
exit $RET_CODE
"""

TRAIN = """
import os, pathlib, sys
import helper
print("training with", helper.NAME, os.environ["SECRET"], sys.argv[1:])
pathlib.Path(os.environ["CACHE"], "model.bin").write_bytes(bytes(range(256)))
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
        "LOGS": str(tmp_path / "logs"),
        "CACHE": str(tmp_path / "cache"),
    }
    bucket.put_tree("proj/app/", {"train.py": TRAIN, "helper.py": "NAME = 'helper'\n"})
    return image


def test_a_derived_script_fetches_trains_and_delivers(derived: Image, bucket: Bucket) -> None:
    script = derived.home / "my_train.sh"
    script.write_text(DERIVED)
    done = derived.run("bash", script, "python", "app/train.py", "3", "a b", cwd=Path(os.sep))
    assert done.returncode == 3, text(done)
    assert b"upload result: 0" in done.stdout
    delivered = bucket.tree("proj/")
    assert delivered["out/model.bin"] == bytes(range(256))
    assert delivered["logs/dls-log-dlks-1/dls-task-0.log"] == b"training with helper it's secret ['3', 'a b']\n"


def test_a_derived_script_whose_code_is_missing_ends_with_its_own_127_and_tells_why_in_its_log(
    derived: Image, bucket: Bucket
) -> None:
    script = derived.home / "my_train.sh"
    script.write_text(DERIVED)
    done = derived.run("bash", script, "python", "app/train.py", env={"DLS_APP_URL": bucket.url("proj/ap/")})
    assert done.returncode == 127, text(done)
    log = bucket.get("proj/logs/dls-log-dlks-1/dls-task-0.log").decode()
    assert log.startswith("App download error: \n")
    assert "proj/app" in log  # the nearest that exists
    assert "success" not in log
