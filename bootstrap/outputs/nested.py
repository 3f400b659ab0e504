"""Outputs whose targets are one, or lie within one another: what one sends must not take a key of the other."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ..errors import UsageError
from ..job import Log, Output
from ..storage.model.url import Location
from .publisher import Publisher

_KEPT = re.compile(r"\.bootstrap|(?:node|attempt|run)-\d.*")
"""Names below a URL that are given by us."""


def check(outputs: Sequence[tuple[Output, Location]]) -> None:
    """Raises :class:`UsageError` where one's target is the other's, or where the other keeps its own things."""
    for number, (output, url) in enumerate(outputs):
        for other, above in [*outputs[:number], *outputs[number + 1 :]]:
            below = _below(url, above)
            where = f"{other.source} = {other.url} and {output.source} = {output.url}"
            if below == "":
                what = "two outputs have one URL"
                raise UsageError(what, where=where, remedy="give each a directory of its own below it")
            if below is not None and _KEPT.fullmatch(below.partition("/")[0]):
                what = f"an output's target is {below}, where the other's manifests, nodes or attempts have their place"
                raise UsageError(what, where=where, remedy="give it another name")


def keep_apart(publishers: Sequence[Publisher], log: Log) -> None:
    """What an output has where another one's target is stays the other one's: it is said now, and is delivered by the
    other, if that has it as well, or counts as not delivered.
    """
    for outer in publishers:
        for inner in publishers:
            below = _below(inner.target.url, outer.target.url)
            if not below or outer.options.prefix:  # nodes with a directory of their own meet nobody in it
                continue
            both = os.path.realpath(inner.root) == os.path.realpath(outer.root / below)
            why = "" if both else f"its place is the target of another output, {inner.output.url}"
            outer.elsewhere[below] = why
            log.warning(
                f"the target of an output is within another one's: what {outer.root / below} holds "
                + ("goes there once" if both else "will not be delivered"),
                target=str(inner.target.url),
            )


def _below(url: Location, above: Location) -> str | None:
    """The way from ``above`` down to ``url``, with a slash at its end; "" if they are one place; None without one."""
    if (_service(url), url.bucket) != (_service(above), above.bucket):
        return None
    inner, outer = (one.as_directory().path if one.is_remote else _real(one) for one in (url, above))
    return inner[len(outer) :] if inner.startswith(outer) else None


def _service(url: Location) -> str:
    return "obs" if url.scheme == "s3" else url.scheme


def _real(url: Location) -> str:
    return os.path.join(os.path.realpath(url.path), "")
