"""``hf://org/model@revision/path``, with ``datasets/`` or ``spaces/`` in front, as huggingface_hub writes it."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ...errors import SupportMissing, UrlInvalid
from ...ground.patterns import pattern
from ..model.scheme import Scheme, StoreContext
from ..model.url import Location, shown

if TYPE_CHECKING:
    from ..model.store import Store

_SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")

# A revision with slashes is one of the hub's own: refs/pr/7, refs/convert/parquet. Others have them as %2F.
_PLACE = pattern(
    r"(?P<kind>(?:datasets|spaces)/)?(?P<repo>[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*|(?![^@])))"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[A-Za-z0-9](?:[\w.+-]|%[0-9A-Fa-f]{2})*))?(?:/(?P<path>.*))?",
    re.ASCII | re.DOTALL,
)


def _parse(text: str, rest: str) -> Location:
    found = _PLACE.fullmatch(rest[2:]) if rest.startswith("//") else None
    if found is None or "\0" in text:
        remedy = "write hf://org/model@revision, or hf://datasets/org/name@revision/path"
        raise UrlInvalid("not the name of a model or data set", where=shown(text), remedy=remedy)
    revision = f"@{found['revision']}" if found["revision"] else ""
    bucket = f"{found['kind'] or ''}{found['repo']}{revision}"
    return Location("hf", found["path"] or "", bucket, title=found["repo"].rpartition("/")[2])


def _open(location: Location, context: StoreContext) -> Store:
    from .store import HubStore  # which loads huggingface_hub

    return HubStore(location, context.surroundings)


def _ready() -> None:
    if find_spec("huggingface_hub") is None:
        why = f"{sys.executable}, which runs the bootstrap, does not have it"
        remedy = "install our wheel with its extra: pip install 'modelarts_bootstrap-VERSION-py3-none-any.whl[hf]'"
        raise SupportMissing("hf:// needs the Python package huggingface_hub", where="hf", why=why, remedy=remedy)


HF = Scheme(
    "hf", "hf://org/model@main/", _parse, _open, needs_keys=False, writable=False, secrets=_SECRETS, ready=_ready
)
