"""The interface on which this node talks to the others, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..job import Sourced
from ..settings import Resolved

if TYPE_CHECKING:
    from ..network.interfaces import Interface


def chosen_interface(resolved: Resolved) -> Interface:
    """The interface on which this node talks to others, as the settings say.

    Raises :class:`InterfaceMissing` when a person asked for one that cannot be used; a platform's wish is only a wish.
    """
    from ..network.interfaces import choose  # a job of one node never asks

    name, source = resolved.settings.interface, resolved.sources["interface"]
    return choose(Sourced(name, source) if name else None, required=resolved.by_person("interface"))


def needed_interface(resolved: Resolved, *, several_nodes: bool) -> Interface | None:
    """The same, but none for a single node whose owner asks for none."""
    if not several_nodes and not resolved.by_person("interface"):
        return None
    return chosen_interface(resolved)
