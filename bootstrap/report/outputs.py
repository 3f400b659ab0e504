"""The manifests of what was delivered: files, sizes, digests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import BootstrapError
from ..job import StopRequest
from ..outputs.remote.contents import Contents
from ..outputs.remote.target import Target
from ..storage.common.workers import TransferStopped
from ..storage.open import Stores
from ..storage.schemes import parse
from .model import NodeRun, OutputFile, OutputGroup, OutputUrl, listed, part

Mask = Callable[[str], str]

MOST_FILES = 500
"""Files of all outputs; the rest are a number."""


def delivered(stores: Stores, nodes: Iterable[NodeRun], stop: StopRequest, mask: Mask) -> tuple[OutputUrl, ...]:
    """For each URL that a record names as delivered to. What cannot be read is said in its place; never raises."""
    urls: dict[str, None] = {}
    for node in nodes:
        for one in listed(node.record, "delivered") or listed(node.record, "outputs"):
            if isinstance(url := part(one, "url"), str):
                urls.setdefault(_common(url, node.node))
    return tuple(_one(stores, url, stop, mask) for url in urls)


def _common(url: str, node: int) -> str:
    """The URL that was ordered: node N > 0 delivers below it."""
    return url.rstrip("/").removesuffix(f"/node-{node}") + "/" if node else url.rstrip("/") + "/"


def _one(stores: Stores, url: str, stop: StopRequest, mask: Mask) -> OutputUrl:
    try:
        return OutputUrl(mask(url), _groups(Target(stores, parse(url), stop=stop).contents(surely=True), mask))
    except (BootstrapError, TransferStopped, OSError) as error:
        return OutputUrl(mask(url), why=mask(str(error)) or "the time was up")


def _groups(contents: Contents, mask: Mask) -> tuple[OutputGroup, ...]:
    groups = [
        OutputGroup(
            mask(one.path),
            one.complete,
            one.attempt,
            tuple(_file(file, node, mask) for node, each in sorted(one.nodes.items()) for file in each.files),
            tuple(mask(name) for name in one.missing),
        )
        for one in contents.checkpoints
    ]
    loose = [_file(file, node, mask) for node, files in sorted(contents.loose.items()) for file in files.values()]
    if loose:
        newest = contents.attempt
        groups.append(OutputGroup("", contents.run_complete(newest), newest, tuple(loose)))
    return tuple(groups)


def _file(file: Any, node: int, mask: Mask) -> OutputFile:
    return OutputFile(mask(file.path), file.size, file.sha256, node)


def counted(groups: Iterable[OutputGroup]) -> Mapping[str, int]:
    """Files and bytes in all."""
    files = [file for group in groups for file in group.files]
    return {"files": len(files), "bytes": sum(file.size for file in files)}
