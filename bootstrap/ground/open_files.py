"""Room for a connection to each node: the soft limit of open files, which is 1,024 or less in most containers."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

_before: tuple[int, int] | None = None


def raise_limit() -> int:
    """Raise our soft limit to the hard one; returns what it is now."""
    global _before
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # forbidden to us; then it stays
        return soft
    _before = _before or (soft, hard)
    return hard


@contextmanager
def as_before_for_children() -> Iterator[None]:
    """Start others' programs inside: select(2) and those that close every descriptor count on the limit as it was."""
    now = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _before is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (_before[0], now[1]))
    try:
        yield
    finally:
        if _before is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, now)
