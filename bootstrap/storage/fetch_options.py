"""How something is fetched, whatever it is and wherever from."""

from __future__ import annotations

from ..values import dataclass
from .common.choice import EVERYTHING, Choice
from .common.recorded_links import LinkPolicy
from .fetch.index import Changed, Extra


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What :func:`.transfer.fetch` takes under these names."""

    direct: bool = False
    tree: bool = True
    unpack: bool = True
    rename: str = ""
    changed: Changed = "restore"
    extra: Extra = "keep"
    links: LinkPolicy = "follow"
    choice: Choice = EVERYTHING
