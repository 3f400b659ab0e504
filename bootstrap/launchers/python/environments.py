"""Conda and virtual environments without a shell: what ``activate`` would have done to the environment.

Platforms do not run the boot command in a login shell, so ``conda activate`` is not there to be called, and the
``python`` that is found is the image's, not the one that everything was installed into.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import CannotStart, UsageError
from ...ground.json_text import load_json
from ...job import StopRequest
from ...values import dataclass

# What conda is installed as when nothing in the environment says so: its installers' own names, with and without the 3.
_ROOTS = (
    "anaconda3", "miniconda3", "miniforge3", "mambaforge", "micromamba", "conda", "anaconda", "miniconda", "miniforge",
    "mambaforge3", "conda3",
)  # fmt: skip
_HOOK_SECONDS = 120
_LOOK = 0.01


@dataclass(frozen=True, slots=True)
class Activation:
    """``variables`` to set, ``remove`` to unset, then ``hooks`` (shell scripts) to source, as :func:`apply` does."""

    prefix: Path
    variables: Mapping[str, str]
    remove: tuple[str, ...] = ()
    hooks: tuple[Path, ...] = ()


def apply(activation: Activation, environ: Mapping[str, str], *, stop: StopRequest | None = None) -> dict[str, str]:
    """``environ`` as it is after activation. Raises :class:`CannotStart` when a hook fails, takes longer than two
    minutes, or when ``stop`` is set meanwhile.
    """
    after = {name: value for name, value in environ.items() if name not in activation.remove}
    after.update(activation.variables)
    return _sourced(activation.hooks, after, stop) if activation.hooks else after


def venv(directory: str, environ: Mapping[str, str]) -> Activation:
    """A virtual environment by its directory. Raises :class:`UsageError` when there is none."""
    prefix = Path(directory).absolute()
    if not os.access(prefix / "bin/python", os.X_OK):
        raise UsageError(
            "there is no virtual environment",
            where=f"--venv {directory}",
            why=f"{prefix}/bin/python " + ("cannot be executed" if (prefix / "bin/python").exists() else "is absent"),
            remedy="give the directory that `python -m venv` made",
        )
    variables = {"VIRTUAL_ENV": str(prefix), "PATH": _first(prefix / "bin", environ)}
    return Activation(prefix, variables, remove=("PYTHONHOME",))


def conda(name_or_prefix: str, environ: Mapping[str, str], *, root: Path = Path("/")) -> Activation:
    """A conda environment by name or prefix, with its variables and hooks, as ``conda activate`` orders them.
    ``root`` is where the usual directories are looked for.

    Raises :class:`UsageError` naming the environments that were found.
    """
    roots = list(_roots(environ, root))
    prefix = _find(name_or_prefix, environ, roots)
    if prefix is None:
        known = sorted(_known(environ, roots))
        raise UsageError(
            f"there is no conda environment {name_or_prefix!r}",
            where="--conda-env",
            why=f"there are: {', '.join(known)}" if known else f"no conda was found (looked for {', '.join(_ROOTS)})",
            remedy="give its name, or the directory that holds its bin/ and conda-meta/",
        )
    named = "base" if prefix in roots else prefix.name if prefix.parent.name == "envs" else str(prefix)
    variables = {
        "PATH": _first(prefix / "bin", environ),
        "CONDA_PREFIX": str(prefix),
        "CONDA_DEFAULT_ENV": named,
        "CONDA_SHLVL": "1",
        "CONDA_PROMPT_MODIFIER": f"({named}) ",
        **_own_variables(prefix),
    }
    for root in roots:
        if prefix == root or prefix.parent.parent == root:
            variables["CONDA_EXE"] = str(root / "bin/conda")
            variables["CONDA_PYTHON_EXE"] = str(root / "bin/python")
    hooks = tuple(sorted((prefix / "etc/conda/activate.d").glob("*.sh")))
    return Activation(prefix, variables, remove=("PYTHONHOME", "VIRTUAL_ENV"), hooks=hooks)


def _first(directory: Path, environ: Mapping[str, str]) -> str:
    """``PATH`` with the directory in front, and only there."""
    rest = [part for part in environ.get("PATH", os.defpath).split(os.pathsep) if part and part != str(directory)]
    return os.pathsep.join([str(directory), *rest])


def _roots(environ: Mapping[str, str], top: Path) -> Iterator[Path]:
    """Installations of conda: where the environment points, what is on PATH, and the usual directories: of people, of
    ModelArts' images (``/home/ma-user``, ``/home/work``), and those that its guides make (``/home/miniconda3``,
    ``/home/user/miniconda``). micromamba's has environments only, and no base.
    """
    seen = set()
    places = [Path(environ[name]).parent.parent for name in ("CONDA_EXE", "MAMBA_EXE") if environ.get(name)]
    places += [Path(environ[name]) for name in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT") if environ.get(name)]
    places += _on_path(environ)
    usual = ("home/ma-user", "home/work", "home/user", "home", "opt", "usr/local", "root", "")
    homes = [Path(environ.get("HOME") or "/root"), *(top / directory for directory in usual)]
    homes += sorted(path for path in (top / "home").glob("*") if path.is_dir())
    places += [home / name for home in homes for name in _ROOTS]
    for place in places:
        if place not in seen and (_is_environment(place) or (place / "envs").is_dir()):
            seen.add(place)
            yield place


def _on_path(environ: Mapping[str, str]) -> Iterator[Path]:
    """The installations that a directory of PATH belongs to: a base's own, or that of one of its environments."""
    for directory in environ.get("PATH", "").split(os.pathsep):
        prefix = Path(directory).parent
        if os.path.isabs(directory) and Path(directory).name in ("bin", "condabin") and prefix != Path("/"):
            yield prefix.parent.parent if prefix.parent.name == "envs" else prefix


def _find(asked: str, environ: Mapping[str, str], roots: list[Path]) -> Path | None:
    if "/" in asked:
        prefix = Path(asked).absolute()
        return prefix if _is_environment(prefix) else None
    if asked in ("base", "root"):
        return next(filter(_is_environment, roots), None)
    for directory in _env_directories(environ, roots):
        if _is_environment(directory / asked):
            return directory / asked
    return None


def _env_directories(environ: Mapping[str, str], roots: list[Path]) -> list[Path]:
    asked = environ.get("CONDA_ENVS_PATH") or environ.get("CONDA_ENVS_DIRS") or ""
    own = Path(environ.get("HOME") or "/root") / ".conda/envs"
    return [*(Path(part) for part in asked.split(os.pathsep) if part), *(root / "envs" for root in roots), own]


def _known(environ: Mapping[str, str], roots: list[Path]) -> Iterator[str]:
    if any(map(_is_environment, roots)):
        yield "base"
    for directory in _env_directories(environ, roots):
        if directory.is_dir():
            yield from (path.name for path in directory.iterdir() if _is_environment(path))


def _is_environment(prefix: Path) -> bool:
    return (prefix / "conda-meta").is_dir()


def _own_variables(prefix: Path) -> dict[str, str]:
    """What ``conda env config vars set`` stored, and packages brought; the former last, as conda does."""
    found: dict[str, str] = {}
    for path in (*sorted((prefix / "etc/conda/env_vars.d").glob("*.json")), prefix / "conda-meta/state"):
        try:
            stored = load_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # conda itself only warns of these
        variables = stored.get("env_vars", {}) if path.name == "state" and isinstance(stored, dict) else stored
        if isinstance(variables, dict):
            # conda marks a variable that was unset by a value of its own
            found.update({str(k): str(v) for k, v in variables.items() if v != "***unset***"})
    return found


def _sourced(hooks: tuple[Path, ...], environ: Mapping[str, str], stop: StopRequest | None) -> dict[str, str]:
    """``environ`` after a shell has sourced ``hooks``. What they print goes where our own output goes."""
    shell = shutil.which("bash", path=environ.get("PATH")) or "/bin/sh"
    # A descriptor of its own, since hooks may print, and by its path, since dash knows those below 10 only; -0, since
    # values may hold line ends.
    script = 'for hook in "$@"; do . "$hook" || exit; done; exec env -0 >"/proc/self/fd/$BOOTSTRAP_HOOKS_FD"'
    with tempfile.TemporaryFile() as told:
        try:
            running = subprocess.Popen(
                [shell, "-c", script, "hooks", *map(str, hooks)],
                env={**environ, "BOOTSTRAP_HOOKS_FD": str(told.fileno())},
                pass_fds=[told.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotStart("the activation hooks cannot be run", where=shell, why=str(error)) from error
        code = _end_of(running, hooks, stop)
        told.seek(0)
        text = told.read()
    if code != 0:
        raise CannotStart(
            "an activation hook of the conda environment failed",
            where=", ".join(map(str, hooks)),
            why=f"exit code {code}",
            remedy="run the hooks in a shell of this image and see what they say",
        )
    pairs = (entry.partition(b"=") for entry in text.split(b"\0") if entry)
    after = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    # what the shell itself adds is no part of the activation
    return {n: v for n, v in after.items() if n != "BOOTSTRAP_HOOKS_FD" and (n in environ or n not in _OF_THE_SHELL)}


def _end_of(running: subprocess.Popen[bytes], hooks: tuple[Path, ...], stop: StopRequest | None) -> int:
    end = time.monotonic() + _HOOK_SECONDS
    while (code := running.poll()) is None:
        stopped = stop is not None and stop.is_set()
        if stopped or time.monotonic() > end:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            raise CannotStart(
                "an activation hook of the conda environment did not end",
                where=", ".join(map(str, hooks)),
                why="asked to stop" if stopped else f"it took longer than {_HOOK_SECONDS} s",
            )
        time.sleep(_LOOK)
    return code


_OF_THE_SHELL = frozenset({"PWD", "OLDPWD", "SHLVL", "_"})
