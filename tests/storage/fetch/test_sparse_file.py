"""A file with holes: only what the object holds in its stretches is fetched and counted, and holes stay holes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bootstrap.errors import SourceChanging
from bootstrap.storage.common.progress import Progress
from bootstrap.storage.common.retry import Retry
from bootstrap.storage.fetch.sparse_file import bring_stretches
from bootstrap.storage.local.store import FileStore
from tests.storage.conftest import MemoryLog

MIB = 1 << 20
STRETCHES = [(3, 10), (20 * MIB, 37 * MIB + 5)]  # the second in two pieces
SIZE = 40 * MIB


def bring(root: Path, stop: threading.Event) -> Progress:
    store, progress = FileStore(root), Progress(MemoryLog(), "bringing", files=1, size=SIZE)
    retry = Retry(store.retry_window, stop)
    target = str(root / "new/file")
    bring_stretches(store, "object", SIZE, STRETCHES, target, retry=retry, progress=progress, stop=stop)
    return progress


def test_stretches_are_fetched_and_counted_and_all_else_is_zeros(tmp_path: Path) -> None:
    content = bytes(range(1, 256)) * (SIZE // 255 + 1)
    (tmp_path / "object").write_bytes(content[:SIZE])
    progress = bring(tmp_path, threading.Event())
    assert (progress.files, progress.bytes) == (1, 7 + 17 * MIB + 5)
    expected = bytearray(SIZE)
    for start, end in STRETCHES:
        expected[start:end] = content[start:end]
    assert (tmp_path / "new/file").read_bytes() == expected
    assert (tmp_path / "new/file").stat().st_blocks * 512 < 20 * MIB


def test_an_object_that_is_shorter_than_its_stretches_has_changed(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"x" * (37 * MIB + 4))
    with pytest.raises(SourceChanging):
        bring(tmp_path, threading.Event())
