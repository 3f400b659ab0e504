"""The environment as it was meant: nothing around values, and names that nobody reads pointed out.

It is a copy for *us* to read: the command's environment stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from . import settings
from .ground.patterns import pattern
from .ground.surroundings import bare
from .platforms import WRITTEN_BY_PEOPLE
from .values import dataclass

_OURS = pattern(r"BOOTSTRAP_|S3_|AWS_|OBS_|ACCESS_KEY_ID$|SECRET_ACCESS_KEY$|SECURITY_TOKEN$|SecurityToken$")
"""Names of our settings and of every store's, which the platforms' come on top of."""

FOR_THE_COMMAND = (
    *("OUTPUT_DIR", "HOSTS", "ADDRESSES", "NNODES", "NODE_RANK", "ROLE", "INSIDE", "SUPERVISOR"),
    *("RESTARTS", "STOP_FILE", "RESUME_FROM", "RESUME_FILE"),
)
"""Variables behind our prefix that are no settings: what a command is told, and may hand on to a bootstrap in it."""

_OF_OUR_OWN_PARTS = (
    *("BIN", "PREFIX", "HOOKS_FD", "CREDENTIALS_FD", "PATH_ONLY"),
    *("TEST_AZURITE", "TEST_CLOUDS", "TEST_ENGINES", "TEST_FUZZ", "TEST_OLD_PYTHON", "TEST_VOLCANO_CRD"),
)
_OF_THE_KEYS = (
    *("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SECURITY_TOKEN", "CREDENTIAL_EXPIRATION", "SECRETS_KEY"),
    *("ACCESS_KEY_ID_FILE", "SECRET_ACCESS_KEY_FILE", "SECURITY_TOKEN_FILE", "SECRETS_KEY_FILE"),
)
_BEGINNINGS = ("SECRET__", "HIDDEN_", "OUTPUT_DIR_")

_OF_THE_STORE = (
    *("S3_ENDPOINT", "S3_USE_HTTPS", "S3_VERIFY_SSL", "S3_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    *("OBS_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", "S3_SECURITY_TOKEN", "S3_SESSION_TOKEN"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE"),
    *("OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY", "OBS_SECURITY_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SECURITY_TOKEN"),
)


@dataclass(frozen=True, slots=True)
class Variables:
    """``environ`` with nothing around its values, and what a person should know of the variables."""

    environ: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def read(environ: Mapping[str, str]) -> Variables:
    """The variables as they were meant, and what to warn of."""
    clean, warnings = {}, []
    beginnings = tuple({f"{name.partition('_')[0]}_" for name in WRITTEN_BY_PEOPLE})
    for name, value in environ.items():
        if is_told(name, environ):
            continue
        clean[name], gone = bare(value)
        if gone and (_OURS.match(name) or name.startswith(beginnings)) and not _divides(name, gone):
            warnings.append(f"{name}: {gone} around its value taken off")
    return Variables(clean, (*warnings, *_unknown(clean)))


def is_told(name: str, environ: Mapping[str, str]) -> bool:
    """Whether a variable with a setting's name is none, but what a bootstrap around us has told us, its command: the
    path of a checkpoint, where --resume-from has a URL.
    """
    return name == f"{settings.PREFIX}RESUME_FROM" and f"{settings.PREFIX}RESUME_FILE" in environ


def _divides(name: str, gone: str) -> bool:
    """A new line at the end of a setting that has one item a line: as it should be."""
    knob = next((knob for knob_name, knob, _ in settings.knobs() if settings.variable(knob_name) == name), None)
    return knob is not None and knob.many and gone in ("a line's end", "space")


def _unknown(environ: Mapping[str, str]) -> list[str]:
    """Names that look like settings and are none: what somebody relied on would be dropped without a word."""
    ours = {settings.variable(name) for name, _, _ in settings.knobs()}
    others = {settings.PREFIX + name for name in (*FOR_THE_COMMAND, *_OF_OUR_OWN_PARTS, *_OF_THE_KEYS)}
    theirs = {*_OF_THE_STORE, *WRITTEN_BY_PEOPLE}
    found = []
    for name in sorted(environ):
        if name in ours or name in others or name in theirs or not environ[name]:
            continue
        shown = name if name.strip() == name else repr(name)
        spelled = name.strip().upper().replace("-", "_")
        if spelled.startswith(settings.PREFIX) and not spelled.startswith(
            tuple(settings.PREFIX + beginning for beginning in _BEGINNINGS)
        ):
            near = _near(spelled, ours, 0.75)
            found.append(f"{shown} is no setting, and nobody reads it{f'; did you mean {near}?' if near else ''}")
        elif re.match(r"BO?O?TS?TRAP|BOO?S?T", spelled) and (near := _near(spelled, ours, 0.9)):
            found.append(f"{shown} is no setting, and nobody reads it; did you mean {near}?")
        elif not spelled.startswith("AWS_ENDPOINT_URL_"):  # boto's for other services
            of_its_prefix = [known for known in theirs if known.startswith(f"{spelled.partition('_')[0]}_")]
            near = next((known for known in of_its_prefix if _mistyped(spelled, known)), "")
            if near and near not in environ:
                found.append(f"{name} is read by nobody here; did you mean {near}?")
    return found


def _near(name: str, known: Collection[str], like: float) -> str:
    import difflib  # wanted where there is something to warn of only

    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=like)), "")


def _mistyped(name: str, known: str) -> bool:
    """Whether one is the other with a letter too many, missing, wrong, or two of them swapped; twice at most."""
    if abs(len(name) - len(known)) > 2 or len(set(name) ^ set(known)) > 4:  # most, at no cost
        return False
    before, row = [0] * (len(known) + 1), list(range(len(known) + 1))
    for i, letter in enumerate(name, 1):
        two_before, before, row = before, row, [i]
        for j, other in enumerate(known, 1):
            row.append(min(row[-1] + 1, before[j] + 1, before[j - 1] + (letter != other)))
            if i > 1 and j > 1 and letter == known[j - 2] and name[i - 2] == other:
                row[j] = min(row[j], two_before[j - 2] + 1)
    return row[-1] <= 2
