"""Descriptors that are closed together."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TypeVar

_Self = TypeVar("_Self", bound="OpenFiles")


class OpenFiles:
    """Use it as a context manager: what is open is closed at its end."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open:
            os.close(file)
        self._open.clear()
