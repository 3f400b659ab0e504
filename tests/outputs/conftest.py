"""One output on this machine and its URL in a real store or in a directory, without a bootstrap around them."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bootstrap.job import Credentials, Ending, Endpoint, Output
from bootstrap.outputs import final
from bootstrap.outputs.publisher import Publisher
from bootstrap.outputs.remote.contents import Contents
from bootstrap.outputs.remote.fence import new_claim
from bootstrap.outputs.remote.shelf import Options
from bootstrap.outputs.remote.target import Target
from bootstrap.storage.open import Stores
from bootstrap.storage.schemes import parse
from tests.lab.stores import Store

NEVER = threading.Event()
WELL = Ending(0)
KILLED = Ending(None, 9)


class Heard:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def _take(self, event: str, **facts: object) -> None:
        self.lines.append(" ".join([event, *(f"{name}={value}" for name, value in facts.items())]))

    debug = info = warning = error = _take

    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass
class Place:
    """A URL, and the way to it."""

    url: str
    stores: Stores
    log: Heard = field(default_factory=Heard)

    def target(self) -> Target:
        return Target(self.stores, parse(self.url), stop=NEVER)

    def publisher(self, root: Path, *, linger: float = 0.0, **options: Any) -> Publisher:
        """With ``linger`` 0, what is complete takes the place of what is older at the next look, not after seconds."""
        root.mkdir(exist_ok=True)
        chosen = Options(**options)
        target = self.target()
        contents = target.contents()
        claim = new_claim(contents.claims, node=chosen.node, nodes=chosen.nodes, job=chosen.job)
        target.put(claim.key, claim.text())
        publisher = Publisher(Output(str(root), self.url, "--output"), target, chosen, claim, self.log, contents)
        publisher.shelf.lingering.seconds = linger
        return publisher

    def contents(self) -> Contents:
        return self.target().contents()

    def names(self) -> list[str]:
        """What is there, but for our own documents."""
        return sorted(entry.key for entry in self.target().listed("") if not entry.key.startswith(".bootstrap/"))

    def get(self, key: str) -> bytes:
        (found,) = self.target().read([key])
        assert found is not None, key
        return found

    def tree(self) -> dict[str, bytes]:
        return {key: self.get(key) for key in self.names()}

    def complete(self, *, newest: bool = False) -> list[str]:
        """The complete checkpoints, the newest first, each verified to be what its manifest says; with ``newest`` one
        of each path: who may not list leaves manifests of what he has replaced.
        """
        found: list[str] = []
        for one in self.contents().checkpoints:
            if one.complete and not (newest and one.path in found):
                for file in one.files_for(0):
                    data = self.get(file.key)
                    assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256), file
                found.append(one.path)
        return found


def stores_of(store: Store, endpoint: str = "", window: float = 5.0) -> Stores:
    credentials = Credentials(store.access_key, store.secret_key, source="the test")
    place = Endpoint(endpoint or store.endpoint, region=store.region, addressing="path", retry_window=window)
    return Stores(place, lambda: credentials, Heard())


def settle(publisher: Publisher) -> None:
    """A round, and what the next one begins with: what is complete takes the place of what is older."""
    publisher.round(NEVER)
    publisher.refresh()


@pytest.fixture(params=["seaweedfs", "rclone", "directory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A URL in each real store, and on a NAS."""
    if request.param == "directory":
        stores = Stores(Endpoint("http://127.0.0.1:9"), lambda: Credentials("a", "b"), Heard())
        return Place(str(tmp_path / "nas/out") + "/", stores)
    store: Store = request.getfixturevalue(request.param)
    return Place(store.make_bucket().url("models/"), stores_of(store))


@pytest.fixture
def nas(tmp_path: Path) -> Place:
    """A URL that is a directory."""
    return Place(f"{tmp_path}/nas/out/", Stores(Endpoint("http://127.0.0.1:9"), lambda: Credentials("a", "b"), Heard()))


@pytest.fixture
def bucket_place(seaweedfs: Store) -> Place:
    return Place(seaweedfs.make_bucket().url("models/"), stores_of(seaweedfs))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "out"
    root.mkdir()
    return root


def write(root: Path, files: Mapping[str, bytes | str], *, age: float = 60.0) -> None:
    """Files of some age, so that nobody takes them for new."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        moment = time.time() - age
        os.utime(path, (moment, moment))


def end(publisher: Publisher, ending: Ending = WELL, left: float = float("inf")) -> final.Delivery:
    return final.deliver(publisher, ending=ending, stop=NEVER, seconds_left=lambda: left)


def tensors(n: int) -> bytes:
    """A safetensors file of eight bytes."""
    head = b'{"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}'
    return len(head).to_bytes(8, "little") + head + bytes([n]) * 8
