"""What the tests of the storage wing share: stores opened as the product opens them, and a log that remembers."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bootstrap.job import Credentials, Endpoint
from bootstrap.storage.model.url import Location
from bootstrap.storage.open import Stores
from bootstrap.storage.report import Report
from bootstrap.storage.schemes import parse
from bootstrap.storage.transfer import deliver, fetch
from bootstrap.storage.upload.multipart import LARGE
from tests.lab.stores import Bucket, Store


@dataclass
class MemoryLog:
    """A Log whose lines can be looked at."""

    lines: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def debug(self, event: str, **facts: object) -> None:
        self.lines.append(("debug", event, facts))

    def info(self, event: str, **facts: object) -> None:
        self.lines.append(("info", event, facts))

    def warning(self, event: str, **facts: object) -> None:
        self.lines.append(("warning", event, facts))

    def error(self, event: str, **facts: object) -> None:
        self.lines.append(("error", event, facts))

    def events(self, level: str) -> list[str]:
        return [event for name, event, _ in self.lines if name == level]


def credentials_of(store: Store) -> Credentials:
    return Credentials(store.access_key, store.secret_key, store.token, source="the lab")


def stores_of(store: Store, log: MemoryLog | None = None, **changes: Any) -> Stores:
    """``store`` as a job would see it; ``changes`` are fields of the endpoint."""
    endpoint = Endpoint(**{"url": store.endpoint, "region": store.region, **changes})
    return Stores(endpoint, lambda: credentials_of(store), log or MemoryLog())


@dataclass
class Mover:
    """Fetch and deliver with the arguments that most tests do not care about."""

    stores: Stores
    log: MemoryLog = field(default_factory=MemoryLog)
    stop: threading.Event = field(default_factory=threading.Event)

    def fetch(self, source: Location | str, target: Path, **options: Any) -> Report:
        where = parse(source) if isinstance(source, str) else source
        return fetch(self.stores, where, target, stop=self.stop, log=self.log, **options)

    def deliver(self, source: Path, target: Location | str, **options: Any) -> Report:
        where = parse(target) if isinstance(target, str) else target
        return deliver(self.stores, source, where, stop=self.stop, log=self.log, **options)


@pytest.fixture
def mover(bucket: Bucket) -> Mover:
    """Transfers to and from ``bucket``, in every real store in turn."""
    return Mover(stores_of(bucket.store))


@pytest.fixture
def local() -> Mover:
    """Transfers that must never ask for an endpoint or for keys."""

    def no_keys() -> Credentials:
        raise AssertionError("a local transfer asked for credentials")

    return Mover(Stores(Endpoint(""), no_keys, MemoryLog()))


BIG = LARGE + (5 << 20) + 123
"""Bytes of a file that goes in parts, the last of which is a short one."""


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "source/big"
    path.parent.mkdir()
    whole, rest = divmod(BIG, 1 << 20)
    path.write_bytes((b"0123456789abcde\n" * (1 << 16)) * whole + b"x" * rest)
    return path


def uploads_left(bucket: Bucket) -> list[str]:
    """The keys of uploads that were begun, and neither finished nor given up."""
    answer = bucket.client.list_multipart_uploads(Bucket=bucket.name)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


SmallDisk = Callable[..., Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Makes a file system of its own with so much room: ``size`` in bytes, ``inodes`` (0: no limit)."""
    place = tmp_path / "small-disk"

    def make(*, size: int, inodes: int = 0) -> Path:
        place.mkdir()
        options = f"size={size},nr_inodes={inodes}"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small-disk", place], stderr=subprocess.PIPE)
        if mounted.returncode:
            place.rmdir()
            pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
        return place

    yield make
    if place.exists():
        subprocess.run(["umount", "-l", place], check=True)


def tree_of(root: Path) -> dict[str, bytes]:
    """Every file below ``root`` by its relative path; directories without anything by a path that ends in a slash.

    Our own manifests are not part of anybody's tree.
    """
    found: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.name.startswith(".bootstrap-") and path.name.endswith(".manifest"):
            continue
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                found[f"{name}/"] = b""
        else:
            found[name] = path.read_bytes()
    return found


def make_tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root
