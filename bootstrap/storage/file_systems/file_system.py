"""What tells one file system of fsspec from the next. Nothing of it is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...values import dataclass
from ..model.url import Location

Options = Callable[[Location, Mapping[str, str]], dict[str, Any]]
"""What fsspec is given beside the protocol, out of a place and the environment; the rest the library finds itself."""


def nothing(location: Location, environ: Mapping[str, str]) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class FileSystem:
    """``protocol`` is fsspec's name. ``has_buckets``: paths begin with the bucket, and an object appears when it is
    whole; else they are absolute, and a file is written under another name first. ``own`` makes it of a class of ours.
    """

    protocol: str
    options: Options = nothing
    has_buckets: bool = True
    own: Callable[[], Any] | None = None
