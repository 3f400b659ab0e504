"""What the processes of a failed test said last: an exit code alone explains nothing.

Every ``Popen.communicate`` (and so ``subprocess.run``) of a test is remembered; a failure's report has the ends of what
they said.
"""

from __future__ import annotations

import shlex
import subprocess
from collections import deque
from collections.abc import Generator
from typing import Any

import pytest

_KEPT, _SHOWN = 4, 2000  # processes; bytes of each
_ended: deque[tuple[Any, int | None, bytes]] = deque(maxlen=_KEPT)
_communicate = subprocess.Popen.communicate


def _and_remember(self: subprocess.Popen[Any], *arguments: Any, **more: Any) -> tuple[Any, Any]:
    out, err = _communicate(self, *arguments, **more)
    said = err if err is not None else out
    _ended.append((self.args, self.returncode, said.encode() if isinstance(said, str) else said or b""))
    return out, err


def remember() -> None:
    """From here on, in this process."""
    subprocess.Popen.communicate = _and_remember  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    _ended.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for args, code, said in _ended:
            words = args if isinstance(args, (str, bytes)) else shlex.join(map(str, args))
            # Any byte may be there.
            title = f"exit {code}: {str(words)[:300]}".encode(errors="backslashreplace").decode()
            report.sections.append((title, said[-_SHOWN:].decode(errors="replace")))
    return report
