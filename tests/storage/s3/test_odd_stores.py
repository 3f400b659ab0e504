"""Stores that are not like those we know: what they do is taken as it is meant, or refused in words."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import (
    BootstrapError,
    EndpointWrong,
    NamesUnsafe,
    NothingThere,
    PermissionDenied,
    RequestRefused,
    StoreUnavailable,
)
from bootstrap.job import Endpoint
from bootstrap.storage.common.small import read_small
from bootstrap.storage.common.way import proxy_for
from bootstrap.storage.relay import relay
from bootstrap.storage.s3 import bounded_botocore
from bootstrap.storage.s3.endpoint import for_bucket
from bootstrap.storage.schemes import parse
from tests.lab.odd_store import OddStore, Stored
from tests.storage.conftest import MemoryLog, Mover, stores_of, tree_of


@pytest.fixture
def odd() -> Iterator[OddStore]:
    with OddStore() as store:
        yield store


def mover_of(odd: OddStore, **changes: Any) -> Mover:
    return Mover(stores_of(odd, **{"retry_window": 2.0, **changes}))  # type: ignore[arg-type]  # it has what is asked


def large(size: int = 40 << 20) -> bytes:
    return hashlib.sha256(b"x").digest() * (size // 32)


# --- A.1: names ----------------------------------------------------------------------------------------------------


def test_an_object_with_content_whose_name_is_a_directorys_is_refused_by_name(odd: OddStore, tmp_path: Path) -> None:
    odd.put("slash/weights/", b"w" * 5000)
    odd.put("slash/other", b"o")
    with pytest.raises(NamesUnsafe, match=r"slash/weights/.*it has content"):
        mover_of(odd).fetch(odd.url("slash/"), tmp_path)


def test_as_a_single_object_it_is_fetched(odd: OddStore, tmp_path: Path) -> None:
    odd.put("slash/weights/", b"w" * 5000)
    mover_of(odd).fetch(odd.url("slash/weights/"), tmp_path)
    assert (tmp_path / "weights").read_bytes() == b"w" * 5000


def test_from_store_to_store_it_is_copied_whole(odd: OddStore) -> None:
    odd.put("slash/weights/", b"w" * 5000)
    odd.put("slash/empty/", b"")
    stores = stores_of(odd, retry_window=2.0)  # type: ignore[arg-type]
    relay(stores, parse(odd.url("slash/")), parse(odd.url("to/")), stop=threading.Event(), log=MemoryLog())
    assert odd.objects["to/weights/"].body == b"w" * 5000
    assert odd.objects["to/empty/"].body == b""


def test_markers_of_every_make_are_no_reason_to_refuse(odd: OddStore, tmp_path: Path) -> None:
    for key in ("c/model", "c/code/a", "c//top"):
        odd.put(key, b"content")
    for key in ("c/model/", "c/code"):
        odd.put(key, b"")
    mover_of(odd).fetch(odd.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == {"model": b"content", "code/a": b"content", "top": b"content"}


def test_an_empty_object_beside_keys_below_it_is_a_directory(odd: OddStore, tmp_path: Path) -> None:
    odd.put("code", b"")
    odd.put("code/train.py", b"x")
    mover_of(odd).fetch(odd.url("code"), tmp_path)
    assert tree_of(tmp_path / "code") == {"train.py": b"x"}


# --- A.2, A.3: what is no address of a store ------------------------------------------------------------------------


def test_a_bucket_behind_the_address_is_taken_off(odd: OddStore, tmp_path: Path) -> None:
    assert for_bucket(Endpoint(url="http://host/bkt"), "bkt").url == "http://host"
    assert for_bucket(Endpoint(url="http://bkt.host/bkt"), "bkt").url == "http://host"
    (tmp_path / "f").write_bytes(b"f")
    mover_of(odd, url=f"{odd.endpoint}/bkt").deliver(tmp_path / "f", odd.url("x"))
    assert list(odd.objects) == ["x"]


PAGES = ["<html><body>Sign in</body></html>", "<!DOCTYPE html><html><br></html>"]


@pytest.mark.parametrize("page", PAGES)
def test_a_consoles_port_is_no_object_store(page: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"f")
    with OddStore(page=page) as odd:
        for transfer in (
            lambda: mover_of(odd).deliver(tmp_path / "f", odd.url("x")),
            lambda: mover_of(odd).fetch(odd.url("x/"), tmp_path),
        ):
            with pytest.raises(EndpointWrong, match="no object store answers there"):
                transfer()


def test_who_takes_an_object_and_gives_no_etag_is_none(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"f")
    with OddStore(etag_on_put=False) as odd, pytest.raises(EndpointWrong, match="no object store answers there"):
        mover_of(odd).deliver(tmp_path / "f", odd.url("x"))


# --- A.4: Ceph's errors ---------------------------------------------------------------------------------------------


def test_errors_without_a_text_are_errors_like_any_other(tmp_path: Path) -> None:
    with OddStore(empty_messages=True) as odd:
        odd.put("c/a", b"a")
        odd.refuse["c/a"] = (403, "AccessDenied", "")
        with pytest.raises(PermissionDenied, match=r"AccessDenied \(HTTP 403\)"):
            mover_of(odd).fetch(odd.url("c/"), tmp_path)


def test_a_503_without_a_text_passes(tmp_path: Path) -> None:
    with OddStore(empty_messages=True) as odd:
        odd.put("c/a", b"a")
        odd.failures += [(503, "SlowDown", "")] * 3
        mover_of(odd, retry_window=20.0).fetch(odd.url("c/"), tmp_path)
        assert tree_of(tmp_path / "c") == {"a": b"a"}


# --- A.5: bodies and ETags as they come ------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", ["chunked", "close"])
def test_bodies_that_do_not_tell_their_length_are_checked_by_the_listing(lengths: str, tmp_path: Path) -> None:
    with OddStore(lengths=lengths) as odd:
        odd.put("c/a", b"a" * 1000)
        odd.put("c/big", large())
        mover_of(odd).fetch(odd.url("c/"), tmp_path)
        assert tree_of(tmp_path / "c") == {"a": b"a" * 1000, "big": large()}


@pytest.mark.parametrize("way", ["fast path", "boto3"])
@pytest.mark.parametrize(
    "oddity",
    [
        {"interim": (100,)},
        {"interim": (102, 102, 103)},
        {"lengths": "twice"},
        {"zipped": True},
        {"undated": True},
        {"listed_without": "LastModified"},
        {"listed_without": "ETag"},
    ],
    ids=str,
)
def test_what_http_allows_is_taken_as_it_is_meant(oddity: dict[str, Any], way: str, tmp_path: Path) -> None:
    with OddStore(**oddity) as odd:
        odd.put("c/train.py", b"t" * 5000)
        mover = mover_of(odd)
        if way == "boto3":
            mover.stores.open(parse(odd.url("c/"))).pipeline = None  # type: ignore[misc]
        mover.fetch(odd.url("c/"), tmp_path)
        assert tree_of(tmp_path / "c") == {"train.py": b"t" * 5000}
        store = mover.stores.open(parse(odd.url("c/")))
        store.write("c/new", b"n" * 3000)
        assert odd.objects["c/new"].body == b"n" * 3000
        found = store.stat("c/new")
        assert found is not None
        assert found.size == 3000


def test_a_length_that_is_none_is_not_waited_for(tmp_path: Path) -> None:
    with OddStore(lengths="nonsense") as odd:
        odd.put("c/train.py", b"t" * 5000)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="Content-Length makes no sense: -5000"):
            mover_of(odd, retry_window=0.5).fetch(odd.url("c/"), tmp_path)
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("element", ["Size", "Key"])
def test_objects_without_a_size_or_a_name_are_refused_in_words(element: str, tmp_path: Path) -> None:
    with OddStore(listed_without=element) as odd:
        odd.put("c/train.py", b"t" * 5000)
        with pytest.raises(StoreUnavailable, match="without its name or its size"):
            mover_of(odd).fetch(odd.url("c/"), tmp_path)


def test_a_single_object_without_a_date_that_is_not_listed_is_fetched(tmp_path: Path) -> None:
    with OddStore(undated=True, unlisted={"c/train.py"}) as odd:
        odd.put("c/train.py", b"t" * 5000)
        mover = mover_of(odd)
        mover.fetch(odd.url("c/train.py"), tmp_path)
        entry = mover.stores.open(parse(odd.url("c/"))).stat("c/train.py")
        assert entry is not None and entry.mtime == 0.0
        assert tree_of(tmp_path) == {"train.py": b"t" * 5000}


def test_a_small_object_that_is_a_large_one_is_not_read_to_its_end(odd: OddStore) -> None:
    odd.put("note", b"n" * 5000)
    store = mover_of(odd).stores.open(parse(odd.url("note")))
    assert (read_small(store, "note", 5000), read_small(store, "note", 4999)) == (b"n" * 5000, b"")


def test_a_connection_that_ends_behind_100_continue_ends_the_wait(tmp_path: Path) -> None:
    head = io.BytesIO(b"Connection: keep-alive\r\n")  # and no more
    begun = bounded_botocore._HTTP("127.0.0.1", 1)
    begun._consume_headers(head)
    assert head.read() == b""


def test_weak_etags_are_those_of_the_listing(tmp_path: Path) -> None:
    with OddStore(weak_etags=True) as odd:
        odd.put("c/a", b"a")
        for _ in range(2):
            odd.seen.clear()
            mover_of(odd).fetch(odd.url("c/"), tmp_path)
        assert [key for method, key, _ in odd.seen if method == "GET" and key] == [], "nothing is brought again"


# --- A.6: listings that lag -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("oddity", [{"unlisted": {"c.py"}}, {"unsorted": True}])
def test_a_single_object_need_not_be_listed(oddity: dict[str, Any], tmp_path: Path) -> None:
    with OddStore(**oddity) as odd:
        odd.put("c.py", b"c")
        odd.put("c.pyx", b"x")
        mover_of(odd).fetch(odd.url("c.py"), tmp_path)
        assert (tmp_path / "c.py").read_bytes() == b"c"
        with pytest.raises(NothingThere):
            mover_of(odd).fetch(odd.url("nothing.py"), tmp_path)


# --- A.7, A.11: ETags that are digests, and those that are none ----------------------------------------------------


def test_large_objects_under_a_key_of_the_stores_own_come_once_and_in_pieces(tmp_path: Path) -> None:
    with OddStore(kms=True) as odd:
        odd.objects["c/big"] = Stored(large(), etag="f" * 32)
        mover_of(odd).fetch(odd.url("c/"), tmp_path)
        assert (tmp_path / "c/big").read_bytes() == large()
        reads = [query for method, key, query in odd.seen if (method, key) == ("GET", "c/big")]
        assert len(reads) == -(-len(large()) // (16 << 20)), "each piece once, and nothing again in one stream"


def test_md5s_in_capitals_are_md5s(tmp_path: Path) -> None:
    with OddStore(upper_etags=True) as odd:
        odd.put("c/a", b"a")
        mover_of(odd).fetch(odd.url("c/"), tmp_path)
        odd.objects["c/a"] = Stored(b"a", etag="0123456789abcdef" * 2)
        with pytest.raises(StoreUnavailable, match="not the object's"):
            mover_of(odd).fetch(odd.url("c/"), tmp_path)


@pytest.mark.parametrize("header", ["x-oss-object-type", "x-obs-object-type"])
def test_objects_that_are_appended_to_have_no_md5(header: str, odd: OddStore, tmp_path: Path) -> None:
    odd.objects["c/a"] = Stored(b"a", {header: "Appendable"}, etag="0" * 32)
    mover_of(odd).fetch(odd.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == {"a": b"a"}


def test_all_archived_objects_are_named_at_once(odd: OddStore, tmp_path: Path) -> None:
    for name in "abcd":
        odd.put(f"c/{name}", b"x")
    for name in "abc":
        odd.refuse[f"c/{name}"] = (403, "InvalidObjectState", "archived")
    with pytest.raises(PermissionDenied, match="3 objects are archived") as caught:
        mover_of(odd).fetch(odd.url("c/"), tmp_path)
    assert all(f"c/{name}" in caught.value.where for name in "abc")


# --- A.8, A.12: writing ---------------------------------------------------------------------------------------------


def test_a_bucket_with_object_lock_gets_the_md5_that_it_wants(tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    (tmp_path / "up/small").write_bytes(b"s")
    (tmp_path / "up/big").write_bytes(large(70 << 20))
    with OddStore(object_lock=True) as odd:
        report = mover_of(odd).deliver(tmp_path / "up", odd.url("o/"))
        assert report.complete
        assert {key: len(found.body) for key, found in odd.objects.items()} == {"o/small": 1, "o/big": 70 << 20}


@pytest.mark.parametrize("flips", [1, 2, 3])
def test_a_bit_that_flips_on_the_way_is_noticed_each_time(flips: int, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    with OddStore(flips=flips) as odd:
        mover_of(odd, retry_window=20.0).deliver(tmp_path / "f", odd.url("f"))
        assert odd.objects["f"].body == b"content"


def test_a_bit_that_flips_in_a_part_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(large(70 << 20))
    with OddStore(flips=2) as odd:
        mover_of(odd, retry_window=20.0).deliver(tmp_path / "big", odd.url("big"))
        assert odd.objects["big"].body == large(70 << 20)


def test_store_to_store_keeps_the_content_encoding(odd: OddStore) -> None:
    odd.put("a/x.gz", b"zipped", Content_Encoding="gzip")
    stores = stores_of(odd, retry_window=2.0)  # type: ignore[arg-type]
    relay(stores, parse(odd.url("a/")), parse(odd.url("b/")), stop=threading.Event(), log=MemoryLog())
    assert odd.objects["b/x.gz"].headers == {"Content-Encoding": "gzip"}
    assert odd.objects["b/x.gz"].body == b"zipped"


# --- A.9, A.10: refusals, proxies and other people's settings -------------------------------------------------------


def test_an_unknown_refusal_is_no_reason_to_start_again(odd: OddStore, tmp_path: Path) -> None:
    odd.put("c/a", b"a")
    odd.refuse["c/a"] = (400, "InvalidRequest", "The object was stored using a form of Server Side Encryption.")
    with pytest.raises(RequestRefused, match="SSE-C") as caught:
        mover_of(odd).fetch(odd.url("c/"), tmp_path)
    assert not caught.value.retry
    odd.refuse["c/a"] = (418, "Teapot", "short and stout")
    with pytest.raises(RequestRefused, match="Teapot"):
        mover_of(odd).fetch(odd.url("c/"), tmp_path)


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxys_refusal_names_the_proxy(
    status: int, odd: OddStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = odd.endpoint.rpartition(":")[2]
    monkeypatch.setenv("http_proxy", f"http://user:secret-word@127.0.0.1:{port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    odd.failures += [(status, "", "the proxy says no")] * 20
    with pytest.raises(BootstrapError) as caught:
        mover_of(odd, url="http://store.example", addressing="path").fetch(odd.url("c/"), tmp_path)
    assert caught.value.code < 200
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "secret-word" not in str(caught.value)


@pytest.mark.parametrize(("no_proxy", "proxied"), [("127.0.0.0/8", False), ("10.0.0.0/8", True), ("bad/8", True)])
def test_no_proxy_may_hold_networks(no_proxy: str, proxied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert bool(proxy_for("http://127.0.0.1:9000")) == proxied


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "nobody"),
        ("AWS_DEFAULTS_MODE", "bogus"),
        ("AWS_RETRY_MODE", "bogus"),
        ("AWS_MAX_ATTEMPTS", "many"),
        ("AWS_CONFIG_FILE", "BROKEN"),
        ("AWS_SHARED_CREDENTIALS_FILE", "BROKEN"),
        ("AWS_STS_REGIONAL_ENDPOINTS", "bogus"),
        ("AWS_REQUEST_CHECKSUM_CALCULATION", "bogus"),
    ],
)
def test_settings_of_boto3_that_we_do_not_use_harm_nobody(
    name: str, value: str, odd: OddStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").write_text("[profile\nno = ")
    monkeypatch.setenv(name, str(tmp_path / "broken") if value == "BROKEN" else value)
    odd.put("c/a", b"a")
    odd.lengths = "close"  # a way through boto3
    mover_of(odd).fetch(odd.url("c/"), tmp_path / "to")
    assert tree_of(tmp_path / "to/c") == {"a": b"a"}
