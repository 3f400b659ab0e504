"""Every ending has a reason; evidence is quoted and nothing is guessed."""

from __future__ import annotations

import signal

import pytest

from bootstrap.diagnosis import Facts, explain, lines_of
from bootstrap.job import AskedBy, Ending, OutOfMemory


def reason(tail: str = "", **ending: object) -> str:
    return explain(Facts(Ending(**{"status": 1, **ending}), lines_of(tail))).id  # type: ignore[arg-type]


def test_success() -> None:
    assert reason(status=0) == "success"


def test_an_unknown_failure_quotes_the_last_line() -> None:
    found = explain(Facts(Ending(3), lines_of("epoch 1\noptimiser adan: no such optimiser\n\n")))
    assert (found.id, found.evidence[0].text) == ("command-failed", "optimiser adan: no such optimiser")


def test_out_of_memory_needs_the_kernels_proof() -> None:
    proof = OutOfMemory(kills=1, limit=64 << 20, peak=64 << 20, source="/sys/fs/cgroup/memory.events")
    found = explain(Facts(Ending(None, signal.SIGKILL, out_of_memory=proof)))
    assert found.id == "out-of-memory" and "64 MiB" in found.evidence[0].text
    assert reason(status=None, signal=signal.SIGKILL) == "killed-from-outside"
    assert reason(status=137) == "killed-from-outside"
    spared = OutOfMemory(kills=0, limit=64 << 20, peak=1 << 20, source="x")
    assert reason(status=None, signal=signal.SIGKILL, out_of_memory=spared) == "killed-from-outside"


@pytest.mark.parametrize(
    ("who", "id"),
    [
        (AskedBy.PLATFORM, "stopped-by-platform"),
        (AskedBy.USER, "stopped-by-user"),
        (AskedBy.TIMEOUT, "stopped-by-timeout"),
        (AskedBy.PEER, "stopped-by-peer"),
    ],
)
def test_who_asked_comes_before_what_the_log_says(who: AskedBy, id: str) -> None:
    assert reason("No space left on device", status=None, signal=signal.SIGTERM, asked_by=who) == id


def test_a_stop_that_needed_kill_says_so() -> None:
    ending = Ending(None, signal.SIGKILL, asked_by=AskedBy.PLATFORM)
    assert "--grace" in explain(Facts(ending, grace=30)).remedy.en


@pytest.mark.parametrize(
    ("number", "id"),
    [
        (signal.SIGSEGV, "segmentation-fault"),
        (signal.SIGBUS, "bus-error"),
        (signal.SIGILL, "illegal-instruction"),
        (signal.SIGABRT, "aborted"),
    ],
)
def test_signals_are_named_whether_a_shell_stood_between_or_not(number: int, id: str) -> None:
    assert reason(status=None, signal=number) == id
    assert reason(status=128 + number) == id


@pytest.mark.parametrize(
    ("line", "id"),
    [
        ("OSError: [Errno 28] No space left on device", "disk-full"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "device-out-of-memory"),
        ("sh: 0: Cannot fork", "processes-used-up"),
        ("bash: fork: retry: Resource temporarily unavailable", "processes-used-up"),
        ("RuntimeError: can't start new thread", "processes-used-up"),
        (
            "OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 64: Resource temporarily unavailable",
            "processes-used-up",
        ),
        ("libgomp: Thread creation failed: Resource temporarily unavailable", "processes-used-up"),
        ("ModuleNotFoundError: No module named 'apex'", "module-missing"),
        ("train.py: error: unrecognized arguments: --data_url=/x", "arguments-invalid"),
        ("socket.gaierror: [Errno -2] Name or service not known", "name-unresolved"),
        ("OSError: [Errno 101] Network is unreachable", "network-unreachable"),
        ("bash: ./run.sh: Permission denied", "permission-denied"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'obs://b/x.csv'", "url-used-as-path"),
    ],
)
def test_well_known_last_words(line: str, id: str) -> None:
    found = explain(Facts(Ending(1), lines_of(f"epoch 1\n{line}\nshutting down\n")))
    assert (found.id, found.evidence[0].text) == (id, line)
    assert found.remedy


def test_words_in_the_log_of_a_success_mean_nothing() -> None:
    assert reason("No space left on device", status=0) == "success"
