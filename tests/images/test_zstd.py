"""check-image reads layers that are compressed with zstd, and says so when one is damaged."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import zstandard


def image(path: Path, *, cut: int = 0) -> Path:
    """A docker archive of one layer."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as layer:
        shell = tarfile.TarInfo("bin/sh")
        shell.size, shell.mode = 4, 0o755
        layer.addfile(shell, io.BytesIO(b"#!/x"))
    packed = zstandard.ZstdCompressor().compress(inner.getvalue())
    packed = packed[: len(packed) - cut]
    config = json.dumps({"architecture": "amd64", "config": {"Entrypoint": ["/bin/sh"]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["x"], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as archive:
        for name, data in (("manifest.json", manifest), ("config.json", config), ("layer.tar", packed)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def check(path: Path) -> subprocess.CompletedProcess[str]:
    bootstrap = str(Path(sys.executable).with_name("bootstrap"))
    words = [bootstrap, "check-image", "--format", "json", str(path), "--", "/bin/sh"]
    return subprocess.run(words, text=True, capture_output=True, timeout=60)


def test_a_layer_is_read(tmp_path: Path) -> None:
    told = check(image(tmp_path / "image.tar"))
    assert told.returncode == 1, told.stderr
    assert "command" not in [
        finding["id"] for finding in json.loads(told.stdout)["findings"] if "not there" in str(finding)
    ]


def test_a_layer_that_is_cut_is_no_image(tmp_path: Path) -> None:
    told = check(image(tmp_path / "image.tar", cut=20))
    assert told.returncode == 114, told.stdout + told.stderr
