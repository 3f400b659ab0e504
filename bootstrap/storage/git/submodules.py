"""Where the repositories of a commit's submodules are: what ``.gitmodules`` says, as git and pip take it."""

from __future__ import annotations

import posixpath
import urllib.parse

from ...ground.patterns import pattern
from ...values import dataclass

_SCP = pattern(r"(?P<user>[A-Za-z0-9._-]+@)?(?P<host>[A-Za-z0-9.-]+):(?!//)(?P<path>.+)")
_NO_ADDRESS = pattern(r"-|.*[\x00-\x20\x7f]")
_WEB = ("http", "https")


@dataclass(frozen=True, slots=True)
class Submodule:
    """``url`` as it is written, perhaps relative. ``wanted``: not ``update = none``, with which git leaves it alone."""

    url: str
    wanted: bool


def read_gitmodules(printed: bytes) -> dict[str, Submodule]:
    """By their paths, of what ``git config -z --list`` prints of the file."""
    told: dict[str, dict[str, str]] = {}
    for line in printed.decode(errors="surrogateescape").split("\0"):
        key, _, value = line.partition("\n")
        section, _, rest = key.partition(".")
        name, _, field = rest.rpartition(".")
        if section == "submodule" and name:
            told.setdefault(name, {})[field] = value
    return {
        posixpath.normpath(one["path"]): Submodule(one["url"], one.get("update", "") != "none")
        for one in told.values()
        if one.get("path") and one.get("url")
    }


def address_of(url: str, above: str) -> str:
    """The repository that ``url`` is for one at ``above``; empty for what can be none."""
    if url.startswith(("./", "../")):
        base = above.rstrip("/")
        while url.startswith(("./", "../")):
            dots, _, url = url.partition("/")
            if dots == "..":
                head, slash, _ = base.rpartition("/")
                base = head if slash else base.rpartition(":")[0]
        url = f"{base}/{url}"
        if "://" in above and "://" not in url:  # above the server itself
            return ""
    return "" if _NO_ADDRESS.match(url) else url


def without_user(address: str) -> tuple[str, str]:
    """A web address and the user and password in it, which are never on a command line; others are as they were."""
    scheme, separator, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    userinfo, _, host = authority.rpartition("@")
    if scheme.lower() not in _WEB or not userinfo:
        return address, ""
    return scheme + separator + host + slash + path, userinfo


def same_server(address: str, root: str) -> bool:
    """Whether what opens the repository ``root`` on the web may be given to this one, too."""
    one, other = urllib.parse.urlsplit(address), urllib.parse.urlsplit(root)
    return one.scheme in _WEB and (one.scheme, one.netloc) == (other.scheme, other.netloc)


def over_the_web(address: str, root: str) -> str:
    """An address for ssh on the server of the web address ``root`` as one of the web, where a token opens both; others
    are as they were. Whoever writes ``git@host:org/lib.git`` there has a key, which a container seldom has.
    """
    parts, wanted = urllib.parse.urlsplit(root), urllib.parse.urlsplit(address)
    host, path = wanted.hostname, wanted.path
    if wanted.scheme != "ssh":
        found = _SCP.fullmatch(address)
        if found is None:
            return address
        host, path = found["host"].lower(), found["path"]
    if parts.scheme not in _WEB or host != parts.hostname:
        return address
    return f"{parts.scheme}://{parts.netloc}/{path.lstrip('/')}"
