"""What a store's answer means, and that who makes requests again learns it as values and not as codes."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from bootstrap.errors import BootstrapError, BucketMissing, RequestRefused, StoreUnavailable
from bootstrap.job import Endpoint
from bootstrap.storage.s3.boto_client import BotoStore
from bootstrap.storage.s3.error_codes import cause_of, is_expiry, may_pass, skew
from bootstrap.storage.s3.keys import Keys
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Store
from tests.storage.conftest import credentials_of


@pytest.mark.parametrize(
    ("code", "status", "passes"),
    [
        ("SlowDown", 503, True),
        ("", 500, True),
        ("", 502, True),
        ("", 429, True),
        ("", 408, True),
        ("", 499, False),
        ("", 400, False),
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
    ("code", "status", "expected"),
    [
        ("SomethingNew", 400, RequestRefused),
        ("SomethingNew", 499, RequestRefused),
        ("SomethingNew", 500, StoreUnavailable),
        ("SomethingNew", 501, StoreUnavailable),
        ("SomethingNew", 399, StoreUnavailable),
        ("SlowDown", 400, StoreUnavailable),
        ("", 429, StoreUnavailable),
    ],
)
def test_what_nobody_knows_is_refused_where_the_request_is_to_blame(
    code: str, status: int, expected: type[BootstrapError]
) -> None:
    assert cause_of(code, status)[0] is expected


def test_the_stores_own_code_wins_over_the_status() -> None:
    assert cause_of("NoSuchBucket", 403)[0] is cause_of("NoSuchBucket", 404)[0] is BucketMissing
    assert is_expiry("ExpiredToken") and is_expiry("InvalidAccessKeyId")
    assert not is_expiry("AccessDenied") and not is_expiry("SomethingNew")


@pytest.mark.parametrize(
    ("seconds", "words"), [(3600, "3600 s behind"), (-3600, "3600 s ahead of")], ids=["behind", "ahead"]
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai"])
def test_a_clock_that_is_off_is_told_with_its_side_wherever_we_are(
    seconds: int, words: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_700_000_000.0
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: now)
    try:
        assert skew(formatdate(now + seconds, usegmt=True)) == f"; this machine's clock is {words} the store's"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert skew("yesterday") == skew("") == ""


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
