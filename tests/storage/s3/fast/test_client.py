"""The fast path: what goes over it, when it gives way to boto3, and that neither loses anything on the way."""

from __future__ import annotations

import hashlib
import itertools
import random
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import SourceChanging
from bootstrap.job import Credentials, Endpoint
from bootstrap.storage.common.rate_limit import RateLimit
from bootstrap.storage.model.pipeline import NeedsFallback
from bootstrap.storage.s3.bucket import BucketStore
from bootstrap.storage.s3.fast.client import FastClient, _entries, _parsed
from bootstrap.storage.s3.fast.http1 import Answer
from bootstrap.storage.s3.fast.sigv4 import Signer
from bootstrap.storage.s3.keys import Keys
from bootstrap.storage.schemes import parse
from tests.lab import faulty_proxy, sigv4
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.proxy import Handler
from tests.lab.stores import Bucket, Store
from tests.lab.strict_proxy import Obs
from tests.storage.conftest import Mover, credentials_of, make_tree, stores_of, tree_of


def tree(seed: int, count: int = 150) -> dict[str, bytes]:
    dice = random.Random(seed)
    places = ["", *(f"d{number}/" for number in range(8))]
    sizes = [0, 1, 10, 1000, 7500, 60_000, 700_000]
    return {f"{dice.choice(places)}f{number}": dice.randbytes(dice.choice(sizes)) for number in range(count)}


@pytest.fixture
def no_boto(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 is not there: what works then goes over the fast path alone."""

    def forbidden(self: BucketStore) -> None:
        raise AssertionError("boto3 was asked")

    monkeypatch.setattr(BucketStore, "boto", property(forbidden))


# --- the plain case ---


@pytest.mark.usefixtures("no_boto")
def test_plain_transfers_never_ask_boto3(seaweedfs: Store, tmp_path: Path) -> None:
    bucket, mover, files = seaweedfs.make_bucket(), Mover(stores_of(seaweedfs)), tree(1)
    mover.deliver(make_tree(tmp_path / "source", files), bucket.url("t/"))
    mover.fetch(bucket.url("t"), tmp_path / "target")
    assert tree_of(tmp_path / "target/t") == files
    assert bucket.tree("t/") == files


@pytest.mark.usefixtures("no_boto")
def test_obs_accepts_every_request_of_the_lane(obs: Obs, tmp_path: Path) -> None:
    bucket = obs.make_bucket()
    files = {**tree(2, 40), "ü/ +%&=?#;@~": b"odd", "large": random.Random(3).randbytes(1 << 20) * 40}
    bucket.put_tree("t/", files)
    mover = Mover(stores_of(obs.issue()))
    mover.fetch(bucket.url("t/"), tmp_path)
    del files["large"]
    mover.deliver(make_tree(tmp_path / "source", files), bucket.url("back/"))
    assert bucket.tree("back/") == files
    assert {seen.code for seen in obs.seen} == {""}


@pytest.mark.usefixtures("no_boto")
def test_tls_goes_over_the_lane_too(obs_tls: Obs, authority: object, tmp_path: Path) -> None:
    bucket = obs_tls.make_bucket()
    files = tree(4, 40)
    bucket.put_tree("t/", files)
    Mover(stores_of(obs_tls.store, ca_bundle=str(authority.bundle))).fetch(bucket.url("t/"), tmp_path)  # type: ignore[attr-defined]
    assert tree_of(tmp_path / "t") == files


@pytest.mark.parametrize("token", ["", "a/token+with=signs"])
def test_signatures_are_those_of_an_independent_implementation(token: str) -> None:
    signer = Signer(Credentials("KEY", "secret/+=", token), "reg-ion-1", "bkt.host:81")
    head = signer.head("GET", "/a%20b", "list-type=2&prefix=x%2F").decode()
    lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    names = ["host", "x-amz-content-sha256", "x-amz-date"] + ["x-amz-security-token"] * bool(token)
    by_lower = {name.lower(): value for name, value in lines.items()}
    expected = sigv4.signature(
        "secret/+=", f"{lines['x-amz-date'][:8]}/reg-ion-1/s3/aws4_request", lines["x-amz-date"], "GET", "/a%20b",
        [("list-type", "2"), ("prefix", "x/")], [(name, by_lower[name]) for name in names],
        hashlib.sha256(b"").hexdigest(),
    )  # fmt: skip
    assert lines["Authorization"].endswith(f"Signature={expected}")


# --- when it gives way ---


@pytest.mark.parametrize(
    ("bucket", "endpoint"),
    [("Upper_Case", "http://10.0.0.1"), ("with.dots", "https://obs.x-1.lab"), ("bkt", "http://10.0.0.1/path")],
)
def test_what_only_boto3_knows_how_to_address_is_left_to_it(bucket: str, endpoint: str) -> None:
    with pytest.raises(NeedsFallback):
        FastClient(bucket, Endpoint(endpoint), Keys(lambda: Credentials("a", "s")))


def test_a_proxy_of_the_environment_is_left_to_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:3128")
    monkeypatch.setenv("no_proxy", "10.0.0.2")
    keys = Keys(lambda: Credentials("a", "s"))
    with pytest.raises(NeedsFallback):
        FastClient("bkt", Endpoint("http://10.0.0.1"), keys)
    FastClient("bkt", Endpoint("http://10.0.0.2"), keys)


def test_keys_that_are_about_to_end_are_not_used_by_the_lane() -> None:
    ends = datetime.now(timezone.utc) + timedelta(seconds=30)
    client = FastClient("bkt", Endpoint("http://10.0.0.1"), Keys(lambda: Credentials("a", "s", "t", ends)))
    with pytest.raises(NeedsFallback):
        client.get("key")


def test_an_object_that_changed_since_it_was_listed_arrives_as_it_is_now(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("t/", {"grows": b"1", "same-size": b"1", "large": b"1" * (40 << 20)})
    news = {"grows": b"22", "same-size": b"2", "large": b"2" * (40 << 20)}
    changed = threading.Event()

    def change(handler: Handler) -> None:
        if not changed.is_set():
            bucket.put_tree("t/", news)
            changed.set()

    faulty.inject(faulty_proxy.Fault("change", first=change), method="GET", key="*/t/*", times=None)
    Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("t/"), tmp_path)
    assert tree_of(tmp_path / "t") == news


def test_a_token_that_ends_in_the_middle_is_replaced(obs: Obs, tmp_path: Path) -> None:
    bucket = obs.make_bucket()
    files = tree(5)
    bucket.put_tree("t/", files)
    issued = [obs.issue()]
    counter = itertools.count()
    real = obs._authenticate

    def authenticate(request: object) -> None:
        if next(counter) == 60:
            issued.append(obs.issue())
            obs.end(issued[0])
        real(request)  # type: ignore[arg-type]

    obs._authenticate = authenticate  # type: ignore[method-assign]
    store = BucketStore(bucket.name, Endpoint(obs.store.endpoint, obs.store.region), lambda: credentials_of(issued[-1]))
    mover = Mover(stores_of(obs.store))
    mover.stores._opened["s3", bucket.name, "", "", "", ""] = store
    mover.fetch(bucket.url("t/"), tmp_path)
    assert tree_of(tmp_path / "t") == files
    assert len(issued) == 2


FAULTS = {
    "reset": faulty_proxy.reset,
    "reset at any byte": lambda: faulty_proxy.reset_answer(random.Random(6).randrange(5000)),
    "truncated": lambda: faulty_proxy.truncated(3),
    "wrong byte": lambda: faulty_proxy.corrupted(0),
    "slow down": lambda: faulty_proxy.refused(503, "SlowDown"),
    "internal error": lambda: faulty_proxy.refused(500, "InternalError"),
    "request timeout": lambda: faulty_proxy.refused(400, "RequestTimeout"),
    "slow body": lambda: faulty_proxy.slow(200_000),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_storm_of_faults_loses_nothing_on_the_way_down(
    name: str, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    files = {name: content for name, content in tree(7, 60).items() if content}
    Mover(stores_of(seaweedfs)).deliver(make_tree(tmp_path / "source", files), bucket.url("t/"))
    injection = faulty.inject(FAULTS[name](), method="GET", key="*/t/*", times=12)
    Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("t/"), tmp_path)
    assert injection.hits == 12
    assert tree_of(tmp_path / "t") == files


@pytest.mark.parametrize("name", ["reset", "slow down", "internal error", "request timeout"])
def test_a_storm_of_faults_loses_nothing_on_the_way_up(
    name: str, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    files = tree(8, 60)
    injection = faulty.inject(FAULTS[name](), method="PUT", key="*/t/*", times=12)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    report = mover.deliver(make_tree(tmp_path, files), bucket.url("t/"))
    assert injection.hits == 12
    assert report.failed == ()
    assert bucket.tree("t/") == files


def test_faults_in_the_listing_are_survived(seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    files = tree(9, 30)
    bucket.put_tree("t/", files)
    faulty.inject(faulty_proxy.truncated(100), query="*list-type*", times=2)
    faulty.inject(faulty_proxy.refused(503, "SlowDown"), query="*list-type*", times=1)
    Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("t/"), tmp_path)
    assert tree_of(tmp_path / "t") == files


def test_a_listing_that_goes_on_with_what_is_no_text_is_left_to_boto3(seaweedfs: Store, faulty: FaultyProxy) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("t/a", b"1")
    page = b"<ListBucketResult><NextContinuationToken>\xff</NextContinuationToken></ListBucketResult>"
    fault = faulty_proxy.Fault("odd", first=lambda handler: handler.answer(200, [], page))
    odd = faulty.inject(fault, query="*list-type=2*")
    store = stores_of(seaweedfs, url=faulty.endpoint).open(parse(bucket.url("t/")))
    assert [entry.key for entry in store.entries("t/")] == ["t/a"]
    assert odd.hits == 1


def test_a_listing_that_changes_between_its_pages_is_read_to_its_end(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    files = {f"{number:05d}": b"%d" % number for number in range(1500)}
    Mover(stores_of(seaweedfs)).deliver(make_tree(tmp_path / "source", files), bucket.url("t/"))
    faulty.inject(
        faulty_proxy.Fault("add", first=lambda handler: (bucket.put("t/00000a", b"a"), bucket.put("t/z", b"z"))),
        query="*continuation-token*",
    )
    Mover(stores_of(seaweedfs, url=faulty.endpoint)).fetch(bucket.url("t/"), tmp_path)
    found = tree_of(tmp_path / "t")
    assert {name: found[name] for name in files} == files
    assert found["z"] == b"z"


def test_what_goes_from_a_listing_between_its_pages_is_not_an_empty_tree(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    files = {f"{number:05d}": b"%d" % number for number in range(1100)}
    Mover(stores_of(seaweedfs)).deliver(make_tree(tmp_path / "source", files), bucket.url("t/"))
    gone = [f"{number:05d}" for number in range(990, 1010)]  # on both sides of the page's end
    faulty.inject(
        faulty_proxy.Fault("remove", first=lambda handler: [bucket.delete(f"t/{name}") for name in gone]),
        query="*continuation-token*",
    )
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    with pytest.raises(SourceChanging, match="gone when it was read"):  # those that the first page had
        mover.fetch(bucket.url("t/"), tmp_path)
    mover.fetch(bucket.url("t/"), tmp_path)
    assert tree_of(tmp_path / "t") == {name: content for name, content in files.items() if name not in gone}


@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_store_that_takes_a_request_and_is_silent_is_asked_again(
    direction: str, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bootstrap.storage.s3.fast.http1.SILENCE", 0.5)
    bucket = seaweedfs.make_bucket()
    files = tree(11, 40)
    source = make_tree(tmp_path / "source", files)
    release = threading.Event()
    silence = faulty_proxy.stalled(release) if direction == "down" else faulty_proxy.unanswered(release)
    method = "GET" if direction == "down" else "PUT"
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    if direction == "down":
        mover.deliver(source, bucket.url("t/"))
    injection = faulty.inject(silence, method=method, key="*/t/*", times=2)
    try:
        if direction == "down":
            mover.fetch(bucket.url("t/"), tmp_path)
            assert tree_of(tmp_path / "t") == files
        else:
            assert mover.deliver(source, bucket.url("t/")).complete
            assert bucket.tree("t/") == files
    finally:
        release.set()
    assert injection.hits == 2


# --- servers that do not like requests sent ahead ---


@contextmanager
def one_at_a_time(target: str) -> Iterator[tuple[str, list[int]]]:
    """A balancer that answers the first request of a connection, drops what came behind it, and hangs up."""
    host, _, port = target.removeprefix("http://").partition(":")
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    answered: list[int] = []

    def exchange(client: socket.socket) -> None:
        with client, socket.create_connection((host, int(port)), 30) as server:
            request = b""
            while b"\r\n\r\n" not in request:
                piece = client.recv(65536)
                if not piece:
                    return
                request += piece
            head = request[: request.index(b"\r\n\r\n")]
            server.sendall(head + b"\r\nConnection: close\r\n\r\n")
            answered.append(1)  # now, since the client may hang up as soon as it has what it came for
            while piece := server.recv(65536):
                client.sendall(piece)

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_quietly, args=(exchange, client), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", answered
    finally:
        listener.close()


def _quietly(work: object, client: socket.socket) -> None:
    try:
        work(client)  # type: ignore[operator]
    except OSError:
        pass


def test_a_server_that_drops_requests_sent_ahead_gets_them_one_by_one(seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    files = tree(10, 60)
    bucket.put_tree("t/", files)
    host = seaweedfs.endpoint
    with one_at_a_time(host) as (endpoint, answered):
        # The signature is of the store's own host, which the balancer stands for.
        store = BucketStore(bucket.name, Endpoint(host, seaweedfs.region), lambda: credentials_of(seaweedfs))
        assert store.pipeline is not None
        store.pipeline._port = int(endpoint.rpartition(":")[2])
        mover = Mover(stores_of(seaweedfs))
        mover.stores._opened["s3", bucket.name, "", "", "", ""] = store
        mover.fetch(bucket.url("t/"), tmp_path)
        assert tree_of(tmp_path / "t") == files
        assert len(answered) >= len(files)


# --- what is read leanly ---


def listing(objects: list[dict[str, str]], *, encoded: bool = True) -> bytes:
    """A page as a real XML writer makes it."""
    page = ElementTree.Element("ListBucketResult")
    ElementTree.SubElement(page, "Prefix").text = "a&b/"
    if encoded:
        ElementTree.SubElement(page, "EncodingType").text = "url"
    for fields in objects:
        content = ElementTree.SubElement(page, "Contents")
        for name, value in fields.items():
            ElementTree.SubElement(content, name).text = value
        owner = ElementTree.SubElement(content, "Owner")
        ElementTree.SubElement(owner, "DisplayName").text = "some<Key>body"
    return ElementTree.tostring(page, encoding="utf-8", xml_declaration=True)


LISTED = st.fixed_dictionaries(
    {
        "Key": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1),
        "LastModified": st.just("2026-11-22T02:00:00.000Z"),
        "ETag": st.sampled_from(['"0123"', "0123-2", '"a"b"']),
        "Size": st.integers(0, 1 << 44).map(str),
    }
)


@given(st.lists(LISTED, max_size=4), st.booleans())
def test_a_lean_look_at_a_listing_sees_what_an_xml_parser_sees(objects: list[dict[str, str]], encoded: bool) -> None:
    quoted = [{**fields, "Key": urllib.parse.quote(fields["Key"])} if encoded else fields for fields in objects]
    page = listing(quoted, encoded=encoded)
    lean = page.replace(b"a&amp;b/", b"").replace(b"some&lt;Key&gt;body", b"")
    for written in (page, lean):  # the first has what only a parser understands
        found = [(entry.key, str(entry.size), entry.etag) for entry in _entries(written)]
        assert found == [(each["Key"], each["Size"], each["ETag"].strip('"')) for each in objects]


@pytest.mark.parametrize(
    ("plain", "odd"),
    [
        (b"<Key>k</Key>", b"<Key><![CDATA[k]]></Key>"),
        (b"<Key>k</Key>", b"<Key>k</Key><!-- <Contents><Key>no</Key></Contents> -->"),
        (b"<Contents>", b'<Contents kind="object">'),
        (b"k</Key>", b"&#107;</Key>"),
    ],
)
def test_a_listing_out_of_the_ordinary_is_read_as_xml(plain: bytes, odd: bytes) -> None:
    fields = {"Key": "k", "LastModified": "2026-11-22T02:00:00Z", "ETag": '"e"', "Size": "3"}
    page = listing([fields]).replace(b"a&amp;b/", b"").replace(b"some&lt;Key&gt;body", b"somebody")
    assert plain in page
    ordinary = list(_entries(page))
    assert list(_entries(page.replace(plain, odd))) == ordinary
    assert [each["Key"] for each in _parsed(page.replace(plain, odd))] == ["k"]


@pytest.mark.parametrize("missing", ["Key", "Size", "LastModified"])
def test_a_listing_that_lacks_what_we_need_is_left_to_boto3(missing: str) -> None:
    fields = {"Key": "k", "LastModified": "2026-11-22T02:00:00Z", "ETag": '"e"', "Size": "3"}
    with pytest.raises(NeedsFallback):
        _entries(listing([{name: value for name, value in fields.items() if name != missing}]))


def test_headers_are_found_whatever_their_case_and_their_order() -> None:
    answer = Answer('HTTP/1.1 200 OK\r\nX-Content-Length: 9\r\ncontent-LENGTH:  5 \r\nEtag: "AbC"\r\nConnection: Close')
    assert (answer.status, answer.size, answer.etag, answer.is_last) == (200, 5, "AbC", True)
    assert (answer.header("etag"), answer.header("length")) == ('"AbC"', "")


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.0 200 OK\r\nContent-Length: 5",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\nContent-Length: five",
        "HTTP/1.1 200 OK\r\nContent-Length: -1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked",
        "HTTP/1.1 2xx\r\nContent-Length: 5",
        "HTTP/1.1 -12\r\nContent-Length: 5",
        "HTTP/1.1 2_0\r\nContent-Length: 5",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip",
    ],
)
def test_an_answer_of_another_kind_is_unusual(head: str) -> None:
    with pytest.raises(NeedsFallback):
        Answer(head)


@pytest.mark.parametrize("header", ["x-amz-server-side-encryption: aws:kms", "X-OBS-Server-Side-Encryption: kms"])
def test_the_etag_of_an_encrypted_object_is_no_digest(header: str) -> None:
    digits = "0" * 32
    answer = Answer(f'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "{digits}"\r\n{header}')
    assert answer.etag != digits


# --- how many connections ---


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_store_that_thinks_is_asked_on_many_connections_at_once(
    way: str, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket, lock = seaweedfs.make_bucket(), threading.Lock()
    at_once = most = 0

    def think(_: Handler) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1

    files = {f"f{number}": b"%d" % number for number in range(300)}
    source = make_tree(tmp_path / "up", files)
    if way == "down":
        Mover(stores_of(seaweedfs)).deliver(source, bucket.url("t/"))
    faulty.inject(faulty_proxy.Fault("thinks", first=think), method="GET" if way == "down" else "PUT", times=None)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint))
    if way == "down":
        mover.fetch(bucket.url("t/"), tmp_path / "down", direct=True)
        assert tree_of(tmp_path / "down") == files
    else:
        assert mover.deliver(source, bucket.url("t/")).complete
        assert bucket.tree("t/") == files
    assert most > 16


# --- the rate ---


def test_many_nodes_share_what_a_bucket_can_take() -> None:
    stop = threading.Event()
    alone, crowd = RateLimit(1), RateLimit(300)
    started = time.monotonic()
    alone.spend(100_000, stop)
    assert time.monotonic() - started < 10  # within a crowd's budget it would be seventeen
    crowd.spend(10, stop)
    started = time.monotonic()
    crowd.spend(1, stop)
    assert time.monotonic() - started > 0.3  # ten requests at twenty a second


def test_a_complaint_halves_the_pace_and_it_recovers() -> None:
    stop, rate_limit = threading.Event(), RateLimit(1)
    rate_limit._complained -= 10
    rate_limit.spend(100, stop)
    rate_limit.complaint()
    slow = rate_limit._rate
    assert slow < 1000
    rate_limit.complaint()  # a hundred answers of one moment are one complaint
    assert rate_limit._rate == slow
    rate_limit._complained -= 2
    rate_limit.spend(1, stop)
    assert rate_limit._rate > slow


def test_names_directly_below_a_prefix_are_those_that_boto_finds(bucket: Bucket) -> None:
    names = [
        "a.txt",
        "a b+c%20d.txt",
        "d&e<f>.txt",
        "模型/权重.pt",
        "models/1/x",
        "models/2/y",
        "\u00e9/z",
        ".bootstrap/claims/1",
    ]
    bucket.put_tree("top/", {name: "x" for name in names})
    endpoint = Endpoint(bucket.store.endpoint, bucket.store.region)
    store = BucketStore(bucket.name, endpoint, lambda: credentials_of(bucket.store))
    for prefix in ("", "top/", "top/models/", "nothing/"):
        assert store.pipeline is not None
        assert store.pipeline.children(prefix) == store.boto.children(prefix), prefix
    assert store.children("top/") == sorted(
        [*(name for name in names if "/" not in name), *{name.split("/")[0] + "/" for name in names if "/" in name}]
    )
