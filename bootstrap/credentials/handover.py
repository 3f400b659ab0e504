"""What the user's command receives of the keys: ``--pass-credentials yes|no|NAMES``."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from ..errors import UsageError
from ..masking.forms import forms
from ..masking.registry import SHORTEST
from .environment import holds_itself
from .names import gives_store_access, holds_store_key, is_ours_alone


def for_command(
    environ: Mapping[str, str],
    policy: str,
    plain: Mapping[str, str],
    keys: Collection[str] = (),
    others: Collection[str] = (),
) -> tuple[dict[str, str], tuple[str, ...]]:
    """(variables to add, names to remove) for the command's environment.

    ``plain`` holds decrypted values by name, ``keys`` what was read from files, services and boto3's chain;
    ``others`` are the variables that hold the keys of other places, or lead to them. ``yes``:
    all, as before, since users' scripts talk to the store themselves. ``no``: none that holds, decrypts to or leads to
    a key, by its name or by its value (a copy elsewhere, a URL or a JSON document with a key in it). Names, divided by
    commas: only these, encrypted ones under their plain names. What is ours alone never reaches the command, unless it
    is named.

    :raises UsageError: a name that is not there
    """
    if policy == "yes":
        return dict(plain), tuple(sorted(filter(is_ours_alone, environ)))
    wanted = [] if policy == "no" else [name for name in (part.strip() for part in policy.split(",")) if name]
    if absent := [name for name in wanted if name not in environ and name not in plain]:
        raise UsageError(
            "--pass-credentials names variables that are not there",
            where=", ".join(absent),
            why="they are neither set nor decrypted",
            remedy="say yes, no, or names of variables that this job has",
        )
    # A plain variable under the name of an encrypted one is a secret too, whatever its name says.
    remove = {name for name in environ if gives_store_access(name) or name in plain or name in others} - set(wanted)
    given = {plain.get(name, environ.get(name, "")) for name in wanted}
    keys = {*keys, *(environ[name] for name in others if name in environ and holds_itself(name, environ[name]))}
    remove |= _copies(environ, plain, keys, given) - set(wanted)
    return {name: plain[name] for name in wanted if name in plain}, tuple(sorted(remove))


def _copies(
    environ: Mapping[str, str], plain: Mapping[str, str], keys: Collection[str], given: Collection[str]
) -> set[str]:
    """The variables in whose values a key of the store is, in any spelling, or that are another decrypted secret.

    A key is a long random word, and wherever it is found it is no accident. What else people encrypt may be a word
    that others contain rightly (``DLS_AES__HOST``): only the very same value is a copy of it. What is shorter than
    ``SHORTEST`` bytes proves nothing. ``given`` are values that the command has anyhow.
    """
    held = {value.strip() for known in (environ, plain) for name, value in known.items() if holds_store_key(name)}
    held |= set(keys)
    found = {value for value in held - set(given) if len(os.fsencode(value)) >= SHORTEST}
    same = {value for value in set(plain.values()) - set(given) if len(os.fsencode(value)) >= SHORTEST}
    spelled = {spelling for key in found for spelling in forms(key)}
    return {
        name
        for name, value in environ.items()
        if value in same or any(spelling in os.fsencode(value) for spelling in spelled)
    }
