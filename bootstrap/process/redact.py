"""Streaming redaction: registered values never pass, whatever the chunks they come in. Mechanism only.

What is masked: each value as it is, URL-quoted, JSON-escaped, as Python's ``repr``, and in base64 at each of its three
alignments. The result is that of one replacement, leftmost and longest first, over all bytes at once. To get there,
the end of what has come is held back while it is the beginning of a needle: less than one needle's length, and nothing
when no secret is near.

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
RUN = 12  # bytes; shorter runs of a secret's letters are in every line
RUNS = 1000  # so many runs in one piece are cut out to be looked at
LONG_RUN = 2000  # bytes, beyond which that is the slower way


class Redactor:
    """One stream's redactor: ``feed`` bytes, ``idle`` when none came for a while, ``flush`` at the end.

    Follows ``secrets`` as it grows. ``refused`` counts the values that are too short to be masked, for a warning.
    """

    def __init__(self, secrets: SecretValues) -> None:
        self._secrets = secrets
        self._version: int | None = None
        self._needles: _Needles | None = None
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
        return self._pass(data, self._needles.hold(data, 0) if self._needles is not None else len(data))

    def idle(self) -> bytes:
        """What an idle time releases. It is remembered: should a secret follow from it, the rest is masked."""
        if not self.held:
            return b""
        shown, self._shown = self._shown, len(self._tail)
        return self._tail[shown:]

    def flush(self) -> bytes:
        """What was held back, at the end."""
        return self._pass(self._tail, len(self._tail))

    def mask(self, text: str) -> str:
        """``text`` with every secret masked: for our own messages, records and reports."""
        if self._secrets.version != self._version:
            self._learn()
        if self._needles is None:
            return text
        masked = self._needles.pattern.sub(MASK, text.encode("utf-8", "surrogateescape"))
        return masked.decode("utf-8", "surrogateescape")

    def _pass(self, data: bytes, hold: int) -> bytes:
        """``data`` with needles replaced, up to ``hold``; the rest is held back, and what was shown is skipped."""
        start, needles = self._shown, self._needles
        done: list[bytes] = []
        if needles is not None and needles.occur(data):
            for match in needles.pattern.finditer(data):
                if match.start() >= hold:
                    break  # a longer needle may begin here, or before
                done += (data[start : match.start()], MASK)
                start = match.end()
                if hold < start:
                    hold = needles.hold(data, start)
        self._tail = data[hold:]
        self._shown = max(0, start - hold)
        return b"".join((*done, data[start:hold])) if done else data[start:hold]

    def _learn(self) -> None:
        self._version = self._secrets.version
        values = [value for value in self._secrets.values() if value]
        long = [value for value in values if len(value.encode("utf-8", "surrogateescape")) >= SHORTEST]
        self.refused = len(values) - len(long)
        self._needles = _Needles({needle for value in long for needle in forms(value)}) if long else None


class _Needles:
    """What is looked for, prepared for a fast no: output is rarely like a secret."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        self._all = sorted(needles, key=lambda needle: (-len(needle), needle))
        self.pattern = re.compile(b"|".join(map(re.escape, self._all)))
        self._alphabet = bytes(sorted(set(b"".join(self._all))))
        self._by_first: dict[int, list[bytes]] = {}
        for needle in self._all:
            self._by_first.setdefault(needle[0], []).append(needle)
        # A needle is a run of letters of the alphabet; ordinary lines have blanks in between, and few runs as long.
        self._run = b"\1" * len(self._all[-1])
        self._runs_tell = b" " not in self._alphabet and len(self._run) >= RUN
        self._table = bytes(byte in self._alphabet for byte in range(256))

    def occur(self, data: bytes) -> bool:
        """Whether any needle is in ``data``."""
        suspicious = self._long_runs(data) if self._runs_tell else data
        return bool(suspicious) and any(needle in suspicious for needle in self._all)

    def _long_runs(self, data: bytes) -> bytes:
        """The runs that are long enough for a needle, blanks in between; all of ``data`` where they are too many."""
        runs = data.translate(self._table)
        found: list[bytes] = []
        at = runs.find(self._run)
        while at >= 0:
            end = runs.find(b"\0", at)
            end = len(data) if end < 0 else end
            if len(found) == RUNS or end - at > LONG_RUN:
                return data
            found.append(data[at:end])
            at = runs.find(self._run, end)
        return b" ".join(found)

    def hold(self, data: bytes, start: int) -> int:
        """Where the end of ``data`` begins that may be the beginning of a needle; its length if nowhere."""
        near = data[max(start, len(data) - len(self._all[0]) + 1) :]
        first = len(data) - len(near) + len(near.rstrip(self._alphabet))  # after the last letter of another alphabet
        for position in range(first, len(data)):
            candidates = self._by_first.get(data[position])
            if candidates:
                rest = data[position:]
                if any(len(needle) > len(rest) and needle.startswith(rest) for needle in candidates):
                    return position
        return len(data)


def forms(value: str) -> Iterable[bytes]:
    """Every spelling under which ``value`` is found: raw, URL-quoted, JSON-escaped, as Python's repr, inside base64."""
    raw = value.encode("utf-8", "surrogateescape")
    found = {raw}
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        found.add(quoted.encode())
        # hexadecimal digits may be small
        found.add(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), quoted).encode())
    for ascii_only in (True, False):
        found.add(json.dumps(value, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogateescape"))
    # a dictionary of them printed by Python, `print(os.environ)` above all
    found.add(repr(value)[1:-1].encode("utf-8", "surrogateescape"))
    found.add(repr(raw)[2:-1].encode())
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw).rstrip(b"=")
        # the first characters mix with unknown bytes before the value, the last one with those after it
        middle = encoded[(0, 2, 3)[shift] : len(encoded) - ((shift + len(raw)) % 3 != 0)]
        found.add(middle)
        found.add(middle.translate(bytes.maketrans(b"+/", b"-_")))
    return found
