"""Keys that end in the middle of an upload are replaced by newer ones, and nothing is lost or sent in vain."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from bootstrap.job import Endpoint
from bootstrap.storage.s3.bucket import BucketStore
from bootstrap.storage.upload.multipart import LARGE
from tests.lab.strict_proxy import Obs
from tests.storage.conftest import Mover, credentials_of, make_tree, stores_of

SMALL = {f"d/{number}": random.Random(number).randbytes(number) for number in range(100)}
PARTED = {"big": random.Random(1).randbytes(1 << 20) * (LARGE >> 20) + b"end", "small": b"s"}


@pytest.mark.parametrize("way", ["fast path", "boto3"])
@pytest.mark.parametrize(("files", "after"), [(SMALL, 40), (PARTED, 3)], ids=["small files", "parts"])
def test_a_token_that_ends_in_the_middle_of_an_upload_is_replaced(
    files: dict[str, bytes], after: int, way: str, obs: Obs, tmp_path: Path
) -> None:
    bucket = obs.make_bucket()
    issued = [obs.issue()]
    counter = itertools.count()
    real = obs._authenticate

    def authenticate(request: object) -> None:
        if next(counter) == after:
            issued.append(obs.issue())
            obs.end(issued[0])
        real(request)  # type: ignore[arg-type]

    obs._authenticate = authenticate  # type: ignore[method-assign]
    store = BucketStore(bucket.name, Endpoint(obs.store.endpoint, obs.store.region), lambda: credentials_of(issued[-1]))
    if way == "boto3":
        store.pipeline = None
    mover = Mover(stores_of(obs.store))
    mover.stores._opened["s3", bucket.name, "", "", "", ""] = store
    report = mover.deliver(make_tree(tmp_path, files), bucket.url("o/"))
    obs._authenticate = real  # type: ignore[method-assign]
    assert report.failed == ()
    assert len(issued) == 2
    assert bucket.tree("o/") == files
    assert "Uploads" not in bucket.client.list_multipart_uploads(Bucket=bucket.name)
