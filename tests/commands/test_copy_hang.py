"""A copy ends when it is told to, whatever the store does."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from tests.lab.faulty_proxy import FaultyProxy, unanswered
from tests.lab.processes import end
from tests.lab.stores import Store
from tests.lab.waiting import until

BOOTSTRAP = str(Path(sys.executable).with_name("bootstrap"))


def test_a_store_that_never_answers_does_not_hold_up_a_stop(
    tmp_path: Path, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    release = threading.Event()
    faulty.inject(unanswered(release), times=None)
    environ = {**seaweedfs.env(), "S3_ENDPOINT": faulty.endpoint, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    copy = subprocess.Popen([BOOTSTRAP, "copy", "-r", "obs://some-bucket/x/", str(tmp_path / "x")], env=environ)
    try:
        until(lambda: faulty.seen)
        copy.terminate()
        assert copy.wait(20) == 143
    finally:
        end(copy)
        release.set()
