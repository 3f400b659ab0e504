"""Building Dockerfile.base for real: everything that needs a network is fetched first, and then built without one."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.containers import Engine
from tests.lab.stores import LabUnavailable

PROJECT = Path(__file__).parents[2]
DOCKERFILE = PROJECT / "Dockerfile.base"
IN_CONTEXT = (
    ".dockerignore",
    "Dockerfile.base",
    "pyproject.toml",
    "setup.py",
    "modelarts_bootstrap_start.py",
    "README.md",
    "LICENSE",
    "docker",
    "scripts",
    "bootstrap",
)
PLATFORM_TAGS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
PINS = (PROJECT / "docker/requirements.txt", PROJECT / "docker/requirements-build.txt")
DOCKER = """#!/bin/sh
export {environ}
verb=$1
shift
case $verb in
    build)
        case " $* " in *" Dockerfile.base "*) cd {context} ;; esac  # a clone with wheels in docker/wheels
        exec podman build --pull=never --format docker --network="${{LAB_NETWORK:-none}}" "$@"
        ;;
    run | create) exec podman "$verb" --pull=never --network=none $LAB_OPTIONS "$@" ;;
    *) exec podman "$verb" "$@" ;;
esac
"""
IGNORED = shutil.ignore_patterns("__pycache__", "wheels", "test", "tests", "*.a")


def runtime(engine: Engine, context: Path) -> str:
    """The target of that name, and under names of their own the stages before it, or their layers would not be kept."""
    engine.base("bookworm")
    for stage, network in (("python", "host"), ("tree", "none"), ("runtime", "none")):
        tag = _build(engine, stage, context, network=network)
    return tag


def base_image(engine: Engine, target: str, context: Path, base: str) -> str:
    """base-v1 or base-v2 upon ``base``; quick when the runtime is there."""
    return _build(engine, target, context, arguments={"BASE_IMAGE": base})


def _build(
    engine: Engine, target: str, context: Path, network: str = "none", arguments: dict[str, str] | None = None
) -> str:
    with (engine.directory / "dockerfile-base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # or several workers would compile the same Python at the same time
        return engine.build(
            context,
            f"localhost/modelarts-bootstrap:{target}",
            dockerfile=DOCKERFILE,
            network=network,
            arguments=arguments,
            options=[f"--target={target}"],
        )


def docker(engine: Engine, context: str | Path = ".") -> str:
    """A program that is podman with the lab's storage, and asks no registry: for who calls docker.

    Builds have no network, but what LAB_NETWORK says; LAB_OPTIONS are more options of containers.
    """
    environ = {name: value for name, value in engine.environ().items() if name != "PATH"}
    return DOCKER.format(context=context, environ=shlex.join(f"{name}={value}" for name, value in environ.items()))


def make_context(engine: Engine, directory: Path) -> Path:
    """The clone as it is committed, with the wheels beside docker/: what a build without a network needs."""
    for name in IN_CONTEXT:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=IGNORED)
        else:
            shutil.copy2(source, directory / name)
    shutil.copytree(wheels(engine), directory / "docker/wheels")
    for path in directory.rglob("*"):  # as git knows them: layers are found again whatever the clone's umask was
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    return directory


def what_is_needed() -> tuple[str, list[str]]:
    """The Python version of Dockerfile.base, and pip's words for what scripts/pin wrote down: these bytes alone."""
    version = re.search(r"^ARG SOURCE_PACKAGE=python([0-9.]+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert version is not None
    return version[1], ["--no-deps", "--require-hashes", *(f"--requirement={path}" for path in PINS)]


def wheels(engine: Engine, machine: str = platform.machine()) -> Path:
    """The wheels of all that, for one kind of machine and no other. Kept between runs."""
    version, pins = what_is_needed()
    key = hashlib.sha256(" ".join([machine, version, *(path.read_text() for path in PINS)]).encode()).hexdigest()[:12]
    kept = engine.directory / f"wheels-{key}"
    with (engine.directory / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            fresh = kept.with_suffix(".part")
            shutil.rmtree(fresh, ignore_errors=True)
            tags = [f"--platform={tag}_{machine}" for tag in PLATFORM_TAGS]
            words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
            words += ["--only-binary=:all:", "--implementation=cp", f"--python-version={version}", *tags]
            done = subprocess.run([*words, f"--dest={fresh}", *pins], text=True, capture_output=True)
            if done.returncode:
                raise LabUnavailable(f"lab: no wheels for the runtime image: {' '.join(done.stderr.split()[-40:])}")
            fresh.rename(kept)
        os.utime(kept)  # for housekeeping
    return kept
