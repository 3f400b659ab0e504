"""https:// and http://: whole and verified, from servers as they are, and secrets to nobody else."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path

import pytest

from bootstrap.errors import (
    ArchiveInvalid,
    BootstrapError,
    ChecksumWrong,
    CredentialsRejected,
    DiskFull,
    EndpointWrong,
    NothingThere,
    PermissionDenied,
    RequestRefused,
    StoreUnavailable,
    UrlInvalid,
    UsageError,
)
from bootstrap.job import Endpoint
from bootstrap.storage.destination import destination
from bootstrap.storage.model.scheme import Surroundings
from bootstrap.storage.model.url import shown
from bootstrap.storage.open import Stores
from bootstrap.storage.schemes import needs_keys, parse
from bootstrap.storage.web import client
from tests.lab.stores import LabUnavailable
from tests.lab.tls import Authority
from tests.lab.web import Web, running_nginx, running_web
from tests.storage.conftest import MemoryLog, Mover, SmallDisk

LARGE = os.urandom(1 << 20) * 40  # 40 MiB: in pieces


def mover_of(**surroundings: object) -> Mover:
    def no_keys() -> None:
        raise AssertionError("the web was asked for with the store's keys")

    log = MemoryLog()
    around = Surroundings(**{"retry_window": 5.0, **surroundings})  # type: ignore[arg-type]
    return Mover(Stores(Endpoint(""), no_keys, log, around), log)  # type: ignore[arg-type]


@pytest.fixture
def web() -> Iterator[Web]:
    with running_web() as found:
        yield found


@pytest.fixture
def mover() -> Mover:
    return mover_of()


def tar_of(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- what people write ---


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("https://h.example/a/b.tar.gz", "b.tar.gz", "https://h.example/a/b.tar.gz"),
        ("HTTP://h:81/a%20b.txt", "a b.txt", "http://h:81/a%20b.txt"),
        ("https://[::1]:8443/x?token=SECRET", "x", "https://[::1]:8443/x?..."),
        ("https://me:SECRET@h/x", "x", "https://h/x"),
        ("https://h/..%2F..%2Fetc%2Fx", "..%2F..%2Fetc%2Fx", "https://h/..%2F..%2Fetc%2Fx"),
        ("https://h/x?a=SECRET#sha256=" + "A" * 64, "x", "https://h/x?...#sha256=" + "a" * 64),
    ],
)
def test_a_web_address_is_one_file_and_its_secrets_are_never_shown(text: str, name: str, said: str) -> None:
    place = parse(text)
    assert (place.name, str(place)) == (name, said)
    assert not needs_keys(place) and not place.is_directory
    assert "SECRET" not in f"{place!r} {place} {shown(text)}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://", "without a host"),
        ("https://h:x/a", "without a host"),
        ("https://h/", "no file's"),
        ("https://h/dir/?token=SECRET", "no file's"),
        ("https://h/a b", "a character"),
        ("https://h/a\r\nHost: x", "a character"),
        ("https://h/a#egg=x", "no checksum"),
        ("https://h/a#sha256=abc", "no checksum"),
        ("http:h/a", "two slashes"),
    ],
)
def test_what_cannot_be_a_file_of_the_web_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(UrlInvalid, match=said) as caught:
        parse(text)
    assert "SECRET" not in str(caught.value)


def test_nothing_is_delivered_to_the_web() -> None:
    with pytest.raises(UrlInvalid, match="nothing can be delivered"):
        destination("https://h/results/x", "--log")


# --- fetched ---


def test_a_file_comes_once_and_is_remembered(web: Web, mover: Mover, tmp_path: Path) -> None:
    url = web.put("/d/weights.bin", b"w" * 1000)
    report = mover.fetch(url, tmp_path)
    assert (tmp_path / "weights.bin").read_bytes() == b"w" * 1000
    assert (report.files, report.skipped) == (1, 0)
    asked = len(web.asked)
    assert mover.fetch(url, tmp_path).skipped == 1
    assert len(web.asked) == asked + 1, "one look, and no second download"
    web.put("/d/weights.bin", b"v" * 1000)
    assert mover.fetch(url, tmp_path).files == 1
    assert (tmp_path / "weights.bin").read_bytes() == b"v" * 1000


@pytest.mark.parametrize("name", ["weights.bin", "code.tar"])
def test_a_time_in_whole_seconds_alone_is_remembered_once_it_has_passed(
    web: Web, mover: Mover, tmp_path: Path, name: str
) -> None:
    def put(content: bytes, ago: float) -> str:
        headers = {"Last-Modified": formatdate(time.time() - ago, usegmt=True)}
        body = content if name == "weights.bin" else gzip.decompress(tar_of(**{"a.py": content}))
        return web.put(f"/d/{name}", body, etag=None, headers=headers)

    mover.fetch(put(b"one", 0), tmp_path)
    assert mover.fetch(put(b"two", 0), tmp_path).files == 1
    mover.fetch(put(b"two", 60), tmp_path)
    assert mover.fetch(f"{web.url}/d/{name}", tmp_path).skipped == 1
    (there,) = (path for path in tmp_path.rglob("*") if path.name in ("a.py", "weights.bin"))
    assert there.read_bytes() == b"two"


@pytest.mark.parametrize("how", [{}, {"ranges": False}, {"sized": False}, {"sized": False, "ranges": False}],
                         ids=["plain", "no ranges", "no length", "neither"])  # fmt: skip
def test_an_archive_is_unpacked_from_every_kind_of_server(web: Web, mover: Mover, tmp_path: Path, how: dict) -> None:  # type: ignore[type-arg]
    noise = os.urandom(9 << 20)  # several pieces
    archive = tar_of(**{"a.py": b"#!/bin/sh\n", "noise": noise})
    url = web.put("/code.tar.gz", archive, **how)
    mover.fetch(f"{url}#sha256={digest(archive)}", tmp_path)
    assert (tmp_path / "code" / "noise").read_bytes() == noise
    assert os.access(tmp_path / "code" / "a.py", os.X_OK)


def test_an_empty_file(web: Web, mover: Mover, tmp_path: Path) -> None:
    mover.fetch(web.put("/empty", b""), tmp_path)
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_large_file_comes_in_pieces_and_a_broken_answer_costs_a_piece(web: Web, mover: Mover, tmp_path: Path) -> None:
    url = web.put("/large", LARGE, breaks=2)
    mover.fetch(f"{url}#sha256={digest(LARGE)}", tmp_path)
    assert (tmp_path / "large").read_bytes() == LARGE
    ranges = {headers.get("range", "") for _, headers in web.asked}
    assert {"bytes=0-16777215", "bytes=16777216-33554431"} <= ranges


def test_a_killed_fetch_goes_on_where_it_was(web: Web, mover: Mover, tmp_path: Path) -> None:
    """The first piece is there when the server begins to refuse the others."""
    url = web.put("/large", LARGE)
    code = (
        "import sys, threading, os; from pathlib import Path; from bootstrap.storage.fetch import large_file as l\n"
        "was = l.LargeFile.arrived\n"
        "def once(self, start, crc):\n"
        "    was(self, start, crc); os._exit(9)\n"
        "l.LargeFile.arrived = once\n"
        "from tests.storage.web.test_web import mover_of\n"
        "mover_of().fetch(sys.argv[1], Path(sys.argv[2]))"
    )
    killed = subprocess.run([sys.executable, "-c", code, url, tmp_path], cwd=Path(__file__).parents[3], timeout=120)
    assert killed.returncode == 9
    assert list(tmp_path.glob(".bootstrap-*.partial"))
    web.asked.clear()
    mover.fetch(url, tmp_path)
    assert (tmp_path / "large").read_bytes() == LARGE
    pieces = [headers["range"] for _, headers in web.asked if headers.get("range", "bytes=0-0") != "bytes=0-0"]
    assert 0 < len(pieces) < 3


def test_a_file_that_changes_while_it_comes_is_never_a_mixture(web: Web, mover: Mover, tmp_path: Path) -> None:
    url = web.put("/large", LARGE)
    store = mover.stores.open(parse(url))
    entry = store.stat("large")
    assert entry is not None
    web.put("/large", LARGE[::-1])
    with pytest.raises(BootstrapError, match="changed"):
        store.read("large", start=5, end=9, etag=entry.etag)


@pytest.mark.parametrize("content", [b"short", LARGE], ids=["short", "large"])
def test_a_wrong_checksum_ends_it_and_leaves_nothing(web: Web, mover: Mover, tmp_path: Path, content: bytes) -> None:
    url = web.put("/x", content)
    with pytest.raises(ChecksumWrong, match=digest(content)) as caught:
        mover.fetch(f"{url}#sha256={'0' * 64}", tmp_path)
    assert caught.value.code == 124 and not (tmp_path / "x").exists()


def test_a_wrong_checksum_of_an_archive_is_told_as_that(web: Web, mover: Mover, tmp_path: Path) -> None:
    for content, expected in ((tar_of(a=b"a"), ChecksumWrong), (b"no archive", ChecksumWrong)):
        url = web.put("/x.tar.gz", content)
        with pytest.raises(expected):
            mover.fetch(f"{url}#sha256={'0' * 64}", tmp_path)
    with pytest.raises(ArchiveInvalid):
        mover.fetch(url, tmp_path)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("status", "expected"),
    [(401, CredentialsRejected), (403, PermissionDenied), (404, NothingThere), (410, NothingThere),
     (405, RequestRefused), (500, StoreUnavailable), (503, StoreUnavailable)],
)  # fmt: skip
def test_what_a_server_answers_has_a_cause(web: Web, tmp_path: Path, status: int, expected: type) -> None:
    mover = mover_of(retry_window=0.0)
    with pytest.raises(expected, match=str(status)) as caught:
        mover.fetch(web.put("/x", status=status) + "?key=SECRET", tmp_path)
    assert "SECRET" not in f"{caught.value} {caught.value.lines()}"


def test_a_server_that_is_away_for_a_moment_is_waited_for(web: Web, mover: Mover, tmp_path: Path) -> None:
    import threading

    url = web.put("/x", status=503)
    later = threading.Timer(0.5, web.put, ("/x", b"there"))
    later.start()
    mover.fetch(url, tmp_path)
    later.join()
    assert (tmp_path / "x").read_bytes() == b"there"


# --- redirects and secrets ---


def test_redirects_are_followed_and_secrets_stay_with_their_server(web: Web, mover: Mover, tmp_path: Path) -> None:
    with running_web() as other:
        here = other.put("/cdn/x?signed=1".partition("?")[0], b"content")
        web.put("/moved", redirect=f"{here}?signed=1", user="me:SECRET-TOKEN")
        url = web.put("/x", redirect="/moved", user="me:SECRET-TOKEN")
        mover.fetch(url.replace("://", "://me:SECRET-TOKEN@") + "?apikey=SECRET-KEY", tmp_path)
        assert (tmp_path / "x").read_bytes() == b"content"
        assert all("authorization" not in headers for _, headers in other.asked)
        assert "SECRET" not in str(other.asked)
    assert all("authorization" in headers for _, headers in web.asked)
    assert "SECRET" not in str(mover.log.lines)


def test_a_redirect_whose_address_is_not_escaped(web: Web, mover: Mover, tmp_path: Path) -> None:
    web.put("/%E6%95%B0/x%20y", b"content")
    mover.fetch(web.put("/x", redirect="/\u6570/x y".encode().decode("latin-1")), tmp_path)
    assert (tmp_path / "x").read_bytes() == b"content"


def test_a_user_of_a_url_is_masked_from_then_on(web: Web, tmp_path: Path) -> None:
    masked: list[str] = []
    mover = mover_of(mask=lambda name, value: masked.append(value))
    url = web.put("/x", b"x", user="me:SECRET-TOKEN").replace("://", "://me:SECRET-TOKEN@")
    mover.fetch(url, tmp_path)
    assert masked == ["me:SECRET-TOKEN"]


@pytest.mark.parametrize(
    ("target", "said"),
    [("/loop", "more than 10 redirects"), ("file:///etc/passwd", "no web address"), ("ftp://h/x", "no web address"),
     ("http://[", "no web address")],
)  # fmt: skip
def test_redirects_have_bounds(web: Web, mover: Mover, tmp_path: Path, target: str, said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        mover.fetch(web.put("/loop", redirect=target), tmp_path)
    assert len(web.asked) <= 11


def test_tls_is_checked_against_the_jobs_authorities_and_never_left_on_the_way(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    context = authority.server("127.0.0.1")

    def wrap(listening: object) -> ssl.SSLSocket:
        return context.wrap_socket(listening, server_side=True)  # type: ignore[arg-type]

    with running_web(wrap) as secure, running_web() as plain:
        url = secure.put("/x", b"x")
        trusting = mover_of(ca_bundle=str(authority.bundle))
        trusting.fetch(url, tmp_path / "a")
        assert (tmp_path / "a" / "x").read_bytes() == b"x"
        with pytest.raises(EndpointWrong, match="not trusted"):
            mover_of().fetch(url, tmp_path / "b")
        mover_of(verify=False).fetch(url, tmp_path / "c")
        down = secure.put("/down", redirect=plain.put("/y", b"y"))
        with pytest.raises(RequestRefused, match="from https:// to http://"):
            trusting.fetch(down, tmp_path / "d")
        assert plain.asked == []


def test_the_proxy_of_the_environment_is_used(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's server answers for any host when it is asked as a proxy."""
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    web.put("/x", b"through")
    monkeypatch.setenv("http_proxy", web.url.replace("://", "://user:pass-word@"))
    mover_of().fetch("http://far.away.example/x", tmp_path)
    assert (tmp_path / "x").read_bytes() == b"through"
    path, headers = web.asked[0]
    assert path == "http://far.away.example/x" and headers["proxy-authorization"].startswith("Basic ")
    monkeypatch.setenv("no_proxy", "far.away.example")
    with pytest.raises(BootstrapError, match="no address"):
        mover_of(retry_window=0.0).fetch("http://far.away.example/x", tmp_path)


# --- as everywhere else ---


def test_listing_copying_and_looking(web: Web, mover: Mover, tmp_path: Path) -> None:
    url = web.put("/x.bin", b"12345")
    store = mover.stores.open(parse(url))
    assert [(entry.key, entry.size) for entry in store.entries("x.bin")] == [("x.bin", 5)]
    assert store.stat("other") is None and store.children("") == []
    with pytest.raises(UsageError, match="nothing below"):
        list(store.entries("x.bin/"))
    with pytest.raises(UsageError, match="nothing can be written"):
        store.write("x.bin", b"")


def test_nginx_says_the_same(mover: Mover, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(0o755)
    (root / "large").write_bytes(LARGE)
    (root / "code.tar.gz").write_bytes(tar_of(a=b"a"))
    try:
        with running_nginx(root, tmp_path / "nginx") as url:
            mover.fetch(f"{url}/moved/large#sha256={digest(LARGE)}", tmp_path / "to")
            assert (tmp_path / "to" / "large").read_bytes() == LARGE
            assert mover.fetch(f"{url}/moved/large#sha256={digest(LARGE)}", tmp_path / "to").skipped == 1
            mover.fetch(f"{url}/files/code.tar.gz", tmp_path / "to")
            assert (tmp_path / "to" / "code" / "a").read_bytes() == b"a"
            with pytest.raises(NothingThere):
                mover.fetch(f"{url}/files/absent", tmp_path / "to")
    except LabUnavailable as reason:
        pytest.skip(f"lab: {reason}")


def test_which_state_of_a_file_came_is_told(web: Web, tmp_path: Path) -> None:
    content = b"x" * 100
    digest = hashlib.sha256(content).hexdigest()
    url = web.put("/x", content, etag='"abc-1"')
    assert mover_of().fetch(url, tmp_path).revision == "etag:abc-1"
    assert mover_of().fetch(f"{url}#sha256={digest}", tmp_path / "checked").revision == f"sha256:{digest}"


# --- what a server says of itself ---


@contextmanager
def saying(head: bytes, more: bytes = b"", pause: float = 0.0) -> Iterator[str]:
    """A server that answers everybody with ``head``, then with ``more`` again and again; and its address."""
    over = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while not over.is_set():
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    connection.recv(1 << 16)
                    connection.sendall(head)
                    while more and not over.wait(pause):
                        connection.sendall(more)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/f"
        finally:
            over.set()
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc",
        OK + b"Content-Length: 3, 3\r\n\r\nabc",
        OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_http_allows_is_taken_as_it_is_meant(answer: bytes, tmp_path: Path) -> None:
    with saying(answer) as url:
        mover_of().fetch(url, tmp_path)
    assert (tmp_path / "f").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (OK + b"Content-Le", "the head of an answer broke off"),
        (OK + b"ETag: x\r\n", "the head of an answer broke off"),
        (OK + b"Content-Length: -3\r\n\r\nabc", "Content-Length makes no sense: -3"),
        (OK + b"Content-Length: 3, 4\r\n\r\nabc", "Content-Length makes no sense: 3, 4"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" + b"x: y\r\n" * 200, "trailer .* does not end"),
    ],
)
def test_what_makes_no_sense_is_no_file(answer: bytes, said: str, tmp_path: Path) -> None:
    with saying(answer) as url, pytest.raises(StoreUnavailable, match=said):
        mover_of(retry_window=0.1).fetch(url, tmp_path)
    assert not (tmp_path / "f").exists()


def test_a_body_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_SILENCE", 1.0)
    head = OK + b"Content-Length: 100000\r\n\r\n"
    with saying(head, b"x", 0.02) as url, pytest.raises(StoreUnavailable, match="bytes came a second"):
        mover_of(retry_window=0.1).fetch(url, tmp_path)


def test_a_body_without_end_leaves_room_for_others(
    tmp_path: Path, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = small_disk(size=8 << 20)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with saying(OK + b"Transfer-Encoding: chunked\r\n\r\n", chunk) as url, pytest.raises(DiskFull, match="or more"):
        mover_of(retry_window=0.1).fetch(url, tmp_path)
