"""``git+https://host/repo.git@revision#subdirectory=dir`` and its kin, as pip writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import SupportMissing, UrlInvalid
from ...ground.patterns import pattern
from ..model.scheme import Scheme, StoreContext
from ..model.url import Location, shown
from . import WITHOUT_SUBMODULES

if TYPE_CHECKING:
    from ..model.store import Store

_SECRETS = ("SSH_AUTH_SOCK", "GIT_ASKPASS")
_NO_URL = pattern(r"[\x00-\x20\x7f\\?]")
# What git check-ref-format takes, and nothing that could be an option or a range.
_REVISION = pattern(r"(?!-)(?!.*(?:\.\.|@\{|//))[^\x00-\x20\x7f~^:?*\[\\]+")
_HOST = pattern(r"(?!-)[A-Za-z0-9._-]+(?::\d+)?|\[[0-9a-fA-F:.]+\](?::\d+)?")
_USER = pattern(r"(?!-)[A-Za-z0-9._-]+")


def _parse(name: str, text: str, rest: str) -> Location:
    where = shown(text)
    if not rest.startswith("//"):
        raise UrlInvalid(f"{name}: needs two slashes", where=where)
    address, _, fragment = rest[2:].partition("#")
    authority, slash, path = address.partition("/")
    userinfo, _, host = authority.rpartition("@")
    path, _, revision = path.rpartition("@") if "@" in path else (path, "", "")
    path = path.strip("/")
    usable = not authority and bool(slash) if name == "git+file" else bool(_HOST.fullmatch(host))
    if not usable or not path or _NO_URL.search(address):
        raise UrlInvalid("not the address of a repository", where=where, remedy=f"write {name}://host/path/repo.git")
    if "@" in address[len(authority) :] and not _REVISION.fullmatch(revision):
        raise UrlInvalid("what stands behind the @ is no branch, tag or commit", where=where)
    directory, submodules = _behind_the_hash(fragment, where)
    if name == "git+ssh" and userinfo:
        if not _USER.fullmatch(userinfo):
            remedy = "leave the password out: ssh takes keys (~/.ssh, ssh-agent)"
            raise UrlInvalid("a user of ssh with a password", where=where, remedy=remedy)
        host, userinfo = f"{userinfo}@{host}", ""  # which is no secret
    bucket = f"{host}/{path}" + (f"@{revision}" if revision else "") + ("" if submodules else f"#{WITHOUT_SUBMODULES}")
    title = path.rpartition("/")[2].removesuffix(".git") or "repository"
    between = f"{'#' if submodules else '&'}subdirectory="
    return Location(name, directory, bucket, title=title, between=between, userinfo=userinfo)


def _behind_the_hash(fragment: str, where: str) -> tuple[str, bool]:
    """The directory of the repository that is meant, and whether submodules are. pip's ``egg=`` says nothing here."""
    directory, submodules = "", True
    for field in fragment.split("&") if fragment else ():
        kind, _, value = field.partition("=")
        if field == WITHOUT_SUBMODULES:
            submodules = False
        elif kind == "subdirectory" and not {"", ".", ".."} & set(value.strip("/").split("/")):
            directory = value.strip("/")
        elif kind != "egg":
            remedy = (
                f"write #subdirectory=path/in/the/repository, #{WITHOUT_SUBMODULES}, both with an & between, or nothing"
            )
            raise UrlInvalid("what stands behind the # is no directory of a repository", where=where, remedy=remedy)
    return directory, submodules


def _open(location: Location, context: StoreContext) -> Store:
    from .store import GitStore  # which loads what runs a program

    return GitStore(location, context.surroundings, context.log)


def _scheme(name: str, *programs: str) -> Scheme:
    def parse(text: str, rest: str) -> Location:
        return _parse(name, text, rest)

    def ready() -> None:
        import shutil  # a job without git never looks for it

        for program in programs:
            if shutil.which(program) is None:
                remedy = (
                    f"install it in the image (apt-get install {'openssh-client' if program == 'ssh' else program})"
                )
                raise SupportMissing(
                    f"{name}:// needs the program {program}", where=name, why="it is not in PATH", remedy=remedy
                )

    example = f"{name}://{'' if name == 'git+file' else 'host'}/repo.git@main"
    return Scheme(name, example, parse, _open, needs_keys=False, writable=False, secrets=_SECRETS, ready=ready)


GIT_HTTPS, GIT_HTTP = _scheme("git+https", "git"), _scheme("git+http", "git")
GIT_SSH, GIT_FILE = _scheme("git+ssh", "git", "ssh"), _scheme("git+file", "git")
