"""Archives with bytes changed anywhere: unpacked, or told as damaged, and never a defect."""

from __future__ import annotations

import io
import tarfile
import tempfile
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.errors import ArchiveInvalid, DiskFull, PathUnusable
from bootstrap.storage.fetch.archive import unpack
from tests.lab.fuzzing import fuzz


def tar(pax_headers: dict[str, str] | None = None, *, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as pack:
        for name, kind, content in (
            ("d", tarfile.DIRTYPE, b""), ("d/f", tarfile.REGTYPE, b"hello" * 200),
            ("d/" + "n" * 120, tarfile.REGTYPE, b"x"), ("d/l", tarfile.SYMTYPE, b""), ("d/h", tarfile.LNKTYPE, b""),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mode = kind, len(content), 0o755
            info.linkname = "d/f" if kind == tarfile.LNKTYPE else "f" if kind == tarfile.SYMTYPE else ""
            info.pax_headers = dict(pax_headers or {}) if kind == tarfile.REGTYPE else {}
            pack.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("d/f", b"hello" * 200)
        pack.writestr("d/é", b"x")
    return out.getvalue()


WHOLE = {
    "pax.tar": tar({"comment": "x", "mtime": "1.5"}),
    "gnu.tar": tar(form=tarfile.GNU_FORMAT),
    "sparse.tar": tar({"GNU.sparse.map": "0,10", "GNU.sparse.size": "100"}),
    "whole.zip": zipped(),
}
words = st.sampled_from(
    [b"", b"\0" * 8, b"\xff" * 8, b"-1", b"99999999999", b"S", b"x", b"g", b"L", b"K", b"1", b"2", b","]
)
changes = st.lists(st.tuples(st.integers(0, 1 << 13), st.one_of(words, st.binary(max_size=12))), max_size=4)


def unpacked_or_told(name: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as work:
        Path(work, name).write_bytes(data)
        with open(Path(work, name), "rb") as source:
            root = Path(work, "root")
            root.mkdir()
            try:
                unpack(source, str(root), name=name, stop=threading.Event())
            except (ArchiveInvalid, DiskFull, PathUnusable):
                pass
        assert sorted(path.name for path in Path(work).iterdir()) == sorted([name, "root"])


@pytest.mark.parametrize("name", WHOLE)
@fuzz(100)
@given(changes=changes, cut=st.one_of(st.none(), st.integers(0, 1 << 13)))
def test_an_archive_with_changed_bytes_is_unpacked_or_told(
    name: str, changes: list[tuple[int, bytes]], cut: int | None
) -> None:
    data = bytearray(WHOLE[name])
    for at, new in changes:
        at %= len(data)
        data[at : at + len(new)] = new
        checked(data, at)
    unpacked_or_told(name, bytes(data[:cut]))


def checked(data: bytearray, at: int) -> None:
    """The sum of a tar's header mended, so that the reader gets as far as the field that was changed."""
    start = at // 512 * 512
    if data[start + 257 : start + 262] == b"ustar":
        header = bytes(data[start : start + 148]) + b" " * 8 + bytes(data[start + 156 : start + 512])
        data[start + 148 : start + 156] = b"%06o\0 " % (sum(header) & 0o777777)


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.map": "a,b", "GNU.sparse.size": "10"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10"},
        {"GNU.sparse.map": "0,1,2", "GNU.sparse.size": "x"},
    ],
)
def test_a_sparse_map_of_nonsense_is_an_invalid_archive(tmp_path: Path, headers: dict[str, str]) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar(headers))
    (tmp_path / "root").mkdir()
    with open(path, "rb") as source, pytest.raises(ArchiveInvalid):
        unpack(source, str(tmp_path / "root"), name="a.tar", stop=threading.Event())
