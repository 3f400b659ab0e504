"""What the user's command receives of the keys: ``--pass-credentials yes|no|NAMES``."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import UsageError
from .names import gives_store_access, is_ours_alone


def for_command(
    environ: Mapping[str, str], policy: str, plain: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """(variables to add, names to remove) for the command's environment.

    ``plain`` holds decrypted values by name. ``yes``: all, as before, since users' scripts talk to the store
    themselves. ``no``: none that holds, decrypts to or leads to a key. Names, divided by commas: only these, encrypted
    ones under their plain names. What is ours alone never reaches the command, unless it is named.

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
    remove = {name for name in environ if gives_store_access(name) or name in plain} - set(wanted)
    return {name: plain[name] for name in wanted if name in plain}, tuple(sorted(remove))
