"""Writing a little now and then where there is no fast way: from memory, and what is much from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import NothingThere
from bootstrap.storage.common.plain_writer import PlainWriter
from bootstrap.storage.model.light_writer import Inline


class Heard:
    """What a store is asked to write: a stand-in, since a real one shows only what comes of it."""

    def __init__(self) -> None:
        self.kinds: list[type] = []
        self.written: dict[str, bytes] = {}

    def write(self, key: str, content: Path | bytes) -> None:
        self.kinds.append(bytes if isinstance(content, bytes) else Path)
        self.written[key] = content if isinstance(content, bytes) else content.read_bytes()

    def read(self, key: str) -> list[bytes]:
        if key not in self.written:
            raise NothingThere("no such object", where=key)
        return [self.written[key]]


@pytest.mark.parametrize(("size", "kind"), [(0, bytes), (1 << 20, bytes), ((1 << 20) + 1, Path)])
def test_a_mebibyte_is_in_memory_and_more_goes_by_a_file(size: int, kind: type) -> None:
    store = Heard()
    writer = PlainWriter(store)  # type: ignore[arg-type]
    writer.put("key", Inline(b"x" * size))
    assert store.kinds == [kind]
    assert writer.get(["key", "absent"]) == [b"x" * size, None]
