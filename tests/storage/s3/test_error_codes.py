"""What a store's answer means, and that who makes requests again learns it as values and not as codes."""

from __future__ import annotations

import pytest

from bootstrap.errors import BootstrapError
from bootstrap.job import Endpoint
from bootstrap.storage.s3.boto_client import BotoStore
from bootstrap.storage.s3.error_codes import may_pass
from bootstrap.storage.s3.keys import Keys
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Store
from tests.storage.conftest import credentials_of


@pytest.mark.parametrize(
    ("code", "status", "passes"),
    [
        ("SlowDown", 503, True),
        ("", 502, True),
        ("", 429, True),
        ("RequestTimeout", 400, True),
        ("BadDigest", 400, True),
        ("InternalError", 200, True),
        ("", 0, True),
        ("SomethingNew", 400, False),
        ("NoSuchUpload", 404, False),
        ("NotImplemented", 501, False),
    ],
)
def test_the_table_of_what_passes(code: str, status: int, passes: bool) -> None:
    assert may_pass(code, status) is passes


@pytest.mark.parametrize(
    ("status", "code", "temporary", "overload"),
    [(503, "SlowDown", True, True), (500, "InternalError", True, False), (400, "SomethingNew", False, False)],
)
def test_an_error_says_whether_it_may_pass_and_whether_it_is_about_too_many_requests(
    seaweedfs: Store, faulty: FaultyProxy, status: int, code: str, temporary: bool, overload: bool
) -> None:
    bucket = seaweedfs.make_bucket()
    faulty.inject(faulty_proxy.refused(status, code), method="GET", times=None)
    store = BotoStore(bucket.name, Endpoint(faulty.endpoint), Keys(lambda: credentials_of(seaweedfs)))
    with pytest.raises(BootstrapError) as caught:
        store.read("key")
    assert (caught.value.facts.get("temporary", False), caught.value.facts.get("overload", False)) == (
        temporary,
        overload,
    )
