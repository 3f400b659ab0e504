"""The places where keys may be, each read in the same way: values by name, put together by one rule."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import SecretUnreadable
from ..job import Credentials
from ..values import dataclass
from .chain import BotoChain
from .expiry import parse_time
from .files import SecretFiles, real_directory, unchanged_while
from .names import FAMILIES, PROFILE, Family


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere keys may be. ``read`` gives them, or says what is odd there, or "" when there is simply nothing.

    It raises :class:`~bootstrap.errors.SecretUnreadable`. ``cheap`` places are compared with the one that is used,
    so that two that disagree are noticed.
    """

    name: str
    read: Callable[[], Credentials | str]
    cheap: bool = True


def assemble(family: Family, values: Mapping[str, str], source: str, known: Sequence[Family]) -> Credentials | str:
    """A family's keys from ``values``, or what is odd about them, or "".

    The token and the end may come under another family's names (Huawei's name for the token beside AWS' names for
    the pair is common), as long as that family has no other key of its own which they would belong to.
    """
    key, secret = values.get(family.key, ""), values.get(family.secret, "")
    if key and secret:
        kin = [family, *(other for other in known if other != family and values.get(other.key, "") in ("", key))]
        token = _first(values, [name for one in kin for name in one.tokens])
        ends = _first(values, [name for one in kin for name in one.expires])
        return Credentials(
            key, secret, values.get(token, ""), parse_time(values.get(ends, "")) if token else None, source
        )
    if key or secret:
        there, missing = (family.key, family.secret) if key else (family.secret, family.key)
        return f"{there} is there, but {missing} is {'empty' if missing in values else 'missing'}"
    token = _first(values, family.tokens)
    if any(values.get(other.key) and values.get(other.secret) for other in known):
        return ""  # that pair has taken the token, or stands before it
    return f"{token} is there, but {family.key} and {family.secret} are missing" if token else ""


def _first(values: Mapping[str, str], names: Sequence[str]) -> str:
    """The first of ``names`` that has a value, or ""."""
    return next((name for name in names if values.get(name)), "")


def _any(values: Mapping[str, str], source: Callable[[Family], str]) -> Credentials | str:
    """The keys of the first family that is whole, else the first oddness."""
    found = [assemble(family, values, source(family), FAMILIES) for family in FAMILIES]
    return next((one for one in found if isinstance(one, Credentials)), "") or next((one for one in found if one), "")


def variables(family: Family, environ: Mapping[str, str], decrypted: Mapping[str, str], files: SecretFiles) -> Place:
    """A family's variables, decrypted values before plain ones, as run_train.sh exported them."""
    name = f"{family.key} and {family.secret}"
    if not {family.key, family.secret}.isdisjoint(decrypted):
        name += " (decrypted)"

    def read() -> Credentials | str:
        values = {}
        for variable in (name for known in FAMILIES for name in known.names):
            value = decrypted.get(variable, environ.get(variable))
            if value is not None:
                values[variable] = files.register(variable, value.strip())
        return assemble(family, values, name, FAMILIES)

    return Place(name, read)


def profile_file(name: str, path: str, profile: str, files: SecretFiles) -> Place:
    """One profile of an INI file, named by the variable or option ``name``."""

    def read() -> Credentials | str:
        values = files.profile(name, path, profile)
        if not values:
            return f"{path} has no profile [{profile}]"
        for part in (PROFILE.key, PROFILE.secret, *PROFILE.tokens):
            files.register(f"{name} ({part})", values.get(part, ""))
        return assemble(PROFILE, values, f"{name} ({path}, profile {profile})", [PROFILE])

    return Place(name, read)


def file_variables(environ: Mapping[str, str], files: SecretFiles) -> Place:
    """Variables with ``_FILE`` behind their name, as Docker's own images have them: each names a file of one value."""
    paths = {
        name: environ[f"{name}_FILE"] for family in FAMILIES for name in family.names if environ.get(f"{name}_FILE")
    }

    def read() -> Credentials | str:
        values = unchanged_while(lambda: {name: files.value(f"{name}_FILE", path) for name, path in paths.items()})
        return _any(values, lambda family: f"{family.key}_FILE and {family.secret}_FILE")

    return Place("the same variables with _FILE behind their names", read)


def secrets_directory(directory: str, files: SecretFiles) -> Place:
    """Files named like the variables, in capitals or not: Docker's secrets, or a mounted Kubernetes Secret."""

    def values() -> dict[str, str]:
        while True:
            where = real_directory(directory)
            try:
                return values_in(where)
            except SecretUnreadable:
                if real_directory(directory) == where:
                    raise  # else it was renewed while we read, and the old files are gone

    def values_in(where: str) -> dict[str, str]:
        try:
            present = {entry.name for entry in Path(where).iterdir()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SecretUnreadable(
                "the secrets directory cannot be read", where=directory, why=str(error.strerror)
            ) from None
        return {
            name: files.value(file, os.path.join(where, file))
            for name in (name for family in FAMILIES for name in family.names)
            for file in (name, name.lower())
            if file in present
        }

    def read() -> Credentials | str:
        return _any(unchanged_while(values), lambda family: f"{directory}: {family.key} and {family.secret}")

    return Place(f"files of these names in {directory}", read)


def metadata_service(url: str, files: SecretFiles) -> Place:
    def read() -> Credentials | str:
        from . import metadata as service  # asked by choice only

        answer = service.read(url)
        for part in ("access", "secret", "securitytoken"):
            files.register(f"metadata service ({part})", answer[part])
        if not (answer["access"] and answer["secret"]):
            return "it answered, but without a key pair"
        return Credentials(
            answer["access"],
            answer["secret"],
            answer["securitytoken"],
            parse_time(answer["expires_at"]),
            f"metadata service {url}",
        )

    return Place(f"metadata service {url}", read, cheap=False)


def boto_chain(files: SecretFiles, *, metadata: bool) -> Place:
    chain = BotoChain(metadata=metadata)

    def read() -> Credentials | str:
        found = chain.read()
        if found is None:
            return ""
        for part, value in (("key", found.access_key), ("secret", found.secret_key), ("token", found.token)):
            files.register(f"{found.source} {part}", value)
        return found if found.access_key and found.secret_key else "it gave no key pair"

    return Place("boto3's own chain", read, cheap=False)
