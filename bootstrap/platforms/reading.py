"""Reading one variable at a time: numbers, switches and directories, with the error that names the variable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile
from pathlib import Path

from ..errors import PlatformIncomplete
from ..job import Cluster, Sourced


def first(environ: Mapping[str, str], *names: str) -> Sourced | None:
    """The first of ``names`` that is set and not blank, with its name as the source."""
    for name in names:
        if value := environ.get(name, "").strip():
            return Sourced(value, name)
    return None


def number(environ: Mapping[str, str], *names: str) -> tuple[int, str] | None:
    """The first of ``names`` that is set, as a count or an index, with its name.

    Raises :class:`PlatformIncomplete` when the value is not a whole number of 0 or more.
    """
    found = first(environ, *names)
    if found is None:
        return None
    # isdecimal() alone would let other scripts' digits pass, which no launcher downstream understands.
    if not (found.value.isascii() and found.value.isdecimal()):
        raise PlatformIncomplete(
            "a count or an index of the platform is not a number",
            where=found.source,
            why=f"its value is {found.value!r}",
            remedy=f"set {found.source} to a whole number, or choose the platform with --platform NAME",
        )
    return int(found.value), found.source


def switched_on(environ: Mapping[str, str], name: str) -> bool:
    """ModelArts v1's switches: set, not empty and not ``0`` (its utils.sh reads all of them so)."""
    return environ.get(name, "").strip() not in ("", "0")


def names_here(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Which of ``names`` are set and not blank, in the order asked."""
    return [name for name in names if environ.get(name, "").strip()]


def own_names(environ: Mapping[str, str], root: Path) -> tuple[str, ...]:
    """What this container calls itself: the kernel's host name (read as a file below ``root``) and ``HOSTNAME``."""
    names = []
    try:
        names.append((root / "proc/sys/kernel/hostname").read_text().strip())
    except OSError:
        pass  # no proc file system: HOSTNAME alone has to do
    names.append(environ.get("HOSTNAME", "").strip())
    return tuple(dict.fromkeys(name for name in names if name))


def slots_per_node(environ: Mapping[str, str], root: Path) -> tuple[int, str]:
    """How many processes a node is meant to run, and what says so; ``(0, "")`` when nothing does.

    Asked (``NPROC_PER_NODE``, as PAI-DLC sets it), then the platform's count of cards (``MA_NUM_GPUS``, 0 on CPU
    flavours), then what is visible to the frameworks, then the device files.
    """
    for name in ("NPROC_PER_NODE", "PET_NPROC_PER_NODE", "MA_NUM_GPUS"):
        value = environ.get(name, "").strip()
        # torchrun also takes words here ("gpu", "auto"): those decide nothing for us.
        if value.isascii() and value.isdecimal() and int(value) > 0:
            return int(value), name
    for name in ("CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES"):
        devices = [part.strip() for part in environ.get(name, "").split(",") if part.strip()]
        # "-1" hides itself and what follows, to CUDA as well: alone it is the usual way to hide all of them.
        if visible := len(list(takewhile(lambda device: not device.startswith("-"), devices))):
            return visible, name
    for kind in ("nvidia", "davinci"):
        # numbered files only: nvidiactl and davinci_manager are not cards
        if cards := sum(path.name[len(kind) :].isdecimal() for path in (root / "dev").glob(f"{kind}*")):
            return cards, f"/dev/{kind}*"
    return 0, ""


def interface_asked(environ: Mapping[str, str]) -> dict[str, Sourced]:
    """The setting ``interface`` from ModelArts' own variables (the newer name first), empty where neither is set."""
    asked = first(environ, "MODELARTS_IPOIB_DEVICE", "DLS_IPOIB_DEVICE")
    return {"interface": asked} if asked else {}


def log_file_of(cluster: Cluster, environ: Mapping[str, str]) -> dict[str, Sourced]:
    """The setting ``log_file`` where the platform has no place of its own: one name a node, in the place for
    temporary files.
    """
    directory = first(environ, "TMPDIR") or Sourced("/tmp", "default")
    return {"log_file": Sourced(f"{directory.value}/bootstrap-task-{cluster.node_rank}.log", directory.source)}


def two_readings(environ: Mapping[str, str], names: Iterable[str], root: Path) -> list[str]:
    """Warnings of variables whose ``/bucket/key/`` is taken for a bucket, where a directory of that name is here."""
    warnings = []
    for name in names:
        text = environ.get(name, "").strip()
        if store_url(text) != text and (root / text.lstrip("/")).is_dir():
            warnings.append(
                f"{name}={text} is taken for {store_url(text)}, as ModelArts' console writes it; a directory of that "
                f"name is here, too: if it is meant, write file://{text}"
            )
    return warnings


def store_url(text: str) -> str:
    """ModelArts' console writes ``/bucket/key/`` for what everybody else writes ``obs://bucket/key/``.

    Only for variables that never hold a local path (the v1 documentation and the published readers of MA_INPUTS
    have all three spellings: ``s3://``, ``obs://`` and this one).
    """
    return f"obs:/{text}" if text.startswith("/") and not text.startswith("//") else text
