"""All checks side by side, each with a deadline. A check that hangs is left behind and told of."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import BootstrapError
from ..reporting.language import Words
from .findings import Finding, of_error, warning


class Check(NamedTuple):
    """``id`` is what a failure to answer is told under; ``work`` may raise any :class:`BootstrapError`."""

    id: str
    work: Callable[[], Sequence[Finding]]


def run(checks: Sequence[Check], *, deadline_s: float) -> list[Finding]:
    """The findings of all, in the order of ``checks``, after at most ``deadline_s`` seconds."""
    answers: queue.SimpleQueue[tuple[int, list[Finding] | Exception]] = queue.SimpleQueue()

    def work(number: int, check: Check) -> None:
        try:
            answers.put((number, list(check.work())))
        except BootstrapError as error:
            answers.put((number, [of_error(check.id, error)]))
        except Exception as error:  # noqa: BLE001  handed to who called us, and raised there
            answers.put((number, error))

    for number, check in enumerate(checks):
        threading.Thread(target=work, args=(number, check), name=f"check-{check.id}", daemon=True).start()
    end = time.monotonic() + deadline_s
    found: dict[int, list[Finding]] = {}
    while len(found) < len(checks):
        try:
            number, answer = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if isinstance(answer, Exception):
            raise answer
        found[number] = answer
    for number, check in enumerate(checks):
        found.setdefault(number, [_late(check.id, deadline_s)])
    return [finding for number in range(len(checks)) for finding in found[number]]


def _late(id: str, deadline_s: float) -> Finding:
    return warning(
        id,
        Words(f"no answer within {deadline_s:g} s", f"{deadline_s:g} 秒内没有结果"),
        Words(
            "look at what it asks: a store, a name server, a network file system",
            "检查其所访问的存储、域名服务器或网络文件系统",
        ),
    )
