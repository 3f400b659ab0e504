"""boto3 against a store as strict as Huawei's: addressing, tokens, and what each refusal becomes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import botocore.auth
import pytest

from bootstrap.errors import (
    BootstrapError,
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsRejected,
    EndpointWrong,
    NameUnresolved,
    PermissionDenied,
    RequestRefused,
    SourceChanging,
    StoreUnavailable,
)
from bootstrap.job import Credentials, Endpoint
from bootstrap.storage.open import Stores
from bootstrap.storage.s3 import boto_client
from bootstrap.storage.s3.boto_client import BotoStore
from bootstrap.storage.s3.bucket import BucketStore
from bootstrap.storage.s3.error_codes import cause_of
from bootstrap.storage.s3.keys import Keys
from bootstrap.storage.schemes import parse
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store, free_ports
from tests.lab.strict_proxy import Obs
from tests.lab.tls import Authority
from tests.lab.waiting import until
from tests.storage.conftest import MemoryLog, Mover, credentials_of, make_tree, stores_of, tree_of


def open_store(store: Store, bucket: str, **changes: object) -> BucketStore:
    opened = stores_of(store, **changes).open(parse(f"obs://{bucket}"))
    assert isinstance(opened, BucketStore)
    return opened


def refusal(store: Store, bucket: str, **changes: object) -> BootstrapError:
    with pytest.raises(BootstrapError) as caught:
        list(open_store(store, bucket, **changes).entries("x/"))
    return caught.value


def test_every_call_is_one_that_obs_accepts(obs: Obs, tmp_path: Path) -> None:
    bucket = obs.make_bucket()
    files = {"a": b"a", "b/ü +%": b"b" * 100_000, "empty/": b""}
    make_tree(tmp_path / "source", files)
    mover = Mover(stores_of(obs.store))
    mover.deliver(tmp_path / "source", bucket.url("t/"))
    mover.fetch(bucket.url("t"), tmp_path / "back")
    assert tree_of(tmp_path / "back/t") == files
    open_store(obs.store, bucket.name).delete("t/a")
    assert "t/a" not in bucket.list()
    assert {seen.code for seen in obs.seen} == {""}
    assert not any(seen.request.path.startswith(f"/{bucket.name}") for seen in obs.seen)


def test_multipart_is_accepted_too(obs: Obs, tmp_path: Path) -> None:
    bucket = obs.make_bucket()
    content = b"0123456789abcdef" * (70 << 16)
    (tmp_path / "big").write_bytes(content)
    Mover(stores_of(obs.store)).deliver(tmp_path, bucket.url("t/"))
    assert bucket.get("t/big") == content


def test_tls_with_the_stores_own_authority(obs_tls: Obs, authority: Authority, tmp_path: Path) -> None:
    bucket = obs_tls.make_bucket()
    bucket.put("c/a", b"a")
    Mover(stores_of(obs_tls.store, ca_bundle=str(authority.bundle))).fetch(bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path) == {"c/a": b"a"}


def test_an_unknown_authority_is_named_with_both_ways_out(obs_tls: Obs) -> None:
    error = refusal(obs_tls.store, obs_tls.make_bucket().name)
    assert isinstance(error, EndpointWrong)
    assert "AWS_CA_BUNDLE" in error.remedy
    assert "S3_VERIFY_SSL=0" in error.remedy


def test_unchecked_certificates_work_and_are_said_out_loud(obs_tls: Obs) -> None:
    log = MemoryLog()
    store = stores_of(obs_tls.store, log, verify=False).open(parse(f"obs://{obs_tls.make_bucket().name}"))
    assert list(store.entries("")) == []
    assert any("not checked" in event for event in log.events("warning"))


def test_https_to_a_plain_port_says_so(seaweedfs: Store) -> None:
    error = refusal(seaweedfs, "bkt", url=seaweedfs.endpoint.replace("http:", "https:"))
    assert isinstance(error, EndpointWrong)
    assert "S3_USE_HTTPS=0" in error.remedy


def test_path_style_at_a_domain_is_answered_with_the_setting(obs: Obs) -> None:
    error = refusal(obs.store, obs.make_bucket().name, addressing="path")
    assert isinstance(error, EndpointWrong)
    assert "VirtualHostDomainRequired" in error.why
    assert "--addressing virtual" in error.remedy
    assert "request id " in error.why
    assert "request id none" not in error.why


def test_a_wrong_region_names_the_right_one(obs: Obs) -> None:
    error = refusal(obs.store, obs.make_bucket().name, region="elsewhere-1")
    assert isinstance(error, EndpointWrong)
    assert obs.policy.region in error.why
    assert "elsewhere-1" in error.why


def test_a_bucket_of_another_region_names_its_endpoint(obs: Obs) -> None:
    bucket = obs.make_bucket()
    obs.policy.elsewhere[bucket.name] = "obs.other-region-2.lab.test"
    error = refusal(obs.store, bucket.name)
    assert isinstance(error, EndpointWrong)
    assert "obs.other-region-2.lab.test" in error.why


def test_an_unknown_key_is_rejected(obs: Obs) -> None:
    error = refusal(replace(obs.store, access_key="UNKNOWN"), obs.make_bucket().name)
    assert isinstance(error, CredentialsRejected)
    assert "InvalidAccessKeyId" in error.why


def test_a_wrong_secret_is_rejected(obs: Obs) -> None:
    error = refusal(replace(obs.store, secret_key="wrong"), obs.make_bucket().name)
    assert isinstance(error, CredentialsRejected)
    assert "SignatureDoesNotMatch" in error.why


def test_a_forbidden_prefix_is_a_matter_of_permission(obs: Obs) -> None:
    obs.policy.forbid = lambda method, bucket, key: True
    error = refusal(obs.store, obs.make_bucket().name)
    assert isinstance(error, PermissionDenied)


def test_a_refusal_of_a_single_object_has_its_reason_though_head_has_no_body(obs: Obs) -> None:
    bucket = obs.make_bucket()
    store = open_store(replace(obs.store, secret_key="wrong"), bucket.name)
    with pytest.raises(CredentialsRejected) as caught:
        store.stat("a")
    assert "SignatureDoesNotMatch" in caught.value.why


def test_a_clock_that_is_off_is_measured(obs: Obs) -> None:
    obs.policy.clock_offset = 3600
    error = refusal(obs.store, obs.make_bucket().name)
    assert isinstance(error, ClockSkewed)
    assert "behind the store's" in error.why


def test_a_missing_bucket(store: Store) -> None:
    error = refusal(store, "never-made-bucket")
    assert isinstance(error, BucketMissing)
    assert store.endpoint in error.where


def test_a_name_that_does_not_resolve_is_named_with_the_bucket_in_front() -> None:
    error = refusal(Store("none", "http://obs.no-where-1.invalid"), "bkt")
    assert isinstance(error, NameUnresolved)
    assert "bkt.obs.no-where-1.invalid" in error.why


def test_nobody_listening_is_worth_a_retry() -> None:
    (port,) = free_ports(1)
    error = refusal(Store("none", f"http://127.0.0.1:{port}"), "bkt")
    assert isinstance(error, StoreUnavailable)
    assert error.retry
    assert str(port) in error.why


def test_a_store_that_only_says_slow_down_is_unavailable(seaweedfs: Store, faulty: FaultyProxy) -> None:
    faulty.inject(faulty_proxy.refused(503, "SlowDown"), times=None)
    error = refusal(seaweedfs, "bkt", url=faulty.endpoint)
    assert isinstance(error, StoreUnavailable)
    assert "SlowDown" in error.why


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("InvalidObjectState", PermissionDenied),
        ("InArrearOrInsufficientBalance", PermissionDenied),
        ("SecondLevelDomainForbidden", EndpointWrong),
        ("ExpiredToken", CredentialsExpired),
        ("TemporaryRedirect", EndpointWrong),
        ("InvalidBucketName", BucketMissing),
        ("SlowDown", StoreUnavailable),
        ("SomethingNew", RequestRefused),
    ],
)
def test_the_table_of_refusals(code: str, cause: type[BootstrapError]) -> None:
    assert cause_of(code, 400)[0] is cause


# --- credentials that end ---


def test_a_token_is_sent(obs: Obs) -> None:
    bucket = obs.make_bucket()
    bucket.put("a", b"a")
    assert [entry.key for entry in open_store(obs.issue(), bucket.name).entries("")] == ["a"]


def test_keys_that_are_about_to_end_are_read_again_before_they_do(obs: Obs) -> None:
    bucket = obs.make_bucket()
    calls = []

    def provider() -> Credentials:
        issued = obs.issue(seconds=3600)
        calls.append(issued)
        ends = datetime.now(timezone.utc) + timedelta(seconds=2 if len(calls) == 1 else 3600)
        return replace(credentials_of(issued), expires=ends)

    store = BotoStore(bucket.name, Endpoint(obs.store.endpoint, obs.store.region), Keys(provider))
    list(store.entries(""))

    def renewed() -> bool:
        list(store.entries(""))
        return len(calls) == 2

    until(renewed, lambda: f"new keys were asked for {len(calls)} times")
    obs.end(calls[0])
    list(store.entries(""))


def test_rotated_keys_without_an_end_are_found_when_the_old_ones_are_refused(obs: Obs) -> None:
    bucket = obs.make_bucket()
    bucket.put("a", b"a")
    newest = [obs.issue()]
    store = BotoStore(
        bucket.name, Endpoint(obs.store.endpoint, obs.store.region), Keys(lambda: credentials_of(newest[0]))
    )
    list(store.entries(""))
    obs.end(newest[0])
    newest[0] = obs.issue()
    assert [entry.key for entry in store.entries("")] == ["a"]


def test_keys_that_have_ended_and_stay_so_are_said_to_have(obs: Obs) -> None:
    issued = obs.issue()
    obs.policy.expired_as = "ExpiredToken"
    obs.end(issued)
    assert isinstance(refusal(issued, obs.make_bucket().name), CredentialsExpired)


def test_an_end_in_the_past_is_noticed_without_asking_the_store() -> None:
    past = Credentials("a", "s", "t", datetime.now(timezone.utc) - timedelta(hours=1), "a file")
    with pytest.raises(CredentialsExpired) as caught:
        Stores(Endpoint("http://127.0.0.1:1"), lambda: past, MemoryLog()).open(parse("obs://bkt"))
    assert "a file" in str(caught.value)


# --- listing ---


def test_a_store_that_knows_only_the_first_listing_is_read_to_its_end(seaweedfs: Store, faulty: FaultyProxy) -> None:
    bucket: Bucket = seaweedfs.make_bucket()
    bucket.put_tree("", {"a": b"", "b": b""})
    faulty.inject(faulty_proxy.refused(501, "NotImplemented"), query="*list-type=2*", times=None)
    store = open_store(seaweedfs, bucket.name, url=faulty.endpoint)
    assert [entry.key for entry in store.entries("")] == ["a", "b"]


class HidesWhatABodyRaises:
    """Stands in for the AWS CRT's signer, which botocore takes where ``awscrt`` is installed."""

    def __init__(self, *_: object) -> None:
        raise RuntimeError("AWS_ERROR_UNKNOWN")


def test_requests_are_signed_by_botocore_itself(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(botocore.auth.AUTH_TYPE_MAPS, "s3v4", HidesWhatABodyRaises)
    store = BotoStore(bucket.name, Endpoint(bucket.store.endpoint), Keys(lambda: credentials_of(bucket.store)))
    assert store.write("a", b"a").size == 1


# --- one request ---


@pytest.mark.parametrize(
    ("status", "code", "can"),
    [(405, "MethodNotAllowed", False), (501, "NotImplemented", False), (403, "AccessDenied", None)],
)
def test_a_store_that_cannot_copy_is_no_failure_and_one_that_may_not_is(
    status: int, code: str, can: bool | None, seaweedfs: Store, faulty: FaultyProxy
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("a", b"a")
    store = open_store(seaweedfs, bucket.name, url=faulty.endpoint)
    assert store.copy("a", "b") and bucket.get("b") == b"a"
    faulty.inject(faulty_proxy.refused(status, code), method="PUT", times=None)
    if can is None:
        with pytest.raises(PermissionDenied):
            store.copy("a", "c")
    else:
        assert store.copy("a", "c") is can
    assert bucket.list() == ["a", "b"]


def test_an_object_that_is_another_by_its_etag_is_not_read(bucket: Bucket) -> None:
    bucket.put("a", b"new")
    store = BotoStore(bucket.name, Endpoint(bucket.store.endpoint), Keys(lambda: credentials_of(bucket.store)))
    entry = store.stat("a")
    assert entry is not None
    assert b"".join(store.read("a", etag=entry.etag)) == b"".join(store.read("a")) == b"new"
    assert b"".join(store.read("a", start=1, end=2, etag=entry.etag)) == b"e"
    with pytest.raises(SourceChanging):
        store.read("a", etag="0" * 32)


def test_keys_that_are_new_each_time_and_always_refused_are_asked_for_so_many_times(obs: Obs) -> None:
    bucket, issued = obs.make_bucket(), []

    def provider() -> Credentials:
        issued.append(obs.issue())
        obs.end(issued[-1])
        return credentials_of(issued[-1])

    obs.policy.expired_as = "ExpiredToken"
    store = BotoStore(bucket.name, Endpoint(obs.store.endpoint, obs.store.region), Keys(provider))
    with pytest.raises(CredentialsExpired):
        list(store.entries(""))
    assert len(issued) == 6, "those that were there first, and five others"


def test_what_newer_keys_do_not_cure_is_not_asked_again_with_them(obs: Obs) -> None:
    calls: list[int] = []

    def provider() -> Credentials:
        calls.append(1)
        return credentials_of(obs.issue())

    store = BotoStore("no-such-bucket", Endpoint(obs.store.endpoint, obs.store.region), Keys(provider))
    with pytest.raises(BucketMissing):
        list(store.entries(""))
    assert len(calls) == 1


@pytest.mark.parametrize("written", [None, datetime.min])
def test_a_date_that_is_none_or_no_moment_is_unknown(written: datetime | None) -> None:
    assert boto_client._moment({"LastModified": written} if written else {}) == 0.0
