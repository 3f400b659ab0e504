"""The command's environment: the user's own, what the job needs, and nothing of ours."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

# Set by our own launcher when it runs us from a prefix of ours (a private Python or virtual environment in the image):
# the name of that prefix. Without it, nothing in the environment is known to be ours, and nothing is taken away.
OWN_PREFIX = "BOOTSTRAP_PREFIX"


def child_environment(
    environ: Mapping[str, str],
    *,
    job_dir: str,
    work_dir: str | None = None,
    remove: Iterable[str] = (),
    defaults: Mapping[str, str] | None = None,
    add: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of the command.

    ``remove`` names variables that it must not see; ``defaults`` are set where the user has not set them; ``add`` is
    set in any case. Beyond that three variables change: ``PYTHONUNBUFFERED`` is 1, ``PYTHONPATH`` begins with the job
    dir (both as run_train.sh did), and ``PWD`` says where the command starts (as a shell's ``cd`` does).

    Nothing of ours leaks in. What is ours is known by ``BOOTSTRAP_PREFIX``, which our launcher sets when it starts us
    from a prefix of our own: then ``PATH`` entries inside that prefix, a ``VIRTUAL_ENV`` or ``PYTHONHOME`` that names
    it and the variable itself are taken out. Where we are installed in the user's own environment, its ``python`` is
    the user's: nothing is taken out.
    """
    gone = {OWN_PREFIX, *remove}
    child = {name: value for name, value in environ.items() if name not in gone}
    prefix = environ.get(OWN_PREFIX)
    if prefix:
        _take_out(child, prefix)
    for name, value in (defaults or {}).items():
        child.setdefault(name, value)
    child["PYTHONUNBUFFERED"] = "1"
    child["PYTHONPATH"] = _in_front(job_dir, child.get("PYTHONPATH", ""))
    if work_dir is not None:
        child["PWD"] = work_dir
    child.update(add or {})
    return child


def _take_out(child: dict[str, str], prefix: str) -> None:
    for name in ("VIRTUAL_ENV", "PYTHONHOME"):
        if name in child and _inside(child[name], prefix):
            del child[name]
    for name in ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH"):
        if name in child:
            kept = [entry for entry in child[name].split(os.pathsep) if not (entry and _inside(entry, prefix))]
            child[name] = os.pathsep.join(kept)


def _inside(path: str, prefix: str) -> bool:
    path, prefix = os.path.normpath(path), os.path.normpath(prefix)
    return path == prefix or path.startswith(prefix + os.sep)


def _in_front(first: str, rest: str) -> str:
    """``first`` before ``rest``, once. No empty entry is made: to Python it means the current directory."""
    if not rest:
        return first
    return os.pathsep.join([first, *(entry for entry in rest.split(os.pathsep) if entry != first)])
