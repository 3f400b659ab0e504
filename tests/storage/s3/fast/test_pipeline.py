"""How many connections a transfer opens, and what its workers do when there can be no more threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from bootstrap.storage.model.pipeline import Exchange
from bootstrap.storage.s3.fast.backlog import Backlog


def exchanges(count: int) -> list[Exchange]:
    return [Exchange() for _ in range(count)]


class Long(Exchange):
    weight, reads = 16, True


class LongWrite(Exchange):
    weight = 16


def begun(backlog: Backlog[Exchange], seconds: float = 0.3) -> int:
    """How many connections are opened in that time, while this test does nothing: it stands for a slow network."""
    return sum(threads_of(backlog, seconds))


def threads_of(backlog: Backlog[Exchange], seconds: float = 0.3) -> list[int]:
    """How many connections each thread opens."""
    stop, threads = threading.Event(), list[int]()

    def take() -> None:
        for _ in backlog.threads(stop):
            threads.append(1)
            while backlog.admits(threads[-1]):
                threads[-1] += 1

    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    taking.join(seconds)
    stop.set()
    taking.join(20)
    assert not taking.is_alive()
    return threads


def test_one_connection_is_the_beginning() -> None:
    assert begun(Backlog(exchanges(1000))) == 1


def test_the_first_answer_of_a_store_that_thinks_opens_many() -> None:
    backlog = Backlog(exchanges(1000))
    backlog.answered(1, lag=0.021, link=0.001)
    assert 90 < begun(backlog) <= 100


def test_what_a_listing_took_is_a_hint_and_no_more() -> None:
    assert begun(Backlog(exchanges(1000), thinks=0.005)) == 25
    assert begun(Backlog(exchanges(1000), thinks=5.0)) == 64


def test_connections_that_cost_more_than_they_save_are_not_opened() -> None:
    backlog = Backlog(exchanges(100), opening=0.003)  # a handshake of TLS
    backlog.answered(1, lag=0.021, link=0.001)
    assert begun(backlog) == 18, "the root of 100 times 20 ms by 6 ms"


def test_one_thread_serves_them_all_where_it_only_waits_for_the_store() -> None:
    backlog = Backlog(exchanges(1000), thinks=0.05)
    backlog.worked(0.0002)
    assert threads_of(backlog) == [64]


def test_files_in_a_slow_place_are_written_by_many_threads() -> None:
    backlog = Backlog(exchanges(1000), thinks=0.05)
    backlog.answered(1, lag=0.05)
    backlog.worked(0.006)
    threads = threads_of(backlog)
    assert (max(threads), len(threads) > 20) == (4, True)


def test_a_long_answer_has_a_thread_of_its_own() -> None:
    long = [Long() for _ in range(3)]
    backlog = Backlog([*exchanges(1000), *long], heavy=3, thinks=0.05)
    assert threads_of(backlog) == [1] * 64
    assert backlog.more(0, 0, alone=False)[0] not in long
    assert [backlog.more(0, 0)[0] for _ in range(3)] == long


def test_the_latency_of_the_link_alone_opens_none() -> None:
    backlog = Backlog(exchanges(1000))
    backlog.answered(1, lag=0.051, link=0.050)
    assert begun(backlog) == 1


def test_large_objects_have_their_connections_at_once() -> None:
    assert begun(Backlog(exchanges(1000), heavy=100)) == 16
    assert begun(Backlog(exchanges(1000), heavy=100, heavy_at_once=4)) == 4


def test_what_is_sent_counts_when_it_is_answered() -> None:
    """The kernel takes megabytes of each connection at once: else any number of them would look like a gain, and a
    store that cannot cope would get all at once.
    """
    writers = Backlog[Exchange]([LongWrite() for _ in range(256)], heavy=256)
    assert begun(writers) == 32
    meter = writers.opened()
    meter.bytes += 8 << 20
    assert writers._bytes() == 0
    writers.settled(meter, 5.0)
    assert writers._bytes() == 8 << 20
    assert 0.2 < writers._window <= 6.0, "a rate is taken over what a part takes, not over a moment"
    meter.bytes += 1 << 20
    writers.closed(meter)
    assert writers._bytes() == 8 << 20, "what was not answered goes again, and counts then"
    readers = Backlog[Exchange]([Long() for _ in range(32)], heavy=32)
    meter = readers.opened()
    meter.bytes += 8 << 20
    readers.settled(meter, 5.0)
    assert (readers._bytes(), readers._window) == (8 << 20, 0.2)


def test_of_long_answers_what_the_store_thinks_is_the_smaller_part() -> None:
    """Over TLS more of them would only take the interpreter from each other; a rate that grows opens more."""
    backlog = Backlog[Exchange]([Long() for _ in range(32)], heavy=32, heavy_at_once=4, thinks=0.05)
    backlog.answered(1, lag=0.05)
    assert begun(backlog) == 4
    with_small_ones = Backlog[Exchange]([*[Long() for _ in range(32)], *exchanges(1000)], heavy=32, heavy_at_once=4)
    with_small_ones.answered(1, lag=0.05)
    assert begun(with_small_ones) == 250


def test_what_an_earlier_transfer_learnt_is_where_the_next_begins() -> None:
    assert begun(Backlog(exchanges(1000), start=77)) == 77


def test_a_connection_that_is_busy_keeps_nobody_from_what_waits() -> None:
    backlog = Backlog[Exchange]([Long() for _ in range(32)], heavy=32, start=32)
    threads = backlog.threads(threading.Event())
    for _ in range(16):
        next(threads)
        assert len(backlog.more(0, 0)) == 1
        backlog.asked()
    assert begun(backlog) == 16


def test_no_more_connections_than_there_is_to_do() -> None:
    assert begun(Backlog(exchanges(3), start=77)) == 3


def test_much_is_sent_ahead_where_it_hides_a_link_and_little_where_the_store_thinks() -> None:
    quick, slow = Backlog(exchanges(1000)), Backlog(exchanges(1000))
    assert len(quick.more(0, 0)) == 4, "nothing is known yet"
    quick.answered(1, gap=0.0002)
    slow.answered(1, gap=0.02)
    assert (len(quick.more(0, 0)), len(slow.more(0, 0))) == (32, 2)


def test_the_last_ones_are_left_to_connections_that_have_nothing_to_do() -> None:
    backlog = Backlog(exchanges(4), start=4)
    assert begun(backlog, 0.1) == 4
    assert [len(backlog.more(0, 0)) for _ in range(4)] == [2, 1, 1, 0]


def test_a_connection_too_many_is_given_nothing_when_it_has_done_what_it_had() -> None:
    backlog = Backlog(exchanges(1000), start=4)
    assert begun(backlog, 0.1) == 4
    backlog.refused(Exchange())
    assert backlog.growth.target == 2
    assert backlog.more(0, 0) == []
    backlog.ended()
    backlog.ended()
    assert backlog.more(0, 0)


def test_what_a_store_refuses_as_too_much_is_asked_again_a_few_times_and_then_left_to_boto3() -> None:
    backlog, exchange = Backlog[Exchange]([]), Exchange()
    for _ in range(3):
        backlog.refused(exchange)
        assert backlog.more(0, 0) == [exchange]
    backlog.refused(exchange)
    assert list(backlog.left_over()) == [exchange]


@pytest.mark.parametrize("end", ["the work is done", "the fast path does not work", "a stop was asked for"])
def test_whoever_waits_to_be_of_use_learns_that_it_is_over(end: str) -> None:
    stop = threading.Event()
    backlog = Backlog(exchanges(1000))
    waiting = threading.Thread(target=lambda: list(backlog.threads(stop)), daemon=True)
    waiting.start()
    if end == "the work is done":
        while backlog.more(0, 0):
            pass
    elif end == "the fast path does not work":
        backlog.given_up = True
    else:
        stop.set()
    waiting.join(20)
    assert not waiting.is_alive()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user, who has no other processes")
def test_fewer_threads_than_wanted_do_all_the_work() -> None:
    code = """
import os, resource, threading, time
from bootstrap.storage.common.workers import in_parallel
os.setgid(991177)
os.setuid(991177)
resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
used = set()
def work(task):
    used.add(threading.get_ident())
    time.sleep(0.001)
    return task
done = [each.value() for each in in_parallel(range(50), work, width=16, beat=lambda: None)]
print(sorted(done) == list(range(50)), len(used))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "2"], done.stderr
