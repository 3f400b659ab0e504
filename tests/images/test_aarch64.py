"""The runtime on an aarch64 machine (Ascend's), as far as that can be had without one.

Compiling our Python under qemu takes the better part of an hour. So the tree is the one that was built here, with every
compiled file exchanged: the interpreter for Debian's of the same version, the packages' for those of their wheels, and
the launcher is compiled there.
"""

from __future__ import annotations

import platform
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.conftest import lab_or_skip
from tests.images import recipe
from tests.images.conftest import Workshop, settings
from tests.lab import aarch64
from tests.lab.containers import Engine
from tests.lab.stores import Store

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

TRAIN = """#!/bin/sh
echo "training on $(uname -m)"
mkdir -p "$BOOTSTRAP_OUTPUT_DIR"
echo "weights" > "$BOOTSTRAP_OUTPUT_DIR/model.bin"
"""
COMPILE = "gcc -static -Os -Wall -Wextra -Werror -Wno-sign-compare -DPREFIX='\"/opt/bootstrap\"' -o {to} {source}"

IMPORTS = """
import sys
sys.path.append(sys.argv[1])
import boto3, netifaces, psutil, ssl, structlog
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

cipher, nonce = AESGCM(bytes(16)), bytes(12)
assert cipher.decrypt(nonce, cipher.encrypt(nonce, b"text", b""), b"") == b"text"
assert set(psutil.net_if_addrs()) == set(netifaces.interfaces())
ssl.create_default_context()
"""


@pytest.fixture(scope="module")
def machine(containers: Engine) -> aarch64.Machine:
    with lab_or_skip():
        return aarch64.machine(containers.directory)


@pytest.fixture(scope="module")
def tree(workshop: Workshop, runtime: str, machine: aarch64.Machine) -> Path:
    """/opt/bootstrap for aarch64."""
    with lab_or_skip():
        wheels = recipe.wheels(workshop.engine, "aarch64")

    def make() -> str:
        tree = workshop.directory / "aarch64"
        root = Path(workshop.engine.podman("image", "mount", runtime).stdout.strip())
        try:
            shutil.copytree(root / "opt/bootstrap", tree, symlinks=True)
        finally:
            workshop.engine.podman("image", "unmount", runtime)
        words = ["-I", "-c", "import sys; print(*sys.builtin_module_names)"]
        told = workshop.engine.run(runtime, *words, options=["--entrypoint=/opt/bootstrap/bin/python3"])
        exchange_compiled_files(tree, wheels, machine, built_in=told.stdout.split())
        return str(tree)

    return Path(workshop.once("aarch64", make))


def exchange_compiled_files(tree: Path, wheels: Path, machine: aarch64.Machine, built_in: list[str]) -> None:
    """``built_in``: the modules that our interpreter has inside, some of which are files of their own at Debian's."""
    (python,) = (tree / "bin").glob("python3.*")
    packages = tree / "lib" / python.name / "site-packages"
    library = machine.root / "usr/lib" / python.name / "lib-dynload"
    unpacked = tree.with_name("aarch64-wheels")
    for wheel in wheels.iterdir():
        zipfile.ZipFile(wheel).extractall(unpacked)
    for path in compiled(tree):
        path.unlink()
        like = path.with_name(path.name.replace(platform.machine(), "aarch64"))
        if packages in path.parents:  # where one is missing, the job would miss it too
            shutil.copy2(unpacked / like.relative_to(packages), like)
        elif path.parent.name == "lib-dynload" and (library / like.name).exists():  # else Debian has it built in
            shutil.copy2(library / like.name, like)
    for name in built_in:
        for module in library.glob(f"{name}.*.so"):
            shutil.copy2(module, tree / "lib" / python.name / "lib-dynload")
    shutil.copy2(machine.root / "usr/bin" / python.name, python)
    words = COMPILE.format(to="/opt/bootstrap/bin/bootstrap", source="/mnt/bootstrap.c")
    done = machine.run("sh", "-c", words, mounts={tree: "/opt/bootstrap", recipe.PROJECT / "docker": "/mnt"})
    assert done.returncode == 0, done.stderr


def compiled(tree: Path) -> list[Path]:
    files = [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if path.open("rb").read(4) == b"\x7fELF"]


def test_the_main_job_runs_on_aarch64(machine: aarch64.Machine, tree: Path, seaweedfs: Store, tmp_path: Path) -> None:
    bucket = seaweedfs.make_bucket()
    bucket.put("proj/code/train.sh", TRAIN)
    words = ["/opt/bootstrap/bin/bootstrap", "run", "--", "sh", "code/train.sh"]
    ran = machine.run(*words, env=settings(bucket), mounts={tree: "/opt/bootstrap", tmp_path: "/tmp"})
    assert (ran.returncode, ran.stdout) == (0, "training on aarch64\n"), ran.stderr
    assert bucket.results("models/") == {"model.bin": b"weights\n"}
    assert bucket.get("logs/job.log") == b"training on aarch64\n"


def test_every_dependency_works_on_aarch64(machine: aarch64.Machine, tree: Path) -> None:
    (packages,) = tree.glob("lib/python3.*/site-packages")
    inside = f"/opt/bootstrap/{packages.relative_to(tree)}"
    ran = machine.run("/opt/bootstrap/bin/python3", "-I", "-S", "-c", IMPORTS, inside, mounts={tree: "/opt/bootstrap"})
    assert ran.returncode == 0, ran.stderr
