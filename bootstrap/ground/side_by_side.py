"""Things that wait for somebody else, at the same time: over a store that thinks, each of them is its answer's time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from .abandonable import Abandonable

A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")


def side_by_side(works: Sequence[Callable[[], R]]) -> list[R]:
    """Do all at once; what each returned, in their order.

    What one raises is raised when all have ended; of several, what the first in this order raises.
    """
    if len(works) == 1:
        return [works[0]()]
    begun = [Abandonable(work) for work in works]
    for one in begun:
        one.wait()
    return [one.result() for one in begun]


def both(one: Callable[[], A], other: Callable[[], B]) -> tuple[A, B]:
    """:func:`side_by_side` for two of different kinds."""
    works: list[Callable[[], object]] = [one, other]
    return cast("tuple[A, B]", tuple(side_by_side(works)))
