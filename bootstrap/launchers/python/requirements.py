"""The code's own requirements installed before the command starts, as ModelArts does for its preset engines.

They go into the environment that was asked for (``--venv``, ``--conda-env``). Else the image is left as it is: they go
into a directory of the job, made as a virtual environment that sees the image's packages, so that only what is missing
is fetched; the command finds it through PYTHONPATH, whatever interpreter of that version it calls.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from ...errors import RequirementsFailed
from ...ground.safe_files import open_own
from ...job import Log, StopRequest
from ...values import dataclass

# ModelArts' documentation has the first two spellings, for the code's root; the last is everybody's.
FILE_NAMES = ("pip-requirements.txt", "pip-requirement.txt", "requirements.txt")
_LOOK = 0.1
_LAST_WORDS = 2.0  # seconds
_NO_NETWORK = (
    "Network is unreachable", "Temporary failure in name resolution", "NewConnectionError", "ConnectTimeout",
    "Connection refused", "Failed to establish a new connection",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Installed:
    """``variables`` for the command; ``seconds`` is 0 when it had all been installed before."""

    file: Path
    variables: Mapping[str, str]
    seconds: float


def find(directories: Sequence[Path]) -> Path | None:
    """The first requirements file in ``directories``, in their order."""
    for directory in directories:
        for name in FILE_NAMES:
            if (directory / name).is_file():
                return directory / name
    return None


def install(
    file: Path,
    python: str,
    environ: Mapping[str, str],
    *,
    prefix: Path | None,
    scratch: Path,
    stop: StopRequest,
    log: Log,
    mask: Callable[[str], str] = str,
) -> Installed:
    """Install ``file`` for the interpreter ``python`` (a name on the PATH of ``environ``, or a path): into ``prefix``,
    the environment that the interpreter belongs to, or without one into a directory below ``scratch``.

    What pip and the packages' builds say is kept in ``scratch``, each line through ``mask``, which hides secrets: a
    setup.py may print anything. Done once for a content: a later attempt in the same container finds its marker. Raises
    :class:`RequirementsFailed` with pip's last words, also when a stop was asked for.
    """
    interpreter = shutil.which(python, path=environ.get("PATH"))
    if interpreter is None:
        raise RequirementsFailed("there is no Python to install for", where=python, why=f"PATH={environ.get('PATH')}")
    digest = hashlib.sha256(f"{interpreter}\n".encode() + file.read_bytes()).hexdigest()[:12]
    home = prefix or scratch / f"requirements-{digest}"
    marker = home / f".bootstrap-requirements-{digest}"
    began = time.monotonic()
    if not marker.exists():
        log.info(f"installing {file}", into=str(home))
        if prefix is None:
            pip = [] if _lacks_pip(interpreter) else ["--without-pip"]  # a second pip would take seconds
            make = [interpreter, "-m", "venv", "--clear", "--system-site-packages", *pip, str(home)]
            _run(make, environ, file, scratch, stop, mask)
        own = str(home / "bin/python")
        pip = [own, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r", file.name]
        _run(pip, {**environ, **index(environ)}, file, scratch, stop, mask)
        marker.touch()
        seconds = time.monotonic() - began
        log.info(f"installed {file.name}", seconds=round(seconds, 1))
    else:
        seconds = 0.0
        log.info(f"{file.name} is installed already", into=str(home))
    return Installed(file, {} if prefix else found_by(home, environ), seconds)


def _lacks_pip(interpreter: str) -> bool:
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is None)"
    return subprocess.run([interpreter, "-c", look], check=False, stdin=subprocess.DEVNULL).returncode != 0


def index(environ: Mapping[str, str]) -> dict[str, str]:
    """The platform's own package index: training nodes reach no other. What the user has set for pip comes first.

    As variables: an argument list is open to every process of the node, and the URL may hold a password.
    """
    url = environ.get("MA_PIP_URL", "").strip()
    if not url or environ.get("PIP_INDEX_URL") or environ.get("PIP_CONFIG_FILE"):
        return {}
    host = environ.get("MA_PIP_HOST", "").strip()
    return {"PIP_INDEX_URL": url, **({"PIP_TRUSTED_HOST": host} if host else {})}


def found_by(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """With what a command finds that which was installed in ``home``, behind all that it has itself."""
    packages = sorted(home.glob("lib/python*/site-packages"))
    paths = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {
        "PYTHONPATH": os.pathsep.join([*paths, *map(str, packages)]),
        # last, for the programs that packages bring: the command's python stays the one it was
        "PATH": os.pathsep.join([environ.get("PATH", os.defpath), str(home / "bin")]),
    }


def _keep(said: IO[bytes], output: int, mask: Callable[[str], str]) -> None:
    """Append all that is ``said`` to the file ``output``, line by line through ``mask``."""
    with said, open(output, "a", encoding="utf-8", errors="surrogateescape", buffering=1) as kept:
        for line in said:
            kept.write(mask(line.decode("utf-8", "surrogateescape")))


def _run(
    argv: Sequence[str],
    environ: Mapping[str, str],
    file: Path,
    scratch: Path,
    stop: StopRequest,
    mask: Callable[[str], str],
) -> None:
    """One command to its end, its output kept in ``scratch``."""
    scratch.mkdir(parents=True, exist_ok=True)
    output = scratch / "requirements.log"
    try:
        kept = open_own(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        raise RequirementsFailed("what pip says cannot be kept", where=str(output), why=str(error.strerror)) from error
    before = os.fstat(kept).st_size  # what an earlier attempt said is not this one's reason
    # The command's own PYTHONPATH would show pip the job's modules: a requests/ there would break it.
    clean = {name: value for name, value in environ.items() if name not in ("PYTHONPATH", "PIP_TARGET", "PIP_USER")}
    try:
        running = subprocess.Popen(
            argv, env=clean, cwd=file.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        keeper = threading.Thread(target=_keep, args=(running.stdout, kept, mask), name="pip", daemon=True)
        keeper.start()
        while (code := running.poll()) is None:
            if stop.wait(_LOOK):
                running.kill()
                running.wait()
        keeper.join(_LAST_WORDS)  # what pip has left behind may hold the pipe open
    except OSError as error:
        os.close(kept)
        raise RequirementsFailed("the requirements cannot be installed", where=argv[0], why=str(error)) from error
    if code == 0:
        return
    text = output.read_bytes()[before:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.upper().startswith("ERROR")] or lines
    network = any(sign in text for sign in _NO_NETWORK)
    raise RequirementsFailed(
        "the requirements could not be installed" + (": the package index cannot be reached" if network else ""),
        where=str(file),
        why="asked to stop" if stop.is_set() else f"pip ended with {code}: {' | '.join(errors[-2:])}; see {output}",
    )
