"""An outage that is shorter than the retry window is survived, a longer one is told, and no refusal waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from bootstrap.errors import BootstrapError, NameUnresolved, PermissionDenied, RequestRefused, StoreUnavailable
from bootstrap.storage.common.rate_limit import RateLimit
from bootstrap.storage.common.retry import Retry, Trouble, passing
from bootstrap.storage.common.workers import TransferStopped
from bootstrap.storage.model.store import RetryWindow
from tests.lab import faulty_proxy
from tests.lab.faulty_proxy import FaultyProxy, Injection
from tests.lab.stores import Store
from tests.storage.conftest import MemoryLog, Mover, make_tree, stores_of, tree_of

FILES = {f"d/{number}": b"%d" % number * 50 for number in range(30)}


def end_later(faulty: FaultyProxy, injection: Injection, seconds: float) -> threading.Thread:
    """The outage ends so long after it was first felt."""

    def end() -> None:
        assert injection.fired.wait(60)
        time.sleep(seconds)
        faulty.clear()

    thread = threading.Thread(target=end)
    thread.start()
    return thread


@pytest.mark.parametrize("fault", [faulty_proxy.refused(503, "SlowDown"), faulty_proxy.reset()], ids=lambda f: f.name)
def test_an_outage_on_the_way_up_is_survived(
    fault: faulty_proxy.Fault, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    make_tree(tmp_path, FILES)
    log = MemoryLog()
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint, retry_window=60), log)
    thread = end_later(faulty, faulty.inject(fault, times=None), 5)
    report = mover.deliver(tmp_path, bucket.url("o/"))
    thread.join()
    assert report.complete
    assert bucket.tree("o/") == FILES
    complaints = [facts for level, event, facts in log.lines if level == "warning" and "try again" in event]
    assert complaints  # a silent bootstrap looks hung
    assert len(complaints) < 5  # and one that says it for every file is not read
    assert all(0 < float(str(facts["for_seconds"])) <= 60 for facts in complaints)


@pytest.mark.parametrize("where", ["listing", "bodies"])
def test_an_outage_on_the_way_down_is_survived(
    where: str, seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put_tree("c/", FILES)
    key = {"listing": bucket.name + "*", "bodies": "*/d/*"}[where]
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint, retry_window=60))
    thread = end_later(faulty, faulty.inject(faulty_proxy.refused(), method="GET", key=key, times=None), 5)
    mover.fetch(bucket.url("c/"), tmp_path)
    thread.join()
    assert tree_of(tmp_path / "c") == FILES


def test_a_longer_outage_is_worth_a_retry_and_says_how_long_was_tried(
    seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("c/a", b"a")
    injection = faulty.inject(faulty_proxy.refused(503, "SlowDown"), times=None)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint, retry_window=3))
    with pytest.raises(StoreUnavailable, match=r"SlowDown .*; tried \d+ times in \d+ s \(--store-timeout\)") as raised:
        mover.fetch(bucket.url("c/"), tmp_path)
    assert raised.value.code == 200
    assert injection.hits > 4  # botocore alone, and the fast path, would have ended before
    with pytest.raises(StoreUnavailable, match="nothing was served"):  # nor is it waited for again
        mover.deliver(make_tree(tmp_path / "up", {"a": b"a"}), bucket.url("o/"))


def test_a_stop_ends_the_waiting(seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint, retry_window=3600))
    injection = faulty.inject(faulty_proxy.refused(), times=None)
    outcome: list[object] = []

    def fetch() -> None:
        try:
            outcome.append(mover.fetch(bucket.url("c/"), tmp_path))
        except TransferStopped as stopped:
            outcome.append(stopped)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert injection.fired.wait(60)
    mover.stop.set()
    thread.join(60)
    assert isinstance(outcome[0], TransferStopped)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AccessDenied", PermissionDenied),
        (400, "InvalidRequest", RequestRefused),
        (501, "NotImplemented", StoreUnavailable),
    ],
)
def test_what_waiting_does_not_cure_is_not_waited_for(
    status: int, code: str, error: type[BootstrapError], seaweedfs: Store, faulty: FaultyProxy, tmp_path: Path
) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("c/a", b"a")
    injection = faulty.inject(faulty_proxy.refused(status, code), key="*/c/a", times=None)
    mover = Mover(stores_of(seaweedfs, url=faulty.endpoint, retry_window=3600))
    with pytest.raises(error, match=code):
        mover.fetch(bucket.url("c/"), tmp_path)
    assert injection.hits <= 4
    make_tree(tmp_path / "up", {"a": b"a", "b": b"b"})
    assert code in dict(mover.deliver(tmp_path / "up", bucket.url("c/")).failed)["a"]


def test_a_resolver_that_does_not_answer_may_in_a_moment_and_a_name_that_is_not_there_will_not_be() -> None:
    assert passing(NameUnresolved("x", temporary=True))
    assert not passing(NameUnresolved("x", temporary=False))
    assert not passing(NameUnresolved("x"))


def test_a_store_that_does_not_serve_may_serve_again_unless_who_asked_it_knows_better() -> None:
    assert passing(StoreUnavailable("x"))
    assert not passing(StoreUnavailable("x", temporary=False))


@dataclass
class Clock:
    """Time that passes only in pauses, for looking at the pauses themselves."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def is_set(self) -> bool:
        return False

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        self.now += timeout or 0.0
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("bootstrap.storage.common.retry.time", clock)
    monkeypatch.setattr("bootstrap.storage.model.store.time", clock)
    return clock


def failing(error: Callable[[], BootstrapError]) -> Callable[[], None]:
    def work() -> None:
        raise error()

    return work


def test_pauses_grow_up_to_a_bound_are_never_alike_and_end_with_the_time(clock: Clock) -> None:
    with pytest.raises(StoreUnavailable):
        Retry(RetryWindow(120), clock)(failing(lambda: StoreUnavailable("x")))
    assert clock.now == pytest.approx(1120)
    assert all(0.1 * 2**n <= pause <= 0.2 * 2**n for n, pause in enumerate(clock.pauses[:5]))
    assert max(clock.pauses) <= 10
    assert len(set(clock.pauses)) == len(clock.pauses)


def test_a_store_that_is_down_is_waited_for_once_and_not_again_for_each_piece_of_work(clock: Clock) -> None:
    retry_window = RetryWindow(120)
    for said in ("tried .* times in 120 s", "nothing .* in 120 s", "nothing .* in 120 s"):
        with pytest.raises(StoreUnavailable, match=said):
            Retry(retry_window, clock)(failing(lambda: StoreUnavailable("x")))
    assert clock.now == pytest.approx(1120)
    Retry(retry_window, clock)(lambda: None)
    with pytest.raises(StoreUnavailable):
        Retry(retry_window, clock)(failing(lambda: StoreUnavailable("x")))
    assert clock.now == pytest.approx(1240), "it served somebody in between: this is another outage"
    clock.now += 3600
    with pytest.raises(StoreUnavailable):
        Retry(retry_window, clock)(failing(lambda: StoreUnavailable("x")))
    assert clock.now == pytest.approx(1240 + 3600 + 120), "nobody has asked for an hour: nor do we know of one"


def test_a_hiccup_is_not_worth_a_word(clock: Clock) -> None:
    said: list[tuple[Trouble, float]] = []
    tries = iter([StoreUnavailable("x"), StoreUnavailable("x")])

    def work() -> str:
        for error in tries:
            raise error
        return "done"

    assert Retry(RetryWindow(120), clock, say=lambda *words: said.append(words))(work) == "done"
    assert said == []


def test_a_store_that_is_asked_too_much_is_asked_less(clock: Clock) -> None:
    class Complained(RateLimit):
        complaints = 0

        def complaint(self) -> None:
            self.complaints += 1

    rate_limit = Complained()
    for overload in (True, True, False):
        with pytest.raises(StoreUnavailable):
            Retry(RetryWindow(0.05), clock, rate_limit=rate_limit)(
                failing(partial(StoreUnavailable, "x", overload=overload))
            )
    assert rate_limit.complaints == 2
