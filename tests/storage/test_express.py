"""How many connections a transfer opens, and what its workers do when there can be no more threads."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from bootstrap.storage.express import MOST_RIDES, Errand, Errands


def test_a_process_that_waits_for_the_network_opens_one_connection_after_the_other() -> None:
    numbers = Errands([Errand() for _ in range(1000)]).rides(0, threading.Event())
    assert [next(numbers) for _ in range(8)] == list(range(8))  # this test idles: it stands for a slow network


def test_large_objects_have_their_connections_at_once() -> None:
    numbers = Errands([Errand() for _ in range(1000)]).rides(100, threading.Event())
    begin = time.process_time()
    assert list(numbers) == list(range(MOST_RIDES))
    assert time.process_time() - begin < 1


def test_no_more_connections_than_there_is_to_do() -> None:
    assert list(Errands([Errand() for _ in range(3)]).rides(100, threading.Event())) == [0, 1, 2]


@pytest.mark.parametrize("end", ["the work is done", "the lane does not work", "a stop was asked for"])
def test_whoever_waits_to_be_of_use_learns_that_it_is_over(end: str) -> None:
    stop = threading.Event()
    errands = Errands([Errand() for _ in range(1000)])
    waiting = threading.Thread(target=lambda: list(errands.rides(0, stop)), daemon=True)
    waiting.start()
    if end == "the work is done":
        while errands.more(0):
            pass
    elif end == "the lane does not work":
        errands.hopeless = True
    else:
        stop.set()
    errands.give_back([], 1, broken=False)
    waiting.join(20)
    assert not waiting.is_alive()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user, who has no other processes")
def test_fewer_threads_than_wanted_do_all_the_work() -> None:
    code = """
import os, resource, threading, time
from bootstrap.storage.workers import in_parallel
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
