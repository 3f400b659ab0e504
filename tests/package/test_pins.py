"""What the runtime is built from: pinned, with a hash for each machine, and renewed by scripts/pin."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

PROJECT = Path(__file__).parents[2]
MACHINES = ("x86_64", "aarch64")
RUNS, BUILDS = (f"docker/{name}.txt" for name in ("requirements", "requirements-build"))
PIN = re.compile(r"((?:# \S+\.whl\n)+)([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def pins(text: str) -> dict[str, tuple[str, list[str], list[str]]]:
    """By name: the version, the wheels, their hashes. Whatever else the file holds fails."""
    head, rest = text.split("\n", 1)
    assert head.startswith("# Written by scripts/pin"), head
    assert PIN.sub("", rest) == ""
    return {
        name: (version, re.findall(r"# (\S+)", wheels), re.findall(r"sha256:(\w+)", hashes))
        for wheels, name, version, hashes in PIN.findall(rest)
    }


def python_of_the_runtime() -> str:
    found = re.search(r"^ARG SOURCE_PACKAGE=python([0-9.]+)$", (PROJECT / "Dockerfile.base").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def wanted(name: str, extras: tuple[str, ...] = ()) -> list[Requirement]:
    """What the installed distribution of that name needs on the runtime's Python."""
    found = map(Requirement, importlib.metadata.requires(name) or [])
    about = {"python_version": python_of_the_runtime(), "sys_platform": "linux", "platform_system": "Linux"}
    return [
        one
        for one in found
        if one.marker is None or any(one.marker.evaluate({**about, "extra": extra}) for extra in ("", *extras))
    ]


def taken_on(machine: str) -> set[Tag]:
    """The tags of the wheels that the runtime's Python takes there."""
    version = (3, int(python_of_the_runtime().split(".")[1]))
    platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in range(28, 16, -1)]
    platforms.append(f"manylinux2014_{machine}")
    own = cpython_tags(version, [f"cp3{version[1]}"], platforms)
    return {*own, *compatible_tags(version, platforms=platforms)}


@pytest.mark.parametrize("file", [RUNS, BUILDS])
def test_every_pin_has_a_hash_of_a_wheel_for_each_machine(file: str) -> None:
    for name, (version, wheels, hashes) in pins((PROJECT / file).read_text()).items():
        assert len(wheels) == len(hashes) == len(set(hashes)), name
        parsed = [parse_wheel_filename(wheel) for wheel in wheels]
        assert {(of, str(its_version)) for of, its_version, _, _ in parsed} == {(name, version)}
        for machine in MACHINES:
            assert any(tags & taken_on(machine) for _, _, _, tags in parsed), f"{name} has nothing for {machine}"


def test_the_pins_are_what_the_package_needs_and_all_that_this_needs() -> None:
    pinned = pins((PROJECT / RUNS).read_text())
    direct = wanted("modelarts-bootstrap", ("secrets", "jobfiles"))
    assert {one.name for one in direct} >= {"boto3", "psutil", "netifaces-plus", "structlog", "cryptography", "PyYAML"}
    for one in direct:
        version = pinned[canonicalize_name(one.name)][0]
        assert one.specifier.contains(version), f"{one} is pinned to {version}: scripts/pin"
    needed: set[str] = set()
    rest = [one.name for one in direct]
    while rest:
        name = canonicalize_name(rest.pop())
        if name not in needed:
            needed.add(name)
            rest += [one.name for one in wanted(name)]
    assert needed == set(pinned)


def test_the_build_backend_is_pinned_within_its_bounds() -> None:
    found = re.search(r'^requires = \["([^"]+)"\]$', (PROJECT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    backend = Requirement(found[1])
    version = pins((PROJECT / BUILDS).read_text())[backend.name][0]
    assert backend.specifier.contains(version)


def test_whatever_installs_the_runtime_takes_the_pins_and_nothing_else() -> None:
    runtime = (PROJECT / "docker/runtime.sh").read_text()
    installs = re.findall(r"^/tmp/pip/bin/pip .*\b(?:install|wheel)\b.*$", runtime, re.MULTILINE)
    by_hash = [words for words in installs if "--require-hashes -r" in words]
    assert [words.rsplit("/", 1)[1] for words in by_hash] == ['requirements-build.txt"', 'requirements.txt"']
    assert all("--no-deps" in words for words in installs if words not in by_hash)
    workflow = (PROJECT / ".github/workflows/ci.yml").read_text()
    audit = re.search(r"pip-audit==\S+ --strict .*\n.*", workflow)
    assert audit is not None
    assert all(f"-r {file}" in audit[0] for file in (RUNS, BUILDS))


def wheel(directory: Path, name: str, version: str, tag: str, needs: str = "") -> Path:
    path = directory / f"{name}-{version}-{tag}.whl"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about += f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}-{version}.dist-info/METADATA", about)
        file.writestr(f"{name}-{version}.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{name}-{version}.dist-info/RECORD", "")
    return path


@pytest.mark.skipif(sys.version_info < (3, 11), reason="scripts/pin reads TOML with Python 3.11's tomllib")
def test_the_command_writes_the_newest_wheels_for_both_machines_and_refuses_two_versions(tmp_path: Path) -> None:
    clone, index = tmp_path / "clone", tmp_path / "index"
    for name in ("scripts/pin", "scripts/venv.sh", "pyproject.toml", "Dockerfile.base"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, clone / name)
    (clone / "docker").mkdir()
    index.mkdir()
    for name in ("psutil", "netifaces_plus", "structlog", "pyyaml", "setuptools"):
        wheel(index, name, "98.0", "py3-none-any")
    wheel(index, "boto3", "97.0", "py3-none-any")
    newest = wheel(index, "boto3", "98.0", "py3-none-any", needs="needed_by_boto3<3")
    wheel(index, "needed_by_boto3", "2.1", "py3-none-any")
    compiled = [wheel(index, "cryptography", "98.0", f"cp311-abi3-manylinux_2_28_{machine}") for machine in MACHINES]
    env = {**os.environ, "PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    env["PIP_CONFIG_FILE"] = os.devnull

    def pin() -> subprocess.CompletedProcess[str]:
        return subprocess.run([clone / "scripts/pin"], env=env, text=True, capture_output=True)

    done = pin()
    assert done.returncode == 0, done.stderr
    made = pins((clone / RUNS).read_text())
    assert made["boto3"] == ("98.0", [newest.name], [sha256(newest.read_bytes()).hexdigest()])
    assert made["needed-by-boto3"][0] == "2.1"
    hashes = {path.name: sha256(path.read_bytes()).hexdigest() for path in compiled}
    assert dict(zip(*made["cryptography"][1:], strict=True)) == hashes
    assert list(pins((clone / BUILDS).read_text())) == ["setuptools"]

    before = (clone / RUNS).read_bytes()
    wheel(index, "cryptography", "99.0", "cp311-abi3-manylinux_2_28_x86_64")
    done = pin()
    assert (done.returncode, "different versions of cryptography" in done.stderr) == (1, True), done.stderr
    assert (clone / RUNS).read_bytes() == before
