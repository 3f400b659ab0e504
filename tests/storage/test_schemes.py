"""What people write for a place, and the table of the kinds of places there are."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError, NothingThere, UrlInvalid, UrlSchemeUnknown
from bootstrap.job import Credentials, Endpoint
from bootstrap.storage.local.store import FileStore
from bootstrap.storage.model.scheme import Scheme, StoreContext
from bootstrap.storage.model.url import Location
from bootstrap.storage.open import Stores
from bootstrap.storage.schemes import SCHEMES, needs_keys, parse
from bootstrap.storage.transfer import deliver, fetch
from tests.lab.stores import Bucket
from tests.storage.conftest import MemoryLog, Mover, stores_of, tree_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("obs://bkt/a/code/", Location("obs", "a/code/", "bkt")),
        ("s3://bkt/a/code", Location("s3", "a/code", "bkt")),
        ("OBS://bkt/K", Location("obs", "K", "bkt")),
        ("obs://bkt", Location("obs", "", "bkt")),
        ("obs://bkt/", Location("obs", "", "bkt")),
        ("obs://bkt/名前 +%41?.txt", Location("obs", "名前 +%41?.txt", "bkt")),
        ("file:///mnt/a%20b/", Location("file", "/mnt/a b/")),
        ("file://localhost/mnt/a", Location("file", "/mnt/a")),
        ("file:/mnt/a", Location("file", "/mnt/a")),
        ("/mnt/nas/code", Location("file", "/mnt/nas/code")),
        ("code", Location("file", "code")),
        ("odd:name", Location("file", "odd:name")),
    ],
)
def test_what_people_write_becomes_a_location(text: str, expected: Location) -> None:
    assert parse(text) == expected


def test_a_leading_slash_is_a_bucket_only_in_the_consoles_dialect() -> None:
    assert parse("/bkt/a/code/", console_form=True) == Location("obs", "a/code/", "bkt")
    assert parse("/bkt/a/code/") == Location("file", "/bkt/a/code/")
    assert parse("obs://bkt/a/", console_form=True) == Location("obs", "a/", "bkt")
    assert parse("relative/dir", console_form=True) == Location("file", "relative/dir")


@pytest.mark.parametrize(
    "text",
    ["", "  ", "obs://", "obs:///key", "obs:/bkt/key", "s3:bkt", "obs://b kt/k", "obs://-x/k", "file://host/x", "a\0b",
     "obs://bkt/" + "k" * 1025, "file:relative"],
)  # fmt: skip
def test_a_malformed_url_is_refused(text: str) -> None:
    with pytest.raises(UrlInvalid):
        parse(text)


def test_a_missing_slash_is_put_right_in_the_remedy() -> None:
    with pytest.raises(UrlInvalid) as caught:
        parse("obs:/bkt/code/")
    assert "obs://bkt/code/" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("ob://bkt/x/", "obs://bkt/x/"),
        ("osb://bkt/x", "obs://bkt/x"),
        ("s3a://bkt/x", "s3://bkt/x"),
    ],
)
def test_an_unknown_scheme_is_answered_with_the_form_that_works(text: str, remedy: str) -> None:
    with pytest.raises(UrlSchemeUnknown) as caught:
        parse(text)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("https://bkt.obs.cn-north-4.myhuaweicloud.com/a/code/", "obs://bkt/a/code/"),
        ("https://obs.cn-north-4.myhuaweicloud.com/bkt/a/?prefix=x", "obs://bkt/a/"),
    ],
)
def test_the_web_address_of_a_stores_directory_is_answered_with_the_form_that_works(text: str, remedy: str) -> None:
    with pytest.raises(UrlInvalid) as caught:
        parse(text)
    assert caught.value.remedy == f"write {remedy}"


@pytest.mark.parametrize(
    "text",
    [
        "obs://AKIAKEY:TOPSECRET@bkt/code/",
        "obs://bkt/code?X-Amz-Signature=TOPSECRET",
        "obs://bkt/code?AccessKeyId=a&Signature=TOPSECRET",
        "https://AKIAKEY:TOPSECRET@bkt.obs.x-y.myhuaweicloud.com/code/?Signature=TOPSECRET",
        "ob://AKIAKEY:TOPSECRET@bkt/code",
        "obs:/AKIAKEY:TOPSECRET@bkt/code",
        "S3:AKIAKEY:TOPSECRET@bkt/code?Signature=TOPSECRET",
        "gs://bkt/k?X-Goog-Algorithm=G&X-Goog-Signature=TOPSECRET",
        "az://con/k?sv=2020&sig=TOPSECRET",
        "abfss://con@acc.dfs.core.windows.net/k?sp=r&sig=TOPSECRET",
        "oss://bkt/k?x-oss-signature=TOPSECRET",
        "s3://bkt/k?q-sign-algorithm=sha1&q-signature=TOPSECRET",
        "s3://bkt/k?X-Tos-Signature=TOPSECRET",
        "cos://bkt/k?q-signature=TOPSECRET",
        "sftp://u@h/p?password=TOPSECRET",
    ],
)
def test_keys_and_signatures_in_a_url_are_never_repeated(text: str) -> None:
    with pytest.raises(BootstrapError) as caught:
        parse(text)
    said = f"{caught.value} {caught.value.where} {caught.value.remedy}"
    assert "TOPSECRET" not in said
    assert "AKIAKEY" not in said


# --- the table ---


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_a_row_is_named_after_its_urls_and_repeats_them(scheme: Scheme) -> None:
    assert SCHEMES[scheme.name] is scheme
    assert scheme.example.startswith(f"{scheme.name}:")
    place = parse(scheme.example)
    assert place.scheme == scheme.name and place.is_directory != scheme.single
    assert scheme.parse.__module__.startswith("bootstrap.storage.") and scheme.parse.__module__.endswith(".scheme")
    if place.is_remote:
        assert str(place) == scheme.example
        below = place if scheme.single else place.child("a")
        assert parse(str(below)) == below
    assert needs_keys(place) == scheme.needs_keys


def test_every_file_of_a_scheme_is_in_the_table() -> None:
    storage = Path(__file__).parents[2] / "bootstrap" / "storage"
    files = {f"bootstrap.storage.{file.parent.name}.scheme" for file in storage.glob("*/scheme.py")}
    assert {scheme.parse.__module__ for scheme in SCHEMES.values()} == files - {"bootstrap.storage.model.scheme"}


def test_a_scheme_is_added_by_one_row_and_then_fetched_from_and_delivered_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing else of storage knows which there are. The toy keeps its buckets in directories."""

    def toy(text: str, rest: str) -> Location:
        bucket, _, key = rest.removeprefix("//").partition("/")
        return Location("toy", key, bucket)

    def opened(location: Location, context: StoreContext) -> FileStore:
        return FileStore(tmp_path / location.bucket)

    def no_keys() -> Credentials:
        raise AssertionError("a store without keys was asked for them")

    monkeypatch.setitem(SCHEMES, "toy", Scheme("toy", "toy://bucket/prefix/", toy, opened, needs_keys=False))
    (tmp_path / "up" / "d").mkdir(parents=True)
    (tmp_path / "up" / "d" / "f").write_bytes(b"content")
    log = MemoryLog()
    stores, stop = Stores(Endpoint(""), no_keys, log), threading.Event()
    deliver(stores, tmp_path / "up", parse("toy://b/o/"), stop=stop, log=log)
    assert (tmp_path / "b" / "o" / "d" / "f").read_bytes() == b"content"
    fetch(stores, parse("TOY://b/o/"), tmp_path / "down", direct=True, stop=stop, log=log)
    assert tree_of(tmp_path / "down") == {"d/f": b"content"}
    assert [facts.get("to") or facts["from"] for _, _, facts in log.lines] == ["toy://b/o/", "toy://b/o/"]
    assert not needs_keys(parse("toy://b/o/"))


@pytest.mark.parametrize("scheme", ["s3", "obs"])
def test_messages_repeat_the_scheme_that_was_written(bucket: Bucket, scheme: str, tmp_path: Path) -> None:
    log = MemoryLog()
    mover = Mover(stores_of(bucket.store, log), log)
    bucket.put("there/a", b"a")
    mover.fetch(bucket.url("there/", scheme), tmp_path)
    assert log.lines[-1][2]["from"] == f"{scheme}://{bucket.name}/there/"
    with pytest.raises(NothingThere) as caught:
        mover.fetch(bucket.url("not-there/", scheme), tmp_path)
    assert caught.value.where == f"{scheme}://{bucket.name}/not-there/"
    with pytest.raises(BootstrapError) as missing:
        mover.fetch(f"{scheme}://no-such-bucket-of-ours/a/", tmp_path)
    other = "obs" if scheme == "s3" else "s3"
    assert f"{scheme}://no-such-bucket-of-ours" in str(missing.value) and f"{other}://" not in str(missing.value)


def test_a_bucket_has_a_store_for_each_way_it_is_written(bucket: Bucket) -> None:
    stores = stores_of(bucket.store)
    one, two = (stores.open(parse(bucket.url("k", scheme))) for scheme in ("s3", "obs"))
    assert one is not two
    assert one is stores.open(parse(bucket.url("other", "s3")))
    assert one.retry_window is two.retry_window  # both are down at the same time


@pytest.mark.parametrize("url", ["az://c/x", "abfss://c@acc.dfs.core.windows.net/x", "az://key:word@con/x"])
def test_what_is_no_container_is_told_with_what_one_is(url: str) -> None:
    """The part before an @ is not repeated: it may be a key."""
    with pytest.raises(UrlInvalid) as caught:
        parse(url)
    assert "3 to 63 small letters" in caught.value.why and "word" not in str(caught.value)
    assert f"write {url.partition(':')[0]}://container" in caught.value.remedy
