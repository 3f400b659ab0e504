"""Moments, durations and sizes as the page writes them, the same in every language."""

from __future__ import annotations

from datetime import datetime, timezone

from ..reporting import prose
from ..storage.common import units


def day(seconds: float | None) -> str:
    """``2026-11-29 15:49:32``, in UTC."""
    return "" if seconds is None else _utc(seconds).strftime("%Y-%m-%d %H:%M:%S")


def clock(seconds: float) -> str:
    """``15:49:32``, in UTC."""
    return _utc(seconds).strftime("%H:%M:%S")


def duration(seconds: float) -> str:
    return "< 0.1 s" if seconds < 0.05 else prose.duration(seconds)


def readable(size: float) -> str:
    return units.readable(size).replace(" bytes", " B")


def _utc(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):  # a record that somebody made up
        return datetime.fromtimestamp(0, timezone.utc)
