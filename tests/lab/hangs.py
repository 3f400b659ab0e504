"""A worker that hangs says where, and ends: a suite that stands still explains nothing.

pytest-timeout raises in the main thread, once a test. It cannot where that thread is deep in the kernel or has its
signals blocked, and nothing is left of it when what the exception unwinds hangs as well, or what comes behind the
last test. Here a thread of ``faulthandler``'s own, which asks no lock of Python's, writes all stacks to the real
stderr and ends the process; pytest-xdist names the test that its worker was at.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Generator

import pytest

SLACK = 60
"""Seconds beyond a test's own limit, for pytest-timeout to come first: its words are better."""
END = 120
"""Seconds that a worker may take from its last test to its end."""

_stderr: int | None = None


def pytest_configure() -> None:
    global _stderr
    _stderr = os.dup(2)  # nothing is captured yet


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if limit := _limit(item):  # 0: somebody is at a debugger
        _end_after(limit + SLACK)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    if hasattr(session.config, "workerinput"):  # who collects the reports has more to do than we can bound
        _end_after(END)
    return (yield)


def _limit(item: pytest.Item) -> float:
    """Seconds that pytest-timeout gives to the test; 0 without a limit."""
    marker = item.get_closest_marker("timeout")
    if marker:
        return float(marker.args[0] if marker.args else marker.kwargs["timeout"])
    return float(item.config.getoption("timeout", None) or item.config.getini("timeout"))


def _end_after(seconds: float) -> None:
    if _stderr is not None:
        faulthandler.dump_traceback_later(seconds, exit=True, file=_stderr)
