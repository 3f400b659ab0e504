"""The samples again, from whatever the file holds: a line that was cut, or is no sample, is left out."""

from __future__ import annotations

from typing import Any

from ..ground.json_text import load_json


def read(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The heading (empty without one), and the samples in order."""
    heading: dict[str, Any] = {}
    samples: list[dict[str, Any]] = []
    for line in data.splitlines():
        try:
            found = load_json(line)
        except ValueError:
            continue
        if not isinstance(found, dict):
            continue
        if "samples" in found:
            heading = heading or found
        elif isinstance(found.get("t"), (int, float)):
            samples.append(found)
    return heading, sorted(samples, key=lambda sample: float(sample["t"]))
