"""Streaming redaction: registered values never pass, whatever the chunks they come in. Mechanism only.

What is masked: each value as it is, URL-quoted, JSON-escaped, and in base64 at each of its three alignments. The result
is that of one replacement, leftmost and longest first, over all bytes at once. To get there, the end of what has come
is held back while it is the beginning of a needle: less than one needle's length, and nothing when no secret is near.

Held bytes are delivered after a short idle time if they are too few to tell anything (fewer than ``SHORTEST``: a prompt
that ends like a secret begins); should the rest of the secret follow, that is masked. A longer beginning of a secret
stays back until the next byte decides: programs that fill a buffer write the two halves of a secret minutes apart.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from ..job import SecretValues

MASK = b"***"
SHORTEST = 6  # bytes; shorter values would mask innocent text everywhere


class Redactor:
    """One stream's redactor: ``feed`` bytes, ``idle`` when none came for a while, ``flush`` at the end.

    Follows ``secrets`` as it grows. ``refused`` tells which values cannot be masked because they are too short, as a
    warning fit for printing; it never holds the value.
    """

    def __init__(self, secrets: SecretValues) -> None:
        self._secrets = secrets
        self._version: int | None = None
        self._pattern: re.Pattern[bytes] | None = None
        self._beginnings: frozenset[bytes] = frozenset()
        self._longest = 0
        self._tail = b""
        self._shown = 0  # how many bytes of the tail an idle time has released
        self.refused = 0

    @property
    def held(self) -> bool:
        """Whether bytes wait here that an idle time would release."""
        return self._shown < len(self._tail) < SHORTEST

    def feed(self, data: bytes) -> bytes:
        """What may pass now."""
        if self._secrets.version != self._version:
            self._learn()
        if self._tail:
            data = self._tail + data
        if self._pattern is None:
            return self._release(data)
        return self._replace(data, self._pattern, self._hold(data, 0))

    def idle(self) -> bytes:
        """What an idle time releases. It is remembered: should a secret follow from it, the rest is masked."""
        if not self.held:
            return b""
        shown, self._shown = self._shown, len(self._tail)
        return self._tail[shown:]

    def flush(self) -> bytes:
        """What was held back, at the end."""
        if self._pattern is None:
            return self._release(self._tail)
        return self._replace(self._tail, self._pattern, len(self._tail))

    def _release(self, data: bytes) -> bytes:
        """``data`` as it is, for want of secrets; what was shown already is skipped."""
        shown, self._tail, self._shown = self._shown, b"", 0
        return data[shown:]

    def mask(self, text: str) -> str:
        """``text`` with every secret masked: for our own messages, records and reports."""
        if self._secrets.version != self._version:
            self._learn()
        if self._pattern is None:
            return text
        return self._pattern.sub(MASK, text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def _replace(self, data: bytes, pattern: re.Pattern[bytes], hold: int) -> bytes:
        """``data`` with needles replaced, up to ``hold``, where it is held back; what was shown already is skipped."""
        done: list[bytes] = []
        start = self._shown
        for match in pattern.finditer(data):
            if match.start() >= hold:
                break  # a longer needle may begin here, or before
            done += (data[start : match.start()], MASK)
            start = match.end()
            if hold < start:
                hold = self._hold(data, start)
        done.append(data[start:hold])
        self._tail = data[hold:]
        self._shown = max(0, start - hold)
        return b"".join(done)

    def _hold(self, data: bytes, start: int) -> int:
        """Where the end of ``data`` begins that may be the beginning of a needle; its length if nowhere."""
        for position in range(max(start, len(data) - self._longest + 1), len(data)):
            if data[position:] in self._beginnings:
                return position
        return len(data)

    def _learn(self) -> None:
        self._version = self._secrets.version
        values = [value for value in self._secrets.values() if value]
        long = [value for value in values if len(value.encode("utf-8", "surrogateescape")) >= SHORTEST]
        self.refused = len(values) - len(long)
        needles = sorted({needle for value in long for needle in forms(value)}, key=lambda n: (-len(n), n))
        self._pattern = re.compile(b"|".join(map(re.escape, needles))) if needles else None
        self._beginnings = frozenset(needle[:length] for needle in needles for length in range(1, len(needle)))
        self._longest = len(needles[0]) if needles else 0


def forms(value: str) -> Iterable[bytes]:
    """Every spelling under which ``value`` is found: raw, URL-quoted, JSON-escaped, inside base64."""
    raw = value.encode("utf-8", "surrogateescape")
    found = {raw}
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        found.add(quoted.encode())
        # hexadecimal digits may be small
        found.add(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted).encode())
    for ascii_only in (True, False):
        found.add(json.dumps(value, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogateescape"))
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw).rstrip(b"=")
        # the first characters mix with unknown bytes before the value, the last one with those after it
        middle = encoded[(0, 2, 3)[shift] : len(encoded) - ((shift + len(raw)) % 3 != 0)]
        found.add(middle)
        found.add(middle.translate(bytes.maketrans(b"+/", b"-_")))
    return found
