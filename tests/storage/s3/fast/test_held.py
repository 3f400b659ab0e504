"""Large objects over TLS that other processes of ours read and decrypt: the same bytes, words and leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError
from bootstrap.job import Endpoint
from bootstrap.storage.common.workers import TransferStopped
from bootstrap.storage.local.digests import PIECE
from bootstrap.storage.s3.fast import client, held
from bootstrap.storage.s3.fast.growth import processes_for
from bootstrap.storage.s3.fast.held import HeldConnection, Holders
from bootstrap.storage.s3.fast.holder import Way
from bootstrap.storage.s3.fast.http1 import Meter
from bootstrap.storage.s3.keys import Keys
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy
from tests.lab.stores import Bucket, Store
from tests.lab.tls import Authority
from tests.lab.waiting import until
from tests.storage.conftest import Mover, credentials_of, stores_of, tree_of
from tests.storage.fetch.test_large_files import CONTENT, put

SMALL = {f"s{number}": b"small" * number for number in range(20)}
WHOLE = {"big": CONTENT, "middle": b"m" * 1_000_000, **SMALL}


either_kind = pytest.mark.parametrize("lab", ["an MD5", "of parts"], indirect=True)


@dataclass
class Lab:
    bucket: Bucket
    proxy: FaultyProxy
    bundle: str
    saved: list[int]
    """Bytes that other processes were told to write."""

    def mover(self, **changes: object) -> Mover:
        return Mover(stores_of(self.bucket.store, url=self.proxy.endpoint, ca_bundle=self.bundle, **changes))

    def slow(self, rate: int = 2 << 20) -> None:
        self.proxy.inject(faulty_proxy.slow(rate), key="*/c/big", method="GET", times=None)


@pytest.fixture
def lab(
    request: pytest.FixtureRequest, seaweedfs: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    """CONTENT at c/big in a store behind TLS, among others."""
    bucket, authority, saved = seaweedfs.make_bucket(), Authority(tmp_path / "authority"), list[int]()
    for name, content in WHOLE.items():
        bucket.put(f"c/{name}", content)
    put(bucket, CONTENT, in_parts=getattr(request, "param", "") != "an MD5")
    save = HeldConnection.save

    def seen(self: HeldConnection, size: int, place: object) -> None:
        saved.append(size)
        save(self, size, place)  # type: ignore[arg-type]

    monkeypatch.setattr(HeldConnection, "save", seen)
    with FaultyProxy(seaweedfs.endpoint, authority.server("127.0.0.1")) as proxy:
        yield Lab(bucket, proxy, str(authority.bundle), saved)


def holders(parent: int = 0) -> list[int]:
    """Processes that hold connections for that one, or for us."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if b"fast.holder" in words and status[0] != "Z" and int(status[1]) == (parent or os.getpid()):
            found.append(int(pid))
    return found


def here(partial: Path) -> int:
    """How many pieces of c/big a partial file says that it has."""
    with suppress(FileNotFoundError):
        return partial.read_bytes()[len(CONTENT) :].count(b"here")
    return 0


def fetching(lab: Lab, target: Path, meanwhile: Callable[[Mover], None], **changes: object) -> list[BaseException]:
    """Fetch while something happens; what was raised."""
    mover, raised = lab.mover(**changes), list[BaseException]()

    def fetch() -> None:
        try:
            mover.fetch(lab.bucket.url("c/"), target)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    try:
        meanwhile(mover)
    finally:
        lab.proxy.clear()
        thread.join(60)
    assert not thread.is_alive()
    return raised


@either_kind
def test_they_bring_what_is_large_and_are_gone_at_the_end(lab: Lab, tmp_path: Path) -> None:
    report = lab.mover(processes=2).fetch(lab.bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == WHOLE
    assert report.bytes == sum(map(len, WHOLE.values()))
    assert sum(lab.saved) == len(CONTENT), "each piece once, and all of them there"
    assert holders() == []
    assert lab.mover(processes=2).fetch(lab.bucket.url("c/"), tmp_path).files == 0


def test_no_key_is_in_their_words_or_their_environment(lab: Lab, tmp_path: Path) -> None:
    lab.slow()

    def look(_: Mover) -> None:
        until(lambda: lab.saved)
        assert len(holders()) == 2
        for pid in holders():
            told = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            assert lab.bucket.store.secret_key.encode() not in told
            assert b"AWS" not in told

    os.environ["AWS_SECRET_ACCESS_KEY"] = lab.bucket.store.secret_key
    try:
        assert fetching(lab, tmp_path, look, processes=2) == []
    finally:
        del os.environ["AWS_SECRET_ACCESS_KEY"]


@pytest.mark.parametrize("killed", [1, 2])
def test_killed_ones_fail_nothing(lab: Lab, tmp_path: Path, killed: int) -> None:
    lab.slow()

    def kill(_: Mover) -> None:
        until(lambda: len(lab.saved) >= 4)
        time.sleep(0.3)  # in the midst of it
        for pid in holders()[:killed]:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)

    assert fetching(lab, tmp_path, kill, processes=2) == []
    assert tree_of(tmp_path / "c") == WHOLE


def test_one_that_hangs_fails_nothing_and_is_ended(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "SILENCE", 2.0)
    lab.slow()

    def stop(_: Mover) -> None:
        until(lambda: len(lab.saved) >= 4)
        stopped = holders()[0]
        os.kill(stopped, signal.SIGSTOP)
        until(lambda: stopped not in holders())

    assert fetching(lab, tmp_path, stop, processes=2) == []
    assert tree_of(tmp_path / "c") == WHOLE


def test_who_asks_for_the_stop_has_it_and_the_next_fetch_goes_on(lab: Lab, tmp_path: Path) -> None:
    lab.slow(40 << 20)

    def stop(mover: Mover) -> None:
        until(lambda: len(lab.saved) >= 3 and any((tmp_path / "c").glob(".bootstrap-*.partial")))
        time.sleep(0.5)
        mover.stop.set()
        until(lambda: not holders(), limit=3)

    (raised,) = fetching(lab, tmp_path, stop, processes=1)
    assert isinstance(raised, TransferStopped)
    lab.mover(processes=2).fetch(lab.bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == WHOLE


def _runs(pid: int) -> bool:
    """A zombie, which init takes when it comes to it, does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_they_end_with_a_parent_that_is_killed_and_what_has_come_is_gone_on_with(lab: Lab, tmp_path: Path) -> None:
    last = len(CONTENT) // PIECE * PIECE
    release = threading.Event()

    def hold(handler: faulty_proxy.Handler) -> None:
        if f"bytes={last}-" in (handler.headers["Range"] or ""):
            release.wait(60)

    lab.proxy.inject(faulty_proxy.Fault("the last piece waits", first=hold), key="*/c/big", times=None)
    environ = {**os.environ, **lab.bucket.store.env(), "S3_ENDPOINT": lab.proxy.endpoint, "AWS_CA_BUNDLE": lab.bundle}
    words = ["copy", "-q", "-r", "--tls-processes", "2", lab.bucket.url("c/"), f"{tmp_path}/c"]
    process = subprocess.Popen([sys.executable, "-m", "bootstrap", *words], env=environ)
    try:
        until(lambda: any(here(each) == last // PIECE for each in (tmp_path / "c").glob(".bootstrap-*.partial")))
        ours = holders(process.pid)
        assert len(ours) == 2
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        release.set()
    until(lambda: not any(map(_runs, ours)), limit=20)
    lab.proxy.clear()
    report = lab.mover(processes=2).fetch(lab.bucket.url("c/"), tmp_path / "c", direct=True)
    assert report.bytes < PIECE + sum(map(len, WHOLE.values())) - len(CONTENT)
    assert tree_of(tmp_path / "c") == WHOLE


def test_a_store_that_they_do_not_trust_is_read_by_us(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = str(Authority(tmp_path / "stranger").bundle)
    monkeypatch.setattr(client, "authorities", lambda **_: stranger)
    lab.mover(processes=2).fetch(lab.bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == WHOLE
    assert not lab.saved


def test_a_machine_that_starts_no_process_does_without(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    lab.mover(processes=2).fetch(lab.bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == WHOLE
    assert not lab.saved


def test_what_is_refused_is_told_in_the_same_words(lab: Lab, tmp_path: Path) -> None:
    def refuse(handler: faulty_proxy.Handler) -> None:
        handler.answer(403, [], b"<Error><Code>AccessDenied</Code></Error>")
        handler.skip()

    said = []
    for processes in (0, 2):
        lab.proxy.inject(faulty_proxy.Fault("refused", first=refuse), key="*/c/big", method="GET", times=None)
        with pytest.raises(BootstrapError, match="AccessDenied") as raised:
            lab.mover(processes=processes).fetch(lab.bucket.url("c/"), tmp_path / str(processes))
        said.append((type(raised.value), raised.value.what, raised.value.why))
        lab.proxy.clear()
    assert said[0] == said[1]


@either_kind
def test_bytes_that_break_off_or_are_wrong_are_brought_again(lab: Lab, tmp_path: Path) -> None:
    lab.proxy.inject(faulty_proxy.truncated(3_000_000), key="*/c/big", method="GET", times=2)
    if not lab.bucket.client.head_object(Bucket=lab.bucket.name, Key="c/big")["ETag"].count("-"):
        lab.proxy.inject(faulty_proxy.corrupted(5000), key="*/c/big", method="GET", times=1)
    lab.mover(processes=2).fetch(lab.bucket.url("c/"), tmp_path)
    assert tree_of(tmp_path / "c") == WHOLE


# --- when there are any ---


def of(lab: Lab, **changes: object) -> client.FastClient:
    endpoint = Endpoint(**{"url": lab.proxy.endpoint, "ca_bundle": lab.bundle, **changes})  # type: ignore[arg-type]
    return client.FastClient("bucket", endpoint, Keys(lambda: credentials_of(lab.bucket.store)))


@pytest.mark.parametrize(("cores", "count"), [(1, 0), (2, 0), (3.9, 0), (4, 2), (6, 3), (8, 4), (64, 4)])
def test_there_are_as_many_as_cores_are_for(cores: float, count: int) -> None:
    assert processes_for(cores) == count


def test_few_cores_a_store_without_tls_and_who_wants_none_have_none(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bootstrap.ground.machine.cores.usable", lambda: 2.0)
    assert of(lab, processes=None).processes() is None
    assert of(lab, processes=1).processes() is not None
    monkeypatch.setattr("bootstrap.ground.machine.cores.usable", lambda: 8.0)
    assert of(lab, url=lab.bucket.store.endpoint, processes=None).processes() is None
    assert of(lab).processes() is None
    assert of(lab, processes=None).processes() is not None


def test_they_are_started_when_we_are_short_of_cpu_and_much_is_left(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_BUSY", 0.05)  # beside others we may have no core of our own
    fast = of(lab)
    port = int(lab.proxy.endpoint.rpartition(":")[2])
    there = Holders(Way(os.getpid(), "127.0.0.1", port, True, True, lab.bundle), fast, 1, at_once=False)

    def busy(left: int) -> None:
        until = time.process_time() + 0.8
        while time.process_time() < until:
            there.used(left)

    try:
        there.used(1000)
        time.sleep(0.5)
        there.used(1000)
        assert holders() == [], "we wait for the store"
        busy(3)
        assert holders() == [], "it is not worth it"
        busy(1000)
        until(lambda: there.ready)
        assert there.used(1000)[1] == 1
        connection = there.connect(Meter())
        assert connection is not None
        until(connection.opened)
    finally:
        there.close()
    assert holders() == []


def test_a_file_that_takes_no_more_is_told_with_its_reason(lab: Lab, tmp_path: Path) -> None:
    """No disk is full in the midst of it, since room is reserved at first; a quota may be."""
    (tmp_path / "file").write_bytes(b"")
    port = int(lab.proxy.endpoint.rpartition(":")[2])
    there = Holders(Way(os.getpid(), "127.0.0.1", port, True, True, lab.bundle), of(lab), 1, at_once=True)

    class Place:
        at, sums = 0, False
        file = os.open(tmp_path / "file", os.O_RDONLY)

        def take(self, data: memoryview) -> None:
            raise AssertionError("it is not we who write")

        def took(self, size: int, crc: int) -> None:
            raise AssertionError("nothing can be written")

        def refused(self, number: int) -> None:
            raise PermissionError(number, "refused")

    class Requests:
        def get(self, key: str, start: int = 0, end: int = 0) -> bytes:
            return b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"

    try:
        assert there.ready
        there._requests = Requests()
        connection = there.connect(Meter())
        assert connection is not None
        until(connection.opened)
        connection.get("k")
        answer = connection.answer()
        assert answer.size > 0
        with pytest.raises(PermissionError, match="refused"):
            connection.save(answer.size, Place())
        connection.close()
    finally:
        there.close()
        os.close(Place.file)
