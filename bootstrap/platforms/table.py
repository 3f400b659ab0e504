"""Which platform this is, from the environment and mounted files alone: one line a platform, asked in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import BootstrapError, UsageError
from ..job import SINGLE_NODE, PlatformFacts, Sourced
from ..values import dataclass, replace
from . import dls, doubts, local, modelarts, rank_env, volcano
from .reading import interface_asked


@dataclass(frozen=True, slots=True)
class Platform:
    """``recognise`` names the variables that give the platform away, or nothing; ``read`` tells what they say.

    ``defaults`` is the part of it that never fails: above all where the log goes.
    """

    name: str
    title: str
    recognise: Callable[[Mapping[str, str], Path], str]
    read: Callable[[Mapping[str, str], Path, str], PlatformFacts]
    defaults: Callable[[Mapping[str, str]], Mapping[str, Sourced]] = interface_asked


# The order matters: ModelArts v2 runs on Volcano and has its variables too, and old scripts moved to v2 often set
# DLS_ names for themselves, whereas nobody but the platform can set MA_ ones; Volcano's pytorch plugin sets RANK.
PLATFORMS = (
    Platform(modelarts.NAME, "ModelArts v2", modelarts.recognise, modelarts.read, modelarts.defaults),
    Platform(dls.NAME, "ModelArts v1", dls.recognise, dls.read, dls.defaults),
    Platform(volcano.NAME, "Volcano", volcano.recognise, volcano.read),
    Platform(rank_env.NAME, "Kubeflow, PAI-DLC", rank_env.recognise, rank_env.read),
    Platform(local.NAME, "no platform", local.recognise, local.read),
)

WRITTEN_BY_PEOPLE = (
    *("DLS_APP_URL", "DLS_DATA_URL", "DLS_TRAIN_URL", "DLS_UPLOAD_LOG_OBS_DIR", "DLS_LOCAL_CACHE_PATH"),
    *("DLS_USE_DOWNLOADER", "DLS_USE_UPLOADER", "DLS_IPOIB_DEVICE", "MODELARTS_IPOIB_DEVICE", "DLS_JOB_ID"),
    *("DLS_TASK_INDEX", "DLS_TASK_NUMBER", "MA_VJ_NAME", "MA_NUM_HOSTS", "MA_TASK_NAME", "VC_TASK_INDEX"),
)
"""Variables of the platforms that people set, too: in a job file, or to play a platform."""


def choices() -> str:
    """All that the setting takes, in words."""
    plain = (volcano.NAME, local.NAME)
    words = [row.name if row.name in plain else f"{row.name} ({row.title})" for row in PLATFORMS]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def identify(environ: Mapping[str, str], *, name: str | None = None, root: Path = Path("/")) -> PlatformFacts:
    """What the platform tells of this job. ``name`` overrides the choice, ``root`` is where mounted files are.

    Raises :class:`UsageError` for an unknown name, :class:`PlatformIncomplete`, :class:`ClusterMismatch` and
    :class:`DeclarationUnreadable` for what the platform itself got wrong.
    """
    if name:
        platform = _named(name)
        evidence = platform.recognise(environ, root)
        seen = f"{evidence} found" if evidence else "although none of its variables is set"
        reason = "asked for by name" if platform is PLATFORMS[-1] else f"asked for by name, {seen}"  # which needs none
        return _doubted(platform.read(environ, root, reason), environ, root)
    for platform in PLATFORMS:
        if evidence := platform.recognise(environ, root):
            return _doubted(platform.read(environ, root, f"{platform.title}: {evidence}"), environ, root)
    raise AssertionError("the last line of the table recognises everything")


def _doubted(facts: PlatformFacts, environ: Mapping[str, str], root: Path) -> PlatformFacts:
    """``facts`` of a single node with what hints at more, where the platform itself has not counted."""
    if facts.cluster.size > 1:
        return facts
    doubt = doubts.of(environ, root, counted=facts.cluster.source != SINGLE_NODE.source)
    if doubt is None:
        return facts
    return replace(facts, apart=doubt.apart, warnings=(*facts.warnings, str(doubt)))


def salvage(environ: Mapping[str, str], *, root: Path = Path("/")) -> PlatformFacts:
    """What is certain where :func:`identify` raised: a job that cannot start still has a log to deliver, saying why."""
    platform = next(platform for platform in PLATFORMS if platform.recognise(environ, root))
    return PlatformFacts(platform.name, platform.title, defaults=platform.defaults(environ))


def known(environ: Mapping[str, str], *, name: str | None = None) -> tuple[PlatformFacts, BootstrapError | None]:
    """:func:`identify`, and where it raised what :func:`salvage` leaves, with what was raised."""
    try:
        return identify(environ, name=name), None
    except BootstrapError as error:
        return salvage(environ), error


def _named(name: str) -> Platform:
    for platform in PLATFORMS:
        if platform.name == name:
            return platform
    import difflib  # wanted for this one sentence only

    names = [platform.name for platform in PLATFORMS]
    near = difflib.get_close_matches(name.lower(), names, n=2, cutoff=0.5)
    raise UsageError(
        f"there is no platform named {name!r}",
        where="--platform",
        why=f"did you mean {' or '.join(near)}?" if near else "",
        remedy=f"use one of {', '.join(names)}, or leave it out",
    )
