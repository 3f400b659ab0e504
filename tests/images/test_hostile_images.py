"""``bootstrap check-image`` on what was made to hurt it: an invalid archive each, in bounded memory and time."""

from __future__ import annotations

import gzip
import io
import json
import resource
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.images.test_check_image import LAYER, archive, image_of, index_of

MEMORY = 1200 << 20  # bytes of address space: what is kept at most, and Python with its libraries


def tar_with(*names: str, link: str = "", headers: Mapping[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.pax_headers = dict(headers or {})
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, link
            tar.addfile(info)
    return out.getvalue()


def chain(length: int) -> dict[str, bytes]:
    """Indexes that each name the next."""
    blobs = {f"blobs/sha256/{number}": index_of(f"sha256:{number + 1}") for number in range(length)}
    return {"index.json": index_of("sha256:0"), **blobs}


MANY_LEVELS = [f"{number}/" + "a/" * 500 + "x" for number in range(2200)]
DESCRIBED = [{"Config": "config", "Layers": ["layer"]}]

HOSTILE: dict[str, bytes | dict[str, bytes]] = {
    "a name of 100,000 levels": tar_with("a/" * 100_000 + "x"),
    "a layer with a name of 100,000 levels": image_of(gzip.compress(tar_with("a/" * 100_000 + "x"))),
    "many names of many levels": tar_with(*MANY_LEVELS),
    "a link to a name without end": tar_with("link", link="a/" * 100_000),
    "headers that add up": gzip.compress(tar_with(*map(str, range(80)), headers={"comment": "c" * 1_000_000})),
    "an index of brackets": {"index.json": b"[" * 2_000_000},
    "a manifest of brackets": {"manifest.json": b"[" * 2_000_000},
    "a configuration of brackets": {**image_of(LAYER), "config": b'{"a":' * 400_000},
    "a description without end": {"index.json": b" " * (20 << 20) + b"{}"},
    "a number without end": {"index.json": b"9" * 1_000_000},
    "a sparse map of words": tar_with("f", headers={"GNU.sparse.map": "a,b", "GNU.sparse.size": "10"}),
    "a sparse map that is not there": tar_with("f", headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
    "indexes one in the other": chain(3000),
    "a layer named without end": image_of(LAYER, [{"Config": "config", "Layers": ["layer"] * 5000}]),
    "a layer that is no name": image_of(LAYER, [{"Config": "config", "Layers": [["layer"]]}]),
    "variables that are numbers": image_of(LAYER, DESCRIBED, {"config": {"Env": [1]}}),
    "an entry point of lists": image_of(LAYER, DESCRIBED, {"config": {"Entrypoint": [[]]}}),
    "a command of numbers": image_of(LAYER, DESCRIBED, {"config": {"Cmd": [7]}}),
    "a digest that is a path": {"index.json": index_of("sha256:../../../etc/passwd")},
}


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_image_is_an_invalid_archive(tmp_path: Path, bootstrap: str, what: str) -> None:
    content, path = HOSTILE[what], tmp_path / "image"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        archive(path, content)
    told = subprocess.run(
        [bootstrap, "check-image", path], text=True, capture_output=True, timeout=60, preexec_fn=limited
    )
    assert (told.returncode, told.stdout) == (114, ""), told.stderr[-2000:]
    assert told.stderr.count("\n") == 1


def test_a_layout_is_never_left_by_a_digest(tmp_path: Path, bootstrap: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"config": {}, "layers": []}))
    (tmp_path / "layout" / "blobs" / "sha256").mkdir(parents=True)
    (tmp_path / "layout" / "oci-layout").write_text("{}")
    (tmp_path / "layout" / "index.json").write_bytes(index_of("sha256:../../../secret"))
    told = subprocess.run([bootstrap, "check-image", tmp_path / "layout"], text=True, capture_output=True)
    assert told.returncode == 114
    assert "no usable digest" in told.stderr


def test_as_many_whiteouts_as_files_take_no_square_of_them(tmp_path: Path, bootstrap: str) -> None:
    count = 20_000
    below = tar_with("bin/sh", *(f"d/{number}" for number in range(count)))
    above = tar_with(*(f"d/.wh.{number}" for number in range(1, count)))
    path = archive(tmp_path / "image", {
        **image_of(below, [{"Config": "config", "Layers": ["layer", "upper"]}]), "upper": above,
    })  # fmt: skip
    told = subprocess.run(
        [bootstrap, "check-image", "--format", "json", path], text=True, capture_output=True, timeout=60
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)
