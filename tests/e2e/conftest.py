"""What the end-to-end tests share: a container's stand-in, and each kind of store for a child process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import lab_or_skip
from tests.e2e.job import Container
from tests.lab.names import with_hosts
from tests.lab.sharing import shared
from tests.lab.stores import Bucket

NO_BUCKET = "no-such-bucket-here"
TRAIN = """\
import json, os, sys
print("training with", json.dumps(sys.argv[1:]), flush=True)
print("to stderr", file=sys.stderr)
out = os.environ.get("BOOTSTRAP_OUTPUT_DIR")
if out:
    os.makedirs(os.path.join(out, "deep"), exist_ok=True)
    open(os.path.join(out, "model.bin"), "wb").write(bytes(range(256)) * 100)
    open(os.path.join(out, "deep", "metrics.json"), "w").write('{"loss": 0.1}')
"""


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "container")


@dataclass
class Remote:
    """A bucket and the variables with which a job reaches it."""

    bucket: Bucket
    env: Mapping[str, str]


@pytest.fixture(params=["seaweedfs", "rclone", "obs"])
def remote(request: pytest.FixtureRequest, container: Container, tmp_path: Path) -> Remote:
    """A fresh bucket in each real store, and in one that refuses what Huawei's OBS refuses."""
    store = request.getfixturevalue(request.param)
    bucket = store.make_bucket()
    if request.param == "obs":
        # The real domain has every name below it, as a hosts file cannot.
        container.front = with_hosts(tmp_path / "hosts", [*store.names(), f"{NO_BUCKET}.{store.domain}"])
    return Remote(bucket, store.env())


@pytest.fixture
def plain_remote(seaweedfs: object) -> Remote:
    """One store, where the kind of store is not the point."""
    return Remote(seaweedfs.make_bucket(), seaweedfs.env())  # type: ignore[attr-defined]


@pytest.fixture
def moto(lab_directory: Path) -> Iterator[Remote]:
    """A fake store, because it lists hostile keys that every real one refuses to keep."""
    with lab_or_skip(), shared("moto", lab_directory) as store:
        yield Remote(store.make_bucket(), store.env())
