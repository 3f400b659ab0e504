"""When temporary keys end."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from ..job import Credentials

_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?\s*(Z|UTC|[+-]\d\d:?\d\d)?", re.IGNORECASE)


def parse_time(text: str) -> datetime | None:
    """An instant in the forms that clouds write it (ISO 8601, UTC unless it says so), or None when it is none."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        return None
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
    except ValueError:  # the 31st of February
        return None
    zone = (found[3] or "Z").replace(":", "")
    if zone[0] in "+-":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
        moment -= offset if zone[0] == "+" else -offset
    return moment


def seconds_left(credentials: Credentials) -> float | None:
    """Seconds until these keys end, below zero afterwards; None when they do not end, or nobody knows when."""
    if credentials.expires is None:
        return None
    return (credentials.expires - datetime.now(timezone.utc)).total_seconds()
